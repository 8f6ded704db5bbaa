-- The key of the seals where no key is configured.
INSERT INTO configuration (key, value, created, updated)
VALUES ('audit_seal_key', CAST(gen_random_uuid() AS text) || CAST(gen_random_uuid() AS text), 0, 0)
ON CONFLICT DO NOTHING;
