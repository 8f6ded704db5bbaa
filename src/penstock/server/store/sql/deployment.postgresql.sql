-- name: deployment.lock
SELECT id FROM deployment WHERE id = :id FOR NO KEY UPDATE;

-- name: deployment.find
SELECT id FROM deployment WHERE flow_id = :flow_id AND name = :name FOR NO KEY UPDATE;

-- name: deployment.pools
SELECT q.id, p.name AS work_pool_name
FROM work_queue AS q JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE q.id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: deployment.limits
SELECT * FROM concurrency_limit
WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)));

-- name: deployment.variables
SELECT name, value FROM variable
WHERE name = ANY(ARRAY(SELECT json_array_elements_text(:names::json)));

-- name: deployment.polled
UPDATE deployment SET last_polled = :now, status = 'READY'
WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before);

-- name: deployment.stale_polls
SELECT id FROM deployment
WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before);

-- name: deployment.to_be_marked
SELECT id, status FROM deployment
WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before)
ORDER BY id
FOR NO KEY UPDATE;

-- name: deployment.scheduled_runs
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data, q.work_pool_id, p.name AS work_pool_name
FROM flow_run AS r
LEFT JOIN flow_run_state AS s ON s.id = r.state_id
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.state_type = 'SCHEDULED'
    AND r.deployment_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND r.next_scheduled_start_time <= :before
ORDER BY r.next_scheduled_start_time, r.id
LIMIT :limit;
