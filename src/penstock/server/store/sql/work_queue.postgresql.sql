-- name: work_queue.lock_pool
SELECT id FROM work_pool
WHERE id = (SELECT work_pool_id FROM work_queue WHERE id = :id)
FOR NO KEY UPDATE;

-- name: work_queue.polled
SELECT q.*, p.name AS work_pool_name, p.type AS work_pool_type
FROM work_queue AS q
JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE q.id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND (q.status = 'NOT_READY' OR q.last_polled IS NULL OR q.last_polled < :before)
ORDER BY q.id
FOR NO KEY UPDATE OF q;

-- name: work_queue.polled_deployments
SELECT id FROM deployment
WHERE work_queue_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
    AND (status <> 'READY' OR last_polled IS NULL OR last_polled < :before);
