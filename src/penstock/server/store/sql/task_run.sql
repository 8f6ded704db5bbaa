-- name: task_run.insert
INSERT INTO task_run (
    id, flow_run_id, task_key, dynamic_key, name, cache_key, cache_expiration, task_version,
    task_inputs, empirical_policy, tags, labels, created, updated
) VALUES (
    :id, :flow_run_id, :task_key, :dynamic_key, :name, :cache_key, :cache_expiration,
    :task_version, :task_inputs, :empirical_policy, :tags, :labels, :now, :now
)
ON CONFLICT DO NOTHING
RETURNING *;

-- name: task_run.get
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data
FROM task_run AS r
LEFT JOIN task_run_state AS s ON s.id = r.state_id
WHERE r.id = :id;

-- name: task_run.lock
-- As flow_run.lock.
SELECT id FROM task_run WHERE id = :id;

-- name: task_run.get_by_key
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data
FROM task_run AS r
LEFT JOIN task_run_state AS s ON s.id = r.state_id
WHERE r.flow_run_id = :flow_run_id AND r.task_key = :task_key AND r.dynamic_key = :dynamic_key;

-- name: task_run.get_by_key_alone
-- A run outside every flow run is known by its keys alone.
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data
FROM task_run AS r
LEFT JOIN task_run_state AS s ON s.id = r.state_id
WHERE r.flow_run_id IS NULL AND r.task_key = :task_key AND r.dynamic_key = :dynamic_key
ORDER BY r.id
LIMIT 1;

-- name: task_run.set_name
UPDATE task_run SET name = :name, updated = :now WHERE id = :id;

-- name: task_run.delete
DELETE FROM task_run WHERE id = :id;

-- name: task_run.states
SELECT * FROM task_run_state WHERE task_run_id = :id ORDER BY timestamp, id;

-- name: task_run.state
SELECT * FROM task_run_state WHERE id = :id;

-- name: task_run.of_flow_run
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data
FROM task_run AS r
LEFT JOIN task_run_state AS s ON s.id = r.state_id
WHERE r.flow_run_id = :id
ORDER BY r.id;

-- name: task_run.for_graph
SELECT id, name, state_type, start_time, end_time, expected_start_time, task_inputs
FROM task_run
WHERE flow_run_id = :id AND state_type IS NOT NULL AND state_type <> 'PENDING'
    AND (start_time IS NOT NULL OR expected_start_time IS NOT NULL)
LIMIT :limit;

-- name: task_run.named
SELECT id, name, tags FROM task_run WHERE id = :id;
