-- The key of the fingerprints that stand for secrets in audit rows.
INSERT INTO configuration (key, value, created, updated)
VALUES ('fingerprint_key', CAST(gen_random_uuid() AS text) || CAST(gen_random_uuid() AS text), 0, 0)
ON CONFLICT DO NOTHING;
