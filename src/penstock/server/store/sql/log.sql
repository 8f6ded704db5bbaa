-- name: log.insert
INSERT INTO log (id, name, level, message, timestamp, flow_run_id, task_run_id, created)
VALUES (:id, :name, :level, :message, :timestamp, :flow_run_id, :task_run_id, :now);

-- name: log.of_flow_run
SELECT * FROM log
WHERE flow_run_id = :id
    AND (timestamp, id) > (:after_time, :after_id)
ORDER BY timestamp, id
LIMIT :limit;

-- name: log.delete_of_flow_run
DELETE FROM log WHERE flow_run_id = :id;

-- name: log.delete_of_task_run
DELETE FROM log WHERE task_run_id = :id;
