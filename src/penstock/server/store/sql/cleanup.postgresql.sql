-- Owed teardowns, as PostgreSQL says it. Leases are timed by the database's clock.

-- name: cleanup.clock
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at

-- name: cleanup.lock
SELECT * FROM cleanup_message WHERE id = :id FOR UPDATE

-- name: cleanup.lock_bound
SELECT m.*, r.id AS run_id, r.infrastructure_pid AS run_pid, r.state_type AS run_state
FROM cleanup_message AS m
LEFT JOIN flow_run AS r ON r.id = m.flow_run_id
WHERE m.id = :id
FOR UPDATE OF m

-- name: cleanup.lock_ready
SELECT m.*, r.id AS run_id, r.infrastructure_pid AS run_pid, r.state_type AS run_state
FROM cleanup_message AS m
LEFT JOIN flow_run AS r ON r.id = m.flow_run_id
WHERE m.id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND m.state = 0 AND m.available_at <= :now
FOR UPDATE OF m SKIP LOCKED

-- name: cleanup.bindings
-- What the ledger and the flow runs of messages say now.
SELECT m.id, m.fence, r.id AS run_id, r.infrastructure_pid AS run_pid, r.state_type AS run_state
FROM cleanup_message AS m
LEFT JOIN flow_run AS r ON r.id = m.flow_run_id
WHERE m.id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))

-- name: cleanup.peek
SELECT
    id, fence, kind, work_queue_id, available_at, queued_at, affinity_worker_name, host_id,
    placement, tried_workers
FROM cleanup_message
WHERE work_pool_id = :work_pool_id AND state = 0 AND available_at <= :now
    AND (available_at, id) > (:after_at, :after_id)
    AND kind = ANY(ARRAY(SELECT json_array_elements_text(:kinds::json)))
    AND (placement = 'any'
        OR (placement = 'prefer' AND (affinity_worker_name IS NULL OR queued_at <= :widened))
        OR affinity_worker_name = ANY(ARRAY(SELECT json_array_elements_text(:workers::json)))
        OR host_id = ANY(ARRAY(SELECT json_array_elements_text(:hosts::json))))
ORDER BY available_at, id
LIMIT :limit

-- name: cleanup.overdue
SELECT id FROM cleanup_message
WHERE state = 1 AND lease_expires_at <= :now
    AND (:work_pool_id::text IS NULL OR work_pool_id = :work_pool_id::text)
ORDER BY lease_expires_at
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: cleanup.next_due
SELECT work_pool_id, min(due) AS due FROM (
    SELECT work_pool_id, min(available_at) AS due FROM cleanup_message
    WHERE state = 0
        AND work_pool_id = ANY(ARRAY(SELECT json_array_elements_text(:pools::json)))
    GROUP BY work_pool_id
    UNION ALL
    SELECT work_pool_id, min(lease_expires_at) AS due FROM cleanup_message
    WHERE state = 1
        AND work_pool_id = ANY(ARRAY(SELECT json_array_elements_text(:pools::json)))
    GROUP BY work_pool_id
) AS moments
GROUP BY work_pool_id

-- name: cleanup_server.lost
SELECT value AS id FROM json_array_elements_text(:ids::json) AS given (value)
WHERE NOT EXISTS (
    SELECT 1 FROM lease WHERE lease.name = 'cleanup-server:' || value AND lease.expires > :now
)
