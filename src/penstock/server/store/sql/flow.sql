-- name: flow.insert
INSERT INTO flow (id, name, tags, labels, created, updated)
VALUES (:id, :name, :tags, :labels, :now, :now)
ON CONFLICT DO NOTHING;

-- name: flow.get
SELECT * FROM flow WHERE id = :id;

-- name: flow.get_by_name
SELECT * FROM flow WHERE name = :name;

-- name: flow.hold_by_name
-- As flow.get_by_name, and the flow cannot be deleted before the transaction ends.
SELECT * FROM flow WHERE name = :name;

-- name: flow.lock
-- Nobody makes a run of the flow from here to the end of the transaction.
SELECT id FROM flow WHERE id = :id;

-- name: flow.set_tags
UPDATE flow SET tags = :tags, updated = :now WHERE id = :id;

-- name: flow.delete
DELETE FROM flow WHERE id = :id;

-- name: flow.some_runs
SELECT * FROM flow_run WHERE flow_id = :id LIMIT :limit;
