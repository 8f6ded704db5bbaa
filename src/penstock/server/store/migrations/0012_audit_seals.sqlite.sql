-- The key of the seals where no key is configured.
INSERT INTO configuration (key, value, created, updated)
VALUES ('audit_seal_key', lower(hex(randomblob(32))), 0, 0)
ON CONFLICT DO NOTHING;
