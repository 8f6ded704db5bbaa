-- name: automation.insert
INSERT INTO automation (id, name, description, enabled, tags, definition, created, updated)
VALUES (:id, :name, :description, :enabled, :tags, :definition, :now, :now);

-- name: automation.get
SELECT * FROM automation WHERE id = :id;

-- name: automation.lock
-- As automation.get, and the automation stays as it is to the end of the transaction.
SELECT * FROM automation WHERE id = :id;

-- name: automation.count
SELECT count(*) AS count FROM automation;

-- name: automation.update
UPDATE automation SET
    name = :name, description = :description, enabled = :enabled, tags = :tags,
    definition = :definition, updated = :now
WHERE id = :id;

-- name: automation.delete
DELETE FROM automation WHERE id = :id;

-- name: automation.relate
-- A link that is there stays as it is: an owner that is also run remains the owner.
INSERT INTO automation_related_resource (
    automation_id, resource_id, automation_owned_by_resource
) VALUES (:automation_id, :resource_id, :owned)
ON CONFLICT DO NOTHING;

-- name: automation.unrelate
DELETE FROM automation_related_resource
WHERE automation_id = :automation_id AND NOT automation_owned_by_resource;

-- name: automation.related_to
SELECT a.* FROM automation AS a
JOIN automation_related_resource AS r ON r.automation_id = a.id
WHERE r.resource_id = :resource_id
ORDER BY a.name, a.id;

-- name: automation.owned_by
SELECT a.* FROM automation AS a
JOIN automation_related_resource AS r ON r.automation_id = a.id
WHERE r.resource_id = :resource_id AND r.automation_owned_by_resource
ORDER BY a.id
LIMIT :limit;
