-- name: csrf_token.put
INSERT INTO csrf_token (id, client, token, expiration, created, updated)
VALUES (:id, :client, :token, :expiration, :now, :now)
ON CONFLICT (client) DO UPDATE
SET token = excluded.token, expiration = excluded.expiration, updated = excluded.updated
RETURNING *;

-- name: csrf_token.get
SELECT * FROM csrf_token WHERE client = :client;

-- name: csrf_token.delete_expired
DELETE FROM csrf_token WHERE expiration < :now;

-- name: configuration.get
SELECT * FROM configuration WHERE key = :key;

-- name: configuration.put
INSERT INTO configuration (key, value, created, updated) VALUES (:key, :value, :now, :now)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated = excluded.updated;

-- name: configuration.insert
INSERT INTO configuration (key, value, created, updated) VALUES (:key, :value, :now, :now)
ON CONFLICT DO NOTHING;

-- name: configuration.delete
DELETE FROM configuration WHERE key = :key;
