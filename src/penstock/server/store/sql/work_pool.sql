-- name: work_pool.insert
-- Zero rows: the name is taken.
INSERT INTO work_pool (
    id, name, type, description, base_job_template, is_paused, concurrency_limit, status,
    default_queue_id, storage_configuration, created, updated
) VALUES (
    :id, :name, :type, :description, :base_job_template, :is_paused, :concurrency_limit, :status,
    :default_queue_id, :storage_configuration, :now, :now
)
ON CONFLICT (name) DO NOTHING;

-- name: work_pool.get_by_name
-- Slots in use are counted only where there is a limit on them.
SELECT p.*, CASE WHEN p.concurrency_limit IS NOT NULL THEN (
    SELECT count(*) FROM work_queue AS q CROSS JOIN flow_run AS r
    WHERE q.work_pool_id = p.id AND r.work_queue_id = q.id
        AND r.state_type IN ('PENDING', 'RUNNING')
) END AS active_slots
FROM work_pool AS p
WHERE p.name = :name;

-- name: work_pool.get
SELECT p.*, CASE WHEN p.concurrency_limit IS NOT NULL THEN (
    SELECT count(*) FROM work_queue AS q CROSS JOIN flow_run AS r
    WHERE q.work_pool_id = p.id AND r.work_queue_id = q.id
        AND r.state_type IN ('PENDING', 'RUNNING')
) END AS active_slots
FROM work_pool AS p
WHERE p.id = :id;

-- name: work_pool.stamp
SELECT id, updated FROM work_pool WHERE name = :name;

-- name: work_pool.work
-- For each open queue of a pool: how many runs are due, as far as that is counted, and when the
-- next one is.
SELECT q.id,
    (SELECT count(*) FROM (
        SELECT r.id FROM flow_run AS r
        WHERE r.work_queue_id = q.id AND r.state_type = 'SCHEDULED'
            AND r.next_scheduled_start_time <= :now
        LIMIT :counted
    ) AS due) AS ready,
    (SELECT min(r.next_scheduled_start_time) FROM flow_run AS r
     WHERE r.work_queue_id = q.id AND r.state_type = 'SCHEDULED'
        AND r.next_scheduled_start_time > :now) AS next_due
FROM work_pool AS p
JOIN work_queue AS q ON q.work_pool_id = p.id
WHERE p.id = :work_pool_id AND NOT p.is_paused AND NOT q.is_paused;

-- name: work_pool.lock
-- The pool stays as it is, and keeps its queues, to the end of the transaction.
SELECT * FROM work_pool WHERE name = :name;

-- name: work_pool.update
UPDATE work_pool
SET description = :description, base_job_template = :base_job_template, is_paused = :is_paused,
    concurrency_limit = :concurrency_limit, storage_configuration = :storage_configuration,
    status = :status, updated = :now
WHERE id = :id;

-- name: work_pool.set_status
UPDATE work_pool
SET status = :status, last_status_event_id = :event_id, last_transitioned_status_at = :now
WHERE id = :id;

-- name: work_pool.delete
DELETE FROM work_pool WHERE id = :id;

-- name: work_pool.active_slots
SELECT count(*) AS active_slots FROM work_queue AS q CROSS JOIN flow_run AS r
WHERE q.work_pool_id = :id AND r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING');

-- name: work_pool.polled_queues
-- Of a pool, all queues or those with the names given; a name without a queue gives no row.
SELECT p.id AS work_pool_id, p.is_paused AS pool_is_paused, q.id, q.name, q.status, q.last_polled
FROM work_pool AS p
LEFT JOIN work_queue AS q ON q.work_pool_id = p.id
    AND (:names IS NULL OR q.name IN (SELECT value FROM json_each(:names)))
WHERE p.name = :name;

-- name: work_pool.due_runs
-- What a worker may start now: of every queue the earliest runs, as many as it has free slots,
-- and of those, by the queues' priority and then by time, as many as the pool has free slots.
-- Queues behind those that have enough runs are not looked at. The policy is parsed only where it
-- may name the retry type.
WITH RECURSIVE pool AS MATERIALIZED (
    SELECT p.id, p.name, CASE WHEN p.concurrency_limit IS NULL THEN :limit ELSE MIN(:limit, MAX(0,
        p.concurrency_limit - (
            SELECT count(*) FROM work_queue AS q CROSS JOIN flow_run AS r
            WHERE q.work_pool_id = p.id AND r.work_queue_id = q.id
                AND r.state_type IN ('PENDING', 'RUNNING')
        ))) END AS free
    FROM work_pool AS p
    WHERE p.id = :work_pool_id AND NOT p.is_paused
),
queue AS MATERIALIZED (
    SELECT q.id, q.priority, dense_rank() OVER (ORDER BY q.priority) AS level,
        CASE WHEN q.concurrency_limit IS NULL THEN pool.free
        ELSE MIN(pool.free, q.concurrency_limit - (
            SELECT count(*) FROM flow_run AS r
            WHERE r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
        )) END AS free
    FROM pool CROSS JOIN work_queue AS q
    WHERE q.work_pool_id = pool.id AND pool.free > 0 AND NOT q.is_paused
        AND (:ids IS NULL OR q.id IN (SELECT value FROM json_each(:ids)))
),
-- Level by level, until enough runs are found.
level (number, found) AS (
    SELECT 0, 0
    UNION ALL
    SELECT number + 1, found + (
        SELECT coalesce(sum(MIN(queue.free, (
            SELECT count(*) FROM (
                SELECT 1 FROM flow_run AS c
                WHERE c.work_queue_id = queue.id AND c.state_type = 'SCHEDULED'
                    AND c.next_scheduled_start_time <= :before
                    AND c.next_scheduled_start_time >= :after
                    AND (instr(c.empirical_policy, 'in_process') = 0
                        OR json_extract(c.empirical_policy, '$.retry_type') IS NOT 'in_process')
                LIMIT coalesce((SELECT free FROM pool), 0)
            )
        ))), 0)
        FROM queue WHERE queue.level = level.number + 1 AND queue.free > 0
    )
    FROM level
    WHERE found < (SELECT free FROM pool) AND number < (SELECT max(queue.level) FROM queue)
),
candidate AS MATERIALIZED (
    SELECT r.rowid AS place_in_table, r.id, queue.priority, queue.free, r.next_scheduled_start_time,
        row_number() OVER (
            PARTITION BY queue.id ORDER BY r.next_scheduled_start_time, r.id
        ) AS place
    FROM queue CROSS JOIN flow_run AS r
    WHERE queue.free > 0 AND queue.level <= (SELECT max(number) FROM level) AND r.rowid IN (
        SELECT c.rowid FROM flow_run AS c
        WHERE c.work_queue_id = queue.id AND c.state_type = 'SCHEDULED'
            AND c.next_scheduled_start_time <= :before
            AND c.next_scheduled_start_time >= :after
            AND (instr(c.empirical_policy, 'in_process') = 0
                OR json_extract(c.empirical_policy, '$.retry_type') IS NOT 'in_process')
        ORDER BY c.next_scheduled_start_time, c.id
        LIMIT coalesce((SELECT free FROM pool), 0)
    )
),
chosen AS MATERIALIZED (
    SELECT place_in_table, id, priority, next_scheduled_start_time FROM candidate
    WHERE place <= free
    ORDER BY priority, next_scheduled_start_time, id
    LIMIT coalesce((SELECT free FROM pool), 0)
)
SELECT run.*, pool.id AS work_pool_id, pool.name AS work_pool_name
FROM chosen CROSS JOIN flow_run AS run CROSS JOIN pool
WHERE run.rowid = chosen.place_in_table
ORDER BY chosen.priority, chosen.next_scheduled_start_time, chosen.id;
