-- The key of the fingerprints that stand for secrets in audit rows.
INSERT INTO configuration (key, value, created, updated)
VALUES ('fingerprint_key', lower(hex(randomblob(32))), 0, 0)
ON CONFLICT DO NOTHING;
