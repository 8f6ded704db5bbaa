-- name: automation.lock
SELECT * FROM automation WHERE id = :id FOR NO KEY UPDATE;

-- name: automation.owned_by
SELECT a.* FROM automation AS a
JOIN automation_related_resource AS r ON r.automation_id = a.id
WHERE r.resource_id = :resource_id AND r.automation_owned_by_resource
ORDER BY a.id
LIMIT :limit
FOR UPDATE OF a;
