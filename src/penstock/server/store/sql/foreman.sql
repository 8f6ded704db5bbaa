-- What nobody hears of any more: each statement reads the objects that are due, along an index.

-- name: foreman.silent_workers
SELECT w.*, p.name AS work_pool_name, p.type AS work_pool_type
FROM worker AS w
JOIN work_pool AS p ON p.id = w.work_pool_id
WHERE w.status = 'ONLINE' AND w.expires <= :now
ORDER BY w.expires
LIMIT :limit;

-- name: foreman.set_offline
UPDATE worker SET status = 'OFFLINE', updated = :now WHERE id = :id;

-- name: foreman.idle_pools
SELECT p.* FROM work_pool AS p
WHERE p.status = 'READY' AND NOT EXISTS (
    SELECT 1 FROM worker AS w WHERE w.work_pool_id = p.id AND w.status = 'ONLINE'
)
LIMIT :limit;

-- name: foreman.unpolled_queues
SELECT q.*, p.name AS work_pool_name, p.type AS work_pool_type
FROM work_queue AS q
JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE q.status = 'READY' AND q.last_polled < :before
ORDER BY q.last_polled
LIMIT :limit;

-- name: foreman.unpolled_deployments
-- A deployment is polled for by who polls for its queue.
SELECT d.*, f.name AS flow_name, q.name AS queue_name, p.id AS work_pool_id,
    p.name AS work_pool_name, p.type AS work_pool_type
FROM deployment AS d
JOIN flow AS f ON f.id = d.flow_id
LEFT JOIN work_queue AS q ON q.id = d.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE d.status = 'READY' AND d.last_polled < :before
    AND (q.last_polled IS NULL OR q.last_polled < :queue_before)
ORDER BY d.last_polled
LIMIT :limit;

-- name: foreman.set_deployment_not_ready
UPDATE deployment SET status = 'NOT_READY' WHERE id = :id;
