-- name: work_queue.insert
-- Zero rows: the pool has a queue of that name.
INSERT INTO work_queue (
    id, work_pool_id, name, description, is_paused, concurrency_limit, priority, status, filter,
    created, updated
) VALUES (
    :id, :work_pool_id, :name, :description, :is_paused, :concurrency_limit, :priority, :status,
    :filter, :now, :now
)
ON CONFLICT (work_pool_id, name) DO NOTHING;

-- name: work_queue.get
-- Slots in use are counted only where there is a limit on them.
SELECT q.*, p.name AS work_pool_name, p.type AS work_pool_type, p.default_queue_id,
    CASE WHEN q.concurrency_limit IS NOT NULL THEN (
        SELECT count(*) FROM flow_run AS r
        WHERE r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
    ) END AS active_slots
FROM work_queue AS q
JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE q.id = :id;

-- name: work_queue.get_by_name
-- The pool, and the queue when it has one of that name.
SELECT q.*, p.id AS found_pool_id, p.name AS work_pool_name, p.type AS work_pool_type,
    p.default_queue_id, CASE WHEN q.concurrency_limit IS NOT NULL THEN (
        SELECT count(*) FROM flow_run AS r
        WHERE r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
    ) END AS active_slots
FROM work_pool AS p
LEFT JOIN work_queue AS q ON q.work_pool_id = p.id AND q.name = :name
WHERE p.name = :work_pool_name;

-- name: work_queue.of_pool
SELECT * FROM work_queue WHERE work_pool_id = :work_pool_id ORDER BY priority, id;

-- name: work_queue.lock_pool
-- Of a queue: nobody else changes the queues of its pool to the end of the transaction.
SELECT id FROM work_pool
WHERE id = (SELECT work_pool_id FROM work_queue WHERE id = :id);

-- name: work_queue.update
UPDATE work_queue
SET name = :name, description = :description, is_paused = :is_paused,
    concurrency_limit = :concurrency_limit, priority = :priority, status = :status,
    filter = :filter, last_polled = :last_polled, updated = :now
WHERE id = :id;

-- name: work_queue.set_priority
UPDATE work_queue SET priority = :priority, updated = :now WHERE id = :id;

-- name: work_queue.set_status
UPDATE work_queue SET status = :status, updated = :now WHERE id = :id;

-- name: work_queue.delete
DELETE FROM work_queue WHERE id = :id;

-- name: work_queue.named
SELECT id FROM work_queue
WHERE work_pool_id = :work_pool_id AND name = :name AND id <> :id;

-- name: work_queue.deployments
-- Deployments of a queue, with the names that their events carry.
SELECT d.*, f.name AS flow_name, q.name AS queue_name, p.id AS work_pool_id,
    p.name AS work_pool_name, p.type AS work_pool_type
FROM deployment AS d
JOIN flow AS f ON f.id = d.flow_id
JOIN work_queue AS q ON q.id = d.work_queue_id
JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE d.work_queue_id = :id
ORDER BY d.id;

-- name: work_queue.detach_deployments
UPDATE deployment SET work_queue_id = NULL, updated = :now WHERE work_queue_id = :id;

-- name: work_queue.rename_in_deployments
UPDATE deployment SET work_queue_name = :name, updated = :now WHERE work_queue_id = :id;

-- name: work_queue.polled
-- Those whose poll is worth a note, as they were before it, locked.
SELECT q.*, p.name AS work_pool_name, p.type AS work_pool_type
FROM work_queue AS q
JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE q.id IN (SELECT value FROM json_each(:ids))
    AND (q.status = 'NOT_READY' OR q.last_polled IS NULL OR q.last_polled < :before)
ORDER BY q.id;

-- name: work_queue.set_polled
UPDATE work_queue SET last_polled = :now, status = :status WHERE id = :id;

-- name: work_queue.polled_deployments
SELECT id FROM deployment
WHERE work_queue_id IN (SELECT value FROM json_each(:ids))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before);

-- name: work_queue.late_runs
SELECT count(*) AS late_runs FROM flow_run
WHERE work_queue_id = :id AND state_type = 'SCHEDULED' AND state_name = 'Late';

-- name: work_queue.active_slots
SELECT count(*) AS active_slots FROM flow_run
WHERE work_queue_id = :id AND state_type IN ('PENDING', 'RUNNING');

-- name: work_queue.active_runs
-- Who holds slots, the longest in its state first.
SELECT id, name, start_time, state_type, state_name, state_timestamp FROM flow_run
WHERE work_queue_id = :id AND state_type IN ('PENDING', 'RUNNING')
ORDER BY state_timestamp, id
LIMIT :limit OFFSET :offset;

-- name: work_queue.usage
-- Queues of a pool with the slots that each has in use.
SELECT q.id, q.name, q.concurrency_limit, (
    SELECT count(*) FROM flow_run AS r
    WHERE r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
) AS active_slots
FROM work_queue AS q
WHERE q.work_pool_id = :work_pool_id
ORDER BY q.priority, q.id
LIMIT :limit OFFSET :offset;

-- name: work_queue.count_of_pool
SELECT count(*) AS queues FROM work_queue WHERE work_pool_id = :work_pool_id;
