-- name: flow.hold_by_name
SELECT * FROM flow WHERE name = :name FOR KEY SHARE;

-- name: flow.lock
SELECT id FROM flow WHERE id = :id FOR UPDATE;
