-- name: task_queue.next
SELECT task_run_id FROM task_queue
WHERE task_key = ANY(ARRAY(SELECT json_array_elements_text(:keys::json))) AND due <= :now
ORDER BY due, task_run_id
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: task_queue.is_waiting
SELECT 1 AS found FROM task_queue
WHERE task_key = ANY(ARRAY(SELECT json_array_elements_text(:keys::json))) AND due <= :now
LIMIT 1;
