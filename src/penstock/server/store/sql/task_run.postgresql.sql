-- name: task_run.lock
SELECT id FROM task_run WHERE id = :id FOR UPDATE;
