-- name: flow_run.insert
-- With its first state, which is inserted next.
INSERT INTO flow_run (
    id, flow_id, deployment_id, deployment_version, flow_version, name, parameters, context,
    empirical_policy, tags, labels, job_variables, idempotency_key, auto_scheduled, created_by,
    infrastructure_document_id, parent_task_run_id, work_queue_id, work_queue_name, state_id,
    state_type, state_name, state_timestamp, version, run_count, start_time, end_time,
    expected_start_time, next_scheduled_start_time, total_run_time, created, updated
) VALUES (
    :id, :flow_id, :deployment_id, :deployment_version, :flow_version, :name, :parameters,
    :context, :empirical_policy, :tags, :labels, :job_variables, :idempotency_key,
    :auto_scheduled, :created_by, :infrastructure_document_id, :parent_task_run_id,
    :work_queue_id, :work_queue_name, :state_id, :state_type, :state_name, :state_timestamp, 1,
    :run_count, :start_time, :end_time, :expected_start_time, :next_scheduled_start_time,
    :total_run_time, :created, :updated
)
ON CONFLICT DO NOTHING;

-- name: flow_run.get
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data, q.work_pool_id, p.name AS work_pool_name
FROM flow_run AS r
LEFT JOIN flow_run_state AS s ON s.id = r.state_id
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.id = :id;

-- name: flow_run.get_by_key
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data, q.work_pool_id, p.name AS work_pool_name
FROM flow_run AS r
LEFT JOIN flow_run_state AS s ON s.id = r.state_id
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.flow_id = :flow_id AND r.idempotency_key = :idempotency_key;

-- name: flow_run.lock
-- Keeps the run as it is to the end of the transaction. Read it in a statement of its own after
-- that: a statement that waited for the lock sees the new row beside the old state.
SELECT id FROM flow_run WHERE id = :id;

-- name: flow_run.exists
SELECT id FROM flow_run WHERE id = :id;

-- name: flow_run.update
UPDATE flow_run
SET name = :name, flow_version = :flow_version, parameters = :parameters,
    empirical_policy = :empirical_policy, tags = :tags, labels = :labels,
    job_variables = :job_variables, infrastructure_pid = :infrastructure_pid, updated = :now
WHERE id = :id;

-- name: flow_run.delete
DELETE FROM flow_run WHERE id = :id;

-- name: flow_run.orphan_children
UPDATE flow_run SET parent_task_run_id = NULL
WHERE parent_task_run_id IN (SELECT id FROM task_run WHERE flow_run_id = :id);

-- name: flow_run.orphan_children_of_task_run
UPDATE flow_run SET parent_task_run_id = NULL WHERE parent_task_run_id = :id;

-- name: flow_run.states
SELECT * FROM flow_run_state WHERE flow_run_id = :id ORDER BY timestamp, id;

-- name: flow_run.state
SELECT * FROM flow_run_state WHERE id = :id;

-- name: flow_run.children
-- Subflow runs of a run, through the task runs that stand for them.
SELECT r.*, f.name AS flow_name
FROM task_run AS t
JOIN flow_run AS r ON r.parent_task_run_id = t.id
JOIN flow AS f ON f.id = r.flow_id
WHERE t.flow_run_id = :id;
