-- name: worker.pool
-- A pool and, when it has one of that name, its worker.
SELECT p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type,
    p.status AS pool_status, w.id, w.status, w.heartbeat_interval_seconds
FROM work_pool AS p
LEFT JOIN worker AS w ON w.work_pool_id = p.id AND w.name = :name
WHERE p.name = :work_pool_name;

-- name: worker.beat
INSERT INTO worker (
    id, work_pool_id, name, last_heartbeat_time, heartbeat_interval_seconds, status, expires,
    cleanup_kinds, created, updated
) VALUES (
    :id, :work_pool_id, :name, :now, :interval, 'ONLINE', :expires, :cleanup_kinds, :now, :now
)
ON CONFLICT (work_pool_id, name) DO UPDATE
SET last_heartbeat_time = excluded.last_heartbeat_time,
    heartbeat_interval_seconds = excluded.heartbeat_interval_seconds,
    status = 'ONLINE', expires = excluded.expires, cleanup_kinds = excluded.cleanup_kinds,
    updated = excluded.updated;

-- name: worker.delete
DELETE FROM worker WHERE id = :id;

-- name: worker.of_pool
SELECT * FROM worker WHERE work_pool_id = :work_pool_id ORDER BY name;

-- name: worker.any_online
SELECT id FROM worker
WHERE work_pool_id = :work_pool_id AND status = 'ONLINE' AND expires > :now
LIMIT 1;

-- name: worker.cleaning
-- Workers that are connected somewhere and take teardowns.
SELECT name FROM worker
WHERE work_pool_id = :work_pool_id AND status = 'ONLINE' AND expires > :now
    AND cleanup_kinds IS NOT NULL
ORDER BY name;
