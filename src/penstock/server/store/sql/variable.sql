-- name: variable.insert
INSERT INTO variable (id, name, value, tags, created, updated)
VALUES (:id, :name, :value, :tags, :now, :now);

-- name: variable.get
SELECT * FROM variable WHERE id = :id;

-- name: variable.get_by_name
SELECT * FROM variable WHERE name = :name;

-- name: variable.lock
SELECT * FROM variable WHERE id = :id;

-- name: variable.lock_by_name
SELECT * FROM variable WHERE name = :name;

-- name: variable.update
UPDATE variable SET name = :name, value = :value, tags = :tags, updated = :now WHERE id = :id;

-- name: variable.delete
DELETE FROM variable WHERE id = :id;
