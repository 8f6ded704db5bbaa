-- name: timer.due
-- Rows another process works on are left to it.
SELECT kind, key, due, payload FROM timer WHERE due <= :now ORDER BY due LIMIT :limit
FOR UPDATE SKIP LOCKED
