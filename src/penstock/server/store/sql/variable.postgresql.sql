-- name: variable.lock
SELECT * FROM variable WHERE id = :id FOR UPDATE;

-- name: variable.lock_by_name
SELECT * FROM variable WHERE name = :name FOR UPDATE;
