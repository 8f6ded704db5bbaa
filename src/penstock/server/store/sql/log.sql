-- name: log.insert
INSERT INTO log (id, name, level, message, timestamp, flow_run_id, task_run_id, created)
VALUES (:id, :name, :level, :message, :timestamp, :flow_run_id, :task_run_id, :now);

-- name: log.of_flow_run
SELECT * FROM log
WHERE flow_run_id = :id
    AND (timestamp > :after_time OR (timestamp = :after_time AND id > :after_id))
ORDER BY timestamp, id
LIMIT :limit;

-- name: log.delete_of_flow_run
DELETE FROM log WHERE flow_run_id = :id;

-- name: log.delete_of_task_run
DELETE FROM log WHERE task_run_id = :id;

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
