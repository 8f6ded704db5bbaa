-- Deployments. A row that an event is made of carries the names of its flow, queue and pool.

-- name: deployment.get
SELECT d.*, f.name AS flow_name, f.tags AS flow_tags, q.name AS queue_name,
    p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type
FROM deployment AS d
JOIN flow AS f ON f.id = d.flow_id
LEFT JOIN work_queue AS q ON q.id = d.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE d.id = :id;

-- name: deployment.get_by_name
SELECT d.*, f.name AS flow_name, q.name AS queue_name, p.id AS work_pool_id,
    p.name AS work_pool_name, p.type AS work_pool_type
FROM deployment AS d
JOIN flow AS f ON f.id = d.flow_id
LEFT JOIN work_queue AS q ON q.id = d.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE f.name = :flow_name AND d.name = :name;

-- name: deployment.lock
-- Keeps the deployment as it is to the end of the transaction.
SELECT id FROM deployment WHERE id = :id;

-- name: deployment.find
SELECT id FROM deployment WHERE flow_id = :flow_id AND name = :name;

-- name: deployment.of_flow
SELECT id FROM deployment WHERE flow_id = :flow_id ORDER BY id LIMIT :limit;

-- name: deployment.insert
INSERT INTO deployment (
    id, flow_id, name, version, version_info, description, paused, tags, labels, parameters,
    parameter_openapi_schema, enforce_parameter_schema, pull_steps, path, entrypoint,
    job_variables, work_queue_id, work_queue_name, concurrency_limit_id, concurrency_options,
    storage_document_id, infrastructure_document_id, created_by, updated_by, created, updated
) VALUES (
    :id, :flow_id, :name, :version, :version_info, :description, :paused, :tags, :labels,
    :parameters, :parameter_openapi_schema, :enforce_parameter_schema, :pull_steps, :path,
    :entrypoint, :job_variables, :work_queue_id, :work_queue_name, :concurrency_limit_id,
    :concurrency_options, :storage_document_id, :infrastructure_document_id, :created_by,
    :updated_by, :now, :now
);

-- name: deployment.update
UPDATE deployment SET
    version = :version, version_info = :version_info, description = :description,
    paused = :paused, tags = :tags, labels = :labels, parameters = :parameters,
    parameter_openapi_schema = :parameter_openapi_schema,
    enforce_parameter_schema = :enforce_parameter_schema, pull_steps = :pull_steps, path = :path,
    entrypoint = :entrypoint, job_variables = :job_variables, work_queue_id = :work_queue_id,
    work_queue_name = :work_queue_name, concurrency_limit_id = :concurrency_limit_id,
    concurrency_options = :concurrency_options, storage_document_id = :storage_document_id,
    infrastructure_document_id = :infrastructure_document_id, updated_by = :updated_by,
    updated = :now
WHERE id = :id;

-- name: deployment.delete
DELETE FROM deployment WHERE id = :id;

-- name: deployment.pools
-- The pools of some queues.
SELECT q.id, p.name AS work_pool_name
FROM work_queue AS q JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE q.id IN (SELECT value FROM json_each(:ids));

-- name: deployment.limits
SELECT * FROM concurrency_limit WHERE id IN (SELECT value FROM json_each(:ids));

-- name: deployment.limit_users
-- Other deployments with the same limit.
SELECT id FROM deployment WHERE concurrency_limit_id = :limit_id AND id <> :id LIMIT 1;

-- name: deployment.of_limit
-- Deployments that have the limit, with the names that their events carry.
SELECT d.*, f.name AS flow_name, q.name AS queue_name, p.id AS work_pool_id,
    p.name AS work_pool_name, p.type AS work_pool_type
FROM deployment AS d
JOIN flow AS f ON f.id = d.flow_id
LEFT JOIN work_queue AS q ON q.id = d.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE d.concurrency_limit_id = :limit_id
ORDER BY d.id;

-- name: deployment.detach_limit
UPDATE deployment SET concurrency_limit_id = NULL, updated = :now
WHERE concurrency_limit_id = :limit_id;

-- name: deployment.queue
-- A pool and, when it has one of that name, its queue.
SELECT p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type,
    p.base_job_template, p.default_queue_id, q.id AS work_queue_id, q.name AS queue_name
FROM work_pool AS p
LEFT JOIN work_queue AS q ON q.work_pool_id = p.id
    AND CASE WHEN CAST(:queue AS TEXT) IS NULL THEN q.id = p.default_queue_id
        ELSE q.name = :queue END
WHERE p.name = :pool;

-- name: deployment.pool
SELECT p.name AS work_pool_name, p.base_job_template
FROM work_queue AS q JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE q.id = :queue_id;

-- name: deployment.variables
SELECT name, value FROM variable WHERE name IN (SELECT value FROM json_each(:names));

-- name: deployment.polled
-- Whoever polls does so every few seconds; that it is alive is worth a write now and then only.
UPDATE deployment SET last_polled = :now, status = 'READY'
WHERE id IN (SELECT value FROM json_each(:ids))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before);

-- name: deployment.stale_polls
SELECT id FROM deployment
WHERE id IN (SELECT value FROM json_each(:ids))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before);

-- name: deployment.to_be_marked
-- As deployment.stale_polls, and they stay as they are to the end of the transaction.
SELECT id, status FROM deployment
WHERE id IN (SELECT value FROM json_each(:ids))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before);

-- name: deployment.scheduled_runs
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data, q.work_pool_id, p.name AS work_pool_name
FROM flow_run AS r
LEFT JOIN flow_run_state AS s ON s.id = r.state_id
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.state_type = 'SCHEDULED'
    AND r.deployment_id IN (SELECT value FROM json_each(:ids))
    AND r.next_scheduled_start_time <= :before
ORDER BY r.next_scheduled_start_time, r.id
LIMIT :limit;

-- name: deployment.delete_future_runs
-- Runs that the scheduler made and nothing has touched since.
DELETE FROM flow_run
WHERE state_type = 'SCHEDULED' AND deployment_id = :id AND auto_scheduled AND run_count = 0
    AND next_scheduled_start_time > :after;

-- name: deployment.delete_future_runs_of_schedule
DELETE FROM flow_run
WHERE state_type = 'SCHEDULED' AND deployment_id = :id AND auto_scheduled AND run_count = 0
    AND next_scheduled_start_time > :after
    AND idempotency_key LIKE :keys;

-- name: deployment.requested_runs
-- Scheduled runs that somebody asked for.
SELECT * FROM flow_run
WHERE state_type = 'SCHEDULED' AND deployment_id = :id
ORDER BY id
LIMIT :limit;
