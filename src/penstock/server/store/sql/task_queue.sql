-- The queue of background task runs, and who is there to take them.

-- name: task_queue.offer
INSERT INTO task_queue (task_run_id, task_key, due)
SELECT id, task_key, :due FROM task_run WHERE id = :task_run_id
ON CONFLICT (task_run_id) DO UPDATE SET due = excluded.due, connection_id = NULL;

-- name: task_queue.withdraw
DELETE FROM task_queue WHERE task_run_id = :task_run_id;

-- name: task_queue.next
-- Runs of these tasks that are due, and of which this transaction decides.
SELECT task_run_id FROM task_queue
WHERE task_key IN (SELECT value FROM json_each(:keys)) AND due <= :now
ORDER BY due, task_run_id
LIMIT 1;

-- name: task_queue.is_waiting
SELECT 1 AS found FROM task_queue
WHERE task_key IN (SELECT value FROM json_each(:keys)) AND due <= :now
LIMIT 1;

-- name: task_queue.lend
UPDATE task_queue SET due = :until, connection_id = :connection_id
WHERE task_run_id = :task_run_id;

-- name: task_queue.extend
UPDATE task_queue SET due = :until WHERE connection_id = :connection_id;

-- name: task_queue.return
UPDATE task_queue SET due = :now, connection_id = NULL WHERE connection_id = :connection_id;

-- name: task_worker.put
INSERT INTO task_worker (connection_id, identifier, task_keys, timestamp)
VALUES (:connection_id, :identifier, :task_keys, :now)
ON CONFLICT (connection_id) DO UPDATE SET timestamp = excluded.timestamp;

-- name: task_worker.delete
DELETE FROM task_worker WHERE connection_id = :connection_id;

-- name: task_worker.delete_silent
DELETE FROM task_worker WHERE timestamp < :before;

-- name: task_worker.present
SELECT * FROM task_worker WHERE timestamp >= :since ORDER BY identifier, connection_id;
