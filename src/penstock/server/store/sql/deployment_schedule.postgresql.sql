-- name: deployment_schedule.restart
UPDATE deployment_schedule SET
    cursor_time = :now,
    due = CASE WHEN active AND :planned::boolean THEN :now::bigint ELSE :never::bigint END,
    problem = NULL
WHERE deployment_id = :deployment_id;

-- name: deployment_schedule.of
SELECT * FROM deployment_schedule WHERE deployment_id = :deployment_id
ORDER BY updated DESC, id DESC;

-- name: deployment_schedule.of_many
SELECT * FROM deployment_schedule
WHERE deployment_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
ORDER BY updated DESC, id DESC;

-- name: deployment_schedule.claim
-- In one order for everybody, so that two schedulers do not wait for each other in a circle.
WITH wanted AS (
    SELECT s.id, j.cursor_time, j.due, j.problem
    FROM json_to_recordset(:plans::json) AS j (
        id TEXT, seen_due BIGINT, seen_cursor BIGINT, cursor_time BIGINT, due BIGINT, problem TEXT
    )
    JOIN deployment_schedule AS s ON s.id = j.id
    WHERE s.due = j.seen_due AND s.cursor_time IS NOT DISTINCT FROM j.seen_cursor
    ORDER BY s.id
    FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE deployment_schedule AS s
SET cursor_time = wanted.cursor_time, due = wanted.due, problem = wanted.problem
FROM wanted
WHERE s.id = wanted.id
RETURNING s.id;

-- name: deployment_schedule.sources
-- The flows are kept first, as whoever deletes one takes it before what belongs to it.
SELECT s.id AS schedule_id, s.slug, s.schedule, s.parameters AS schedule_parameters,
    d.id AS deployment_id, d.flow_id, d.version, d.parameters, d.tags, d.labels,
    d.infrastructure_document_id, d.work_queue_id, d.work_queue_name,
    (SELECT q.work_pool_id FROM work_queue AS q WHERE q.id = d.work_queue_id) AS work_pool_id
FROM deployment_schedule AS s
JOIN deployment AS d ON d.id = s.deployment_id
JOIN flow AS f ON f.id = d.flow_id
WHERE s.id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
ORDER BY f.id
FOR KEY SHARE OF f;
