-- name: flow_run.late
-- The index is named because the planner prefers one that holds runs that are late already, too.
SELECT id, next_scheduled_start_time
FROM flow_run INDEXED BY flow_run_to_come
WHERE state_type = 'SCHEDULED' AND state_name = 'Scheduled'
    AND next_scheduled_start_time <= :before
    AND (next_scheduled_start_time, id) > (:after_time, :after_id)
ORDER BY next_scheduled_start_time, id
LIMIT :limit;
