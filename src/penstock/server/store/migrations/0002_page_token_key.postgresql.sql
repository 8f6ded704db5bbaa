-- The secret that signs page tokens, so that all servers of this database take each other's.
INSERT INTO configuration (key, value, created, updated)
VALUES ('page_token_key', CAST(gen_random_uuid() AS text) || CAST(gen_random_uuid() AS text), 0, 0)
ON CONFLICT DO NOTHING;
