-- Artifacts and, for each key, its newest one (`artifact.*_collection`). Whoever changes artifacts
-- with a key holds the collection of the key first.

-- name: artifact.insert
INSERT INTO artifact (
    id, key, type, data, description, metadata_, flow_run_id, task_run_id, created, updated
) VALUES (
    :id, :key, :type, :data, :description, :metadata_, :flow_run_id, :task_run_id, :now, :now
);

-- name: artifact.get
SELECT * FROM artifact WHERE id = :id;

-- name: artifact.get_result
-- The result of a run as an artifact: the data of a state, see selection/artifacts.py.
SELECT state.id, NULL AS key, 'result' AS type, state.data, NULL AS description,
    NULL AS metadata_, state.flow_run_id, NULL AS task_run_id,
    state.timestamp AS created, state.timestamp AS updated
FROM flow_run_state AS state
WHERE state.id = :id AND state.data IS NOT NULL AND state.data <> 'null'
    AND coalesce(state.data ->> 'type', '') NOT IN ('null', 'unpersisted')
UNION ALL
SELECT state.id, NULL, 'result', state.data, NULL, NULL, run.flow_run_id, state.task_run_id,
    state.timestamp, state.timestamp
FROM task_run_state AS state JOIN task_run AS run ON run.id = state.task_run_id
WHERE state.id = :id AND state.data IS NOT NULL AND state.data <> 'null'
    AND coalesce(state.data ->> 'type', '') NOT IN ('null', 'unpersisted');

-- name: artifact.forget_flow_run_result
UPDATE flow_run_state SET data = NULL WHERE id = :id;

-- name: artifact.forget_task_run_result
UPDATE task_run_state SET data = NULL WHERE id = :id;

-- name: artifact.update
UPDATE artifact
SET data = :data, description = :description, metadata_ = :metadata_, updated = :now
WHERE id = :id;

-- name: artifact.delete
DELETE FROM artifact WHERE id = :id;

-- name: artifact.newest
SELECT * FROM artifact WHERE key = :key ORDER BY id DESC LIMIT 1;

-- name: artifact.get_collection
SELECT * FROM artifact_collection WHERE key = :key;

-- name: artifact.lock_collection
SELECT * FROM artifact_collection WHERE key = :key;

-- name: artifact.insert_collection
INSERT INTO artifact_collection (
    id, key, latest_id, type, data, description, metadata_, flow_run_id, task_run_id,
    created, updated
) VALUES (
    :id, :key, :latest_id, :type, :data, :description, :metadata_, :flow_run_id, :task_run_id,
    :now, :now
)
ON CONFLICT DO NOTHING;

-- name: artifact.update_collection
UPDATE artifact_collection
SET latest_id = :latest_id, type = :type, data = :data, description = :description,
    metadata_ = :metadata_, flow_run_id = :flow_run_id, task_run_id = :task_run_id, updated = :now
WHERE id = :id;

-- name: artifact.delete_collection
DELETE FROM artifact_collection WHERE id = :id;

-- name: artifact.for_graph
SELECT artifact.id, artifact.key, artifact.type, artifact.task_run_id, artifact.created,
    CASE WHEN artifact.type = 'progress' THEN artifact.data END AS data,
    CASE WHEN artifact.key IS NULL OR latest.latest_id = artifact.id THEN 1 ELSE 0 END AS is_latest
FROM artifact
LEFT JOIN artifact_collection AS latest ON latest.key = artifact.key
WHERE artifact.flow_run_id = :id AND (artifact.type IS NULL OR artifact.type <> 'result')
ORDER BY artifact.id
LIMIT :limit;
