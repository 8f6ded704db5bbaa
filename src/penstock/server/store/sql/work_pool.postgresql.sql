-- name: work_pool.lock
SELECT * FROM work_pool WHERE name = :name FOR NO KEY UPDATE;

-- name: work_pool.polled_queues
SELECT p.id AS work_pool_id, p.is_paused AS pool_is_paused, q.id, q.name, q.status, q.last_polled
FROM work_pool AS p
LEFT JOIN work_queue AS q ON q.work_pool_id = p.id
    AND (:names::text IS NULL
        OR q.name = ANY(ARRAY(SELECT json_array_elements_text(:names::json))))
WHERE p.name = :name;

-- name: work_pool.due_runs
-- A run that a transition has locked is about to leave the queue, so it is passed over. Only what
-- is answered is locked. Queues behind those that have enough runs are not looked at.
WITH RECURSIVE pool AS MATERIALIZED (
    SELECT p.id, p.name, CASE WHEN p.concurrency_limit IS NULL THEN :limit::bigint
        ELSE least(:limit::bigint, greatest(0, p.concurrency_limit - (
            SELECT count(*) FROM work_queue AS q JOIN flow_run AS r ON r.work_queue_id = q.id
            WHERE q.work_pool_id = p.id AND r.state_type IN ('PENDING', 'RUNNING')
        ))) END AS free
    FROM work_pool AS p
    WHERE p.id = :work_pool_id AND NOT p.is_paused
),
queue AS MATERIALIZED (
    SELECT q.id, dense_rank() OVER (ORDER BY q.priority) AS level, q.priority,
        CASE WHEN q.concurrency_limit IS NULL THEN pool.free
        ELSE least(pool.free, greatest(0, q.concurrency_limit - (
            SELECT count(*) FROM flow_run AS r
            WHERE r.work_queue_id = q.id AND r.state_type IN ('PENDING', 'RUNNING')
        ))) END AS free
    FROM pool JOIN work_queue AS q ON q.work_pool_id = pool.id
    WHERE pool.free > 0 AND NOT q.is_paused
        AND (:ids::text IS NULL
            OR q.id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json))))
),
-- Level by level of priority, until enough runs are found.
level (number, found) AS (
    SELECT 0::bigint, 0::bigint
    UNION ALL
    SELECT level.number + 1, level.found + (
        SELECT coalesce(sum((
            SELECT count(*) FROM (
                SELECT 1 FROM flow_run AS c
                WHERE c.work_queue_id = queue.id AND c.state_type = 'SCHEDULED'
                    AND c.next_scheduled_start_time <= :before
                    AND c.next_scheduled_start_time >= :after
                    AND (strpos(c.empirical_policy, 'in_process') = 0
                        OR (c.empirical_policy::json ->> 'retry_type')
                            IS DISTINCT FROM 'in_process')
                LIMIT queue.free
            ) AS due
        )), 0)::bigint
        FROM queue WHERE queue.level = level.number + 1 AND queue.free > 0
    )
    FROM level
    WHERE level.found < (SELECT free FROM pool)
        AND level.number < (SELECT max(queue.level) FROM queue)
),
chosen AS MATERIALIZED (
    SELECT candidate.id, queue.priority, candidate.next_scheduled_start_time
    FROM queue CROSS JOIN LATERAL (
        SELECT c.id, c.next_scheduled_start_time FROM flow_run AS c
        WHERE c.work_queue_id = queue.id AND c.state_type = 'SCHEDULED'
            AND c.next_scheduled_start_time <= :before
            AND c.next_scheduled_start_time >= :after
            AND (strpos(c.empirical_policy, 'in_process') = 0
                OR (c.empirical_policy::json ->> 'retry_type') IS DISTINCT FROM 'in_process')
        ORDER BY c.next_scheduled_start_time, c.id
        LIMIT queue.free
    ) AS candidate
    WHERE queue.level <= (SELECT max(level.number) FROM level)
    ORDER BY queue.priority, candidate.next_scheduled_start_time, candidate.id
    LIMIT (SELECT free FROM pool)
)
SELECT run.*, pool.id AS work_pool_id, pool.name AS work_pool_name
FROM chosen JOIN flow_run AS run ON run.id = chosen.id CROSS JOIN pool
ORDER BY chosen.priority, chosen.next_scheduled_start_time, chosen.id
FOR NO KEY UPDATE OF run SKIP LOCKED;
