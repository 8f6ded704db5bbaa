-- name: flow_run.lock
SELECT id FROM flow_run WHERE id = :id FOR UPDATE;
