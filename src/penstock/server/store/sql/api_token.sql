-- name: api_token.all
SELECT * FROM api_token ORDER BY name;

-- name: api_token.get
SELECT * FROM api_token WHERE id = :id;

-- name: api_token.get_by_name
SELECT * FROM api_token WHERE name = :name;

-- name: api_token.insert
INSERT INTO api_token (id, name, hash, scopes, expires, created, updated)
VALUES (:id, :name, :hash, :scopes, :expires, :now, :now);

-- name: api_token.revoke
UPDATE api_token SET revoked = :now, updated = :now WHERE id = :id;

-- name: api_token.note_use
UPDATE api_token SET last_used = :at WHERE id = :id;
