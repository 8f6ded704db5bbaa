-- Schedules of deployments, and planning their runs.

-- name: deployment_schedule.insert
INSERT INTO deployment_schedule (
    id, deployment_id, schedule, active, slug, parameters, max_scheduled_runs, catch_up,
    cursor_time, due, created, updated
) VALUES (
    :id, :deployment_id, :schedule, :active, :slug, :parameters, :max_scheduled_runs,
    :catch_up, :cursor_time, :due, :now, :now
);

-- name: deployment_schedule.update
UPDATE deployment_schedule SET
    schedule = :schedule, active = :active, slug = :slug, parameters = :parameters,
    max_scheduled_runs = :max_scheduled_runs, catch_up = :catch_up, cursor_time = :cursor_time,
    due = :due,
    problem = NULL, updated = :now
WHERE id = :id;

-- name: deployment_schedule.restart
-- Plan again from now on, or not at all.
UPDATE deployment_schedule SET
    cursor_time = :now, due = CASE WHEN active AND :planned THEN :now ELSE :never END,
    problem = NULL
WHERE deployment_id = :deployment_id;

-- name: deployment_schedule.delete
DELETE FROM deployment_schedule WHERE id = :id;

-- name: deployment_schedule.get
SELECT * FROM deployment_schedule WHERE id = :id AND deployment_id = :deployment_id;

-- name: deployment_schedule.of
SELECT * FROM deployment_schedule WHERE deployment_id = :deployment_id
ORDER BY updated DESC, id DESC;

-- name: deployment_schedule.of_many
SELECT * FROM deployment_schedule
WHERE deployment_id IN (SELECT value FROM json_each(:ids))
ORDER BY updated DESC, id DESC;

-- name: deployment_schedule.due
SELECT id, schedule, cursor_time, due, catch_up FROM deployment_schedule
WHERE due <= :now
ORDER BY due, id
LIMIT :limit;

-- name: deployment_schedule.active_of
SELECT id, schedule, cursor_time, due, catch_up FROM deployment_schedule
WHERE deployment_id = :deployment_id AND active;

-- name: deployment_schedule.claim
-- Moves the cursors of schedules that are as they were when they were planned.
UPDATE deployment_schedule AS s SET cursor_time = j.cursor_time, due = j.due, problem = j.problem
FROM (
    SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.seen_due') AS seen_due,
        json_extract(value, '$.seen_cursor') AS seen_cursor,
        json_extract(value, '$.cursor_time') AS cursor_time,
        json_extract(value, '$.due') AS due, json_extract(value, '$.problem') AS problem
    FROM json_each(:plans)
) AS j
WHERE s.id = j.id AND s.due = j.seen_due AND s.cursor_time IS j.seen_cursor
RETURNING id;

-- name: deployment_schedule.sources
-- What runs of some schedules are made of.
SELECT s.id AS schedule_id, s.slug, s.schedule, s.parameters AS schedule_parameters,
    d.id AS deployment_id, d.flow_id, d.version, d.parameters, d.tags, d.labels,
    d.infrastructure_document_id, d.work_queue_id, d.work_queue_name,
    (SELECT q.work_pool_id FROM work_queue AS q WHERE q.id = d.work_queue_id) AS work_pool_id
FROM deployment_schedule AS s JOIN deployment AS d ON d.id = s.deployment_id
WHERE s.id IN (SELECT value FROM json_each(:ids));

-- name: deployment_schedule.insert_run
-- A run in its first state, which is inserted after it; nothing when its date has a run already.
INSERT INTO flow_run (
    id, flow_id, deployment_id, deployment_version, name, parameters, empirical_policy, tags, labels,
    idempotency_key, auto_scheduled, created_by, infrastructure_document_id, work_queue_id,
    work_queue_name, state_id, state_type, state_name, state_timestamp, version,
    expected_start_time, next_scheduled_start_time, created, updated
) VALUES (
    :id, :flow_id, :deployment_id, :version, :name, :parameters, :policy, :tags, :labels, :key, TRUE,
    :created_by, :infrastructure_document_id, :work_queue_id, :work_queue_name, :state_id,
    'SCHEDULED', 'Scheduled', :now, 1, :time, :time, :now, :now
)
ON CONFLICT DO NOTHING;

-- name: deployment_schedule.insert_state
INSERT INTO flow_run_state (id, flow_run_id, type, name, timestamp, message, state_details)
SELECT :state_id, id, state_type, state_name, state_timestamp, :message, :details
FROM flow_run WHERE id = :id;
