-- Which process runs a background loop, and how it has been doing.

-- name: service_lease.take
-- Takes a free or lapsed lease, or renews the caller's own. No row: somebody else holds it.
INSERT INTO service_lease (name, holder, lease_until) VALUES (:name, :holder, :lease_until)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
WHERE service_lease.holder = excluded.holder OR service_lease.lease_until <= :now
RETURNING name;

-- name: service_lease.report
UPDATE service_lease SET
    last_started = :last_started, last_succeeded = coalesce(:last_succeeded, last_succeeded),
    last_error = :last_error, run_count = run_count + :rounds
WHERE name = :name AND holder = :holder;

-- name: service_lease.release
-- The next process that looks takes them.
UPDATE service_lease SET lease_until = 0 WHERE holder = :holder;

-- name: service_lease.all
SELECT * FROM service_lease ORDER BY name;
