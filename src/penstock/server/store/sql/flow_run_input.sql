-- name: flow_run_input.insert
INSERT INTO flow_run_input (id, flow_run_id, key, value, sender, created, updated)
VALUES (:id, :flow_run_id, :key, :value, :sender, :now, :now)
ON CONFLICT DO NOTHING;

-- name: flow_run_input.get
SELECT * FROM flow_run_input WHERE flow_run_id = :flow_run_id AND key = :key;

-- name: flow_run_input.delete
DELETE FROM flow_run_input WHERE flow_run_id = :flow_run_id AND key = :key;

-- name: flow_run_input.by_prefix
SELECT * FROM flow_run_input
WHERE flow_run_id = :flow_run_id
    AND substr(key, 1, length(:prefix)) = :prefix
    AND key NOT IN (SELECT value FROM json_each(:exclude_keys))
ORDER BY created, id
LIMIT :limit;
