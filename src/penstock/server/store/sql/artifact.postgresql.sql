-- name: artifact.lock_collection
SELECT * FROM artifact_collection WHERE key = :key FOR UPDATE;

-- name: artifact.get_result
SELECT state.id, NULL AS key, 'result' AS type, state.data, NULL AS description,
    NULL AS metadata_, state.flow_run_id, NULL AS task_run_id,
    state.timestamp AS created, state.timestamp AS updated
FROM flow_run_state AS state
WHERE state.id = :id AND state.data IS NOT NULL AND state.data <> 'null'
    AND coalesce(state.data::json ->> 'type', '') NOT IN ('null', 'unpersisted')
UNION ALL
SELECT state.id, NULL, 'result', state.data, NULL, NULL, run.flow_run_id, state.task_run_id,
    state.timestamp, state.timestamp
FROM task_run_state AS state JOIN task_run AS run ON run.id = state.task_run_id
WHERE state.id = :id AND state.data IS NOT NULL AND state.data <> 'null'
    AND coalesce(state.data::json ->> 'type', '') NOT IN ('null', 'unpersisted');
