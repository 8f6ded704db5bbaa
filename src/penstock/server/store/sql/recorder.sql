-- Task runs and states built from the events of their engines.

-- name: recorder.flow_runs
SELECT id FROM flow_run WHERE id IN (SELECT value FROM json_each(:ids))

-- name: recorder.known
-- The rows that reported runs go to, found by id or by flow run, task key and dynamic key.
SELECT wanted.value ->> 'id' AS wanted_id, run.id, run.state_timestamp
FROM json_each(:runs) AS wanted
JOIN task_run AS run ON run.id = wanted.value ->> 'id'
UNION ALL
SELECT wanted.value ->> 'id', run.id, run.state_timestamp
FROM json_each(:runs) AS wanted
JOIN task_run AS run
    ON run.flow_run_id = wanted.value ->> 'flow_run_id'
    AND run.task_key = wanted.value ->> 'task_key'
    AND run.dynamic_key = wanted.value ->> 'dynamic_key'
WHERE run.id <> wanted.value ->> 'id'

-- name: recorder.save_run
-- Makes the run, or moves it to a newer state. The keys of a run never change.
INSERT INTO task_run (
    id, flow_run_id, task_key, dynamic_key, name, cache_key, cache_expiration, task_version,
    task_inputs, flow_run_run_count, empirical_policy, tags, labels, state_id, state_type,
    state_name, state_timestamp, run_count, start_time, end_time, expected_start_time,
    next_scheduled_start_time, total_run_time, created, updated
) VALUES (
    :id, :flow_run_id, :task_key, :dynamic_key, :name, :cache_key, :cache_expiration,
    :task_version, :task_inputs, :flow_run_run_count, :empirical_policy, :tags, :labels,
    :state_id, :state_type, :state_name, :state_timestamp, :run_count, :start_time, :end_time,
    :expected_start_time, :next_scheduled_start_time, :total_run_time, :now, :now
)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    cache_key = excluded.cache_key,
    cache_expiration = excluded.cache_expiration,
    task_version = excluded.task_version,
    task_inputs = excluded.task_inputs,
    flow_run_run_count = excluded.flow_run_run_count,
    empirical_policy = excluded.empirical_policy,
    tags = excluded.tags,
    labels = excluded.labels,
    state_id = excluded.state_id,
    state_type = excluded.state_type,
    state_name = excluded.state_name,
    state_timestamp = excluded.state_timestamp,
    run_count = excluded.run_count,
    start_time = excluded.start_time,
    end_time = excluded.end_time,
    expected_start_time = excluded.expected_start_time,
    next_scheduled_start_time = excluded.next_scheduled_start_time,
    total_run_time = excluded.total_run_time,
    updated = excluded.updated
WHERE task_run.state_timestamp IS NULL OR excluded.state_timestamp > task_run.state_timestamp

-- name: recorder.insert_state
INSERT INTO task_run_state (
    id, task_run_id, type, name, timestamp, message, state_details, data
) VALUES (
    :id, :task_run_id, :type, :name, :timestamp, :message, :state_details, :data
)
ON CONFLICT DO NOTHING

-- name: recorder.states
SELECT task_run_id, type, name, timestamp, state_details
FROM task_run_state
WHERE task_run_id IN (SELECT value FROM json_each(:ids))
ORDER BY task_run_id, timestamp

-- name: recorder.set_times
UPDATE task_run SET
    run_count = :run_count, start_time = :start_time, end_time = :end_time,
    expected_start_time = :expected_start_time,
    next_scheduled_start_time = :next_scheduled_start_time, total_run_time = :total_run_time
WHERE id = :id
