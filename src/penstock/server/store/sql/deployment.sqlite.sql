-- name: deployment.scheduled_runs
-- The index is named because the planner prefers to read what is scheduled for everybody.
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data, q.work_pool_id, p.name AS work_pool_name
FROM flow_run AS r INDEXED BY flow_run_scheduled
LEFT JOIN flow_run_state AS s ON s.id = r.state_id
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.state_type = 'SCHEDULED'
    AND r.deployment_id IN (SELECT value FROM json_each(:ids))
    AND r.next_scheduled_start_time <= :before
ORDER BY r.next_scheduled_start_time, r.id
LIMIT :limit;
