-- The key of the fingerprints that stand for secrets in audit rows.
INSERT INTO configuration (key, value, created, updated)
VALUES ('fingerprint_key', CAST(gen_random_uuid() AS text) || CAST(gen_random_uuid() AS text), 0, 0)
ON CONFLICT DO NOTHING;

-- As those of events, so that a reader below the horizon never misses a row.
ALTER TABLE audit ALTER COLUMN seq DROP IDENTITY;
ALTER TABLE audit ALTER COLUMN seq SET DEFAULT penstock_event_seq();
