-- The secret that signs page tokens, so that all servers of this database take each other's.
INSERT INTO configuration (key, value, created, updated)
VALUES ('page_token_key', lower(hex(randomblob(32))), 0, 0)
ON CONFLICT DO NOTHING;
