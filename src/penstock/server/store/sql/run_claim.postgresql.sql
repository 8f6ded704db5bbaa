-- name: run_claim.next_of_deployments
SELECT min(next_scheduled_start_time) AS due FROM flow_run
WHERE deployment_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND state_type = 'SCHEDULED' AND next_scheduled_start_time > :now;

-- name: run_claim.deployments_due
-- A run that a transition has locked is about to be taken, so it is passed over.
SELECT r.*, q.work_pool_id, p.name AS work_pool_name
FROM flow_run AS r
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.state_type = 'SCHEDULED'
    AND r.deployment_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND r.next_scheduled_start_time <= :before
    AND (strpos(r.empirical_policy, 'in_process') = 0
        OR (r.empirical_policy::json ->> 'retry_type') IS DISTINCT FROM 'in_process')
ORDER BY r.next_scheduled_start_time, r.id
LIMIT :limit
FOR NO KEY UPDATE OF r SKIP LOCKED;
