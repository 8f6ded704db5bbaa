-- name: ui.task_runs_of_flow_runs
SELECT flow_run_id AS id, COUNT(*) AS amount FROM task_run
WHERE flow_run_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
GROUP BY flow_run_id;

-- name: ui.deployments_of_flows
SELECT flow_id AS id, COUNT(*) AS amount FROM deployment
WHERE flow_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
GROUP BY flow_id;

-- name: ui.next_runs_of_flows
SELECT id, flow_id, name, state_name, state_type, next_scheduled_start_time
FROM (
    SELECT id, flow_id, name, state_name, state_type, next_scheduled_start_time,
        ROW_NUMBER() OVER (
            PARTITION BY flow_id ORDER BY next_scheduled_start_time, id
        ) AS place
    FROM flow_run
    WHERE flow_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
        AND state_type = 'SCHEDULED' AND next_scheduled_start_time IS NOT NULL
) AS placed
WHERE place = 1;
