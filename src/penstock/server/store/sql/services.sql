-- name: timer.due_after
-- Due timers in order, from behind a known one; nothing is locked, `timer.take` decides.
SELECT kind, key, due, payload
FROM timer
WHERE due <= :now AND (due, kind, key) > (:due, :kind, :key)
ORDER BY due, kind, key
LIMIT :limit;

-- name: flow_run.late
SELECT id, next_scheduled_start_time
FROM flow_run
WHERE state_type = 'SCHEDULED' AND state_name = 'Scheduled'
    AND next_scheduled_start_time <= :before
    AND (next_scheduled_start_time, id) > (:after_time, :after_id)
ORDER BY next_scheduled_start_time, id
LIMIT :limit;

-- name: flow_run.of_cancelled_parents
-- Subflow runs that go on although the run that called them was cancelled. Those that are being
-- cancelled by a worker already (they have a deployment) are left to it. CROSS JOIN, because
-- SQLite keeps its order: from the few runs that have not ended to the many that were cancelled.
SELECT r.id
FROM flow_run AS r
CROSS JOIN task_run AS t
CROSS JOIN flow_run AS parent
WHERE r.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
    AND (r.state_type <> 'CANCELLING' OR r.deployment_id IS NULL)
    AND r.id > :after
    AND t.id = r.parent_task_run_id
    AND parent.id = t.flow_run_id AND parent.state_type = 'CANCELLED'
ORDER BY r.id
LIMIT :limit;

-- name: flow_run.parent_state
SELECT parent.state_type
FROM flow_run AS r
JOIN task_run AS t ON t.id = r.parent_task_run_id
JOIN flow_run AS parent ON parent.id = t.flow_run_id
WHERE r.id = :id;

-- name: flow_run.expired
-- Read along the primary key, so that all pages together read the table once; the expression
-- keeps SQLite from the index of parents, which would read it once for each page.
SELECT id
FROM flow_run
WHERE id > :after
    AND coalesce(state_type, '') IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    AND end_time < :before
    AND coalesce(parent_task_run_id, '') = ''
ORDER BY id
LIMIT :limit;

-- name: task_run.of_cancelled_flow_runs
-- CROSS JOIN, because SQLite keeps its order: from the few task runs that have not ended to the
-- many flow runs that were cancelled.
SELECT t.id
FROM task_run AS t
CROSS JOIN flow_run AS r
WHERE t.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
    AND t.id > :after
    AND r.id = t.flow_run_id AND r.state_type = 'CANCELLED'
ORDER BY t.id
LIMIT :limit;

-- name: task_run.delete_stale_cache
-- Cache entries that expired or whose state is gone; neither can be hit again.
DELETE FROM task_run_state_cache
WHERE cache_expiration < :now
    OR NOT EXISTS (SELECT 1 FROM task_run_state AS s WHERE s.id = task_run_state_id);

-- name: log.runs_without_row
-- Flow runs that log records name and that are no longer there, one index step per run.
WITH RECURSIVE seen (id) AS (
    SELECT MIN(flow_run_id) FROM log WHERE flow_run_id > :after
    UNION ALL
    SELECT (SELECT MIN(flow_run_id) FROM log WHERE flow_run_id > seen.id)
    FROM seen WHERE seen.id IS NOT NULL
)
SELECT id FROM seen
WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM flow_run AS r WHERE r.id = seen.id)
LIMIT :limit;

-- name: log.delete_settled_of_flow_run
DELETE FROM log WHERE flow_run_id = :id AND created < :before;

-- name: event.expired
SELECT seq, occurred, resource_id, related FROM event
WHERE occurred < :before
ORDER BY occurred
LIMIT :limit;

-- name: event.expired_of_name
SELECT seq, occurred, resource_id, related FROM event
WHERE event = :event AND occurred < :before
ORDER BY occurred
LIMIT :limit;

-- name: event.delete
DELETE FROM event WHERE seq = :seq;

-- name: event.delete_resource
DELETE FROM event_resource
WHERE resource_id = :resource_id AND occurred = :occurred AND seq = :seq;
