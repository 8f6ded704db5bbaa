-- name: recorder.flow_runs
-- The flow runs cannot be deleted before the transaction ends.
SELECT id FROM flow_run WHERE id IN (SELECT json_array_elements_text(:ids::json))
ORDER BY id
FOR KEY SHARE

-- name: recorder.known
SELECT wanted.value ->> 'id' AS wanted_id, run.id, run.state_timestamp
FROM json_array_elements(:runs::json) AS wanted
JOIN task_run AS run ON run.id = wanted.value ->> 'id'
UNION ALL
SELECT wanted.value ->> 'id', run.id, run.state_timestamp
FROM json_array_elements(:runs::json) AS wanted
JOIN task_run AS run
    ON run.flow_run_id = wanted.value ->> 'flow_run_id'
    AND run.task_key = wanted.value ->> 'task_key'
    AND run.dynamic_key = wanted.value ->> 'dynamic_key'
WHERE run.id <> wanted.value ->> 'id'

-- name: recorder.states
SELECT task_run_id, type, name, timestamp, state_details
FROM task_run_state
WHERE task_run_id IN (SELECT json_array_elements_text(:ids::json))
ORDER BY task_run_id, timestamp
