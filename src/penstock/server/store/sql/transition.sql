-- Deciding and storing the next state of a run. The statement that reads a run also finds the
-- answer that a repeated proposal was given before.

-- name: transition.flow_run
SELECT
    run.id, run.name, run.deployment_id, run.parent_task_run_id, run.infrastructure_pid,
    run.empirical_policy, run.tags, run.created_by, run.auto_scheduled, run.version,
    run.claim_number,
    run.run_count, run.start_time, run.end_time, run.expected_start_time,
    run.next_scheduled_start_time, run.total_run_time,
    run.state_id, run.state_type, run.state_name, run.state_timestamp,
    state.id AS found_state_id, state.message AS state_message,
    state.state_details AS state_state_details, state.data AS state_data,
    run.flow_id, flow.name AS flow_name, flow.tags AS flow_tags,
    parent.name AS parent_name, parent.tags AS parent_tags,
    answered.id AS answered_id, answered.type AS answered_type, answered.name AS answered_name,
    answered.timestamp AS answered_timestamp, answered.message AS answered_message,
    answered.state_details AS answered_state_details, answered.data AS answered_data,
    answered.answer AS answered_answer,
    deployment.id AS found_deployment_id, deployment.name AS deployment_name,
    deployment.tags AS deployment_tags, deployment.concurrency_options,
    slots.id AS limit_id, slots.name AS limit_name, slots.slot_limit, slots.active_slots,
    slots.slot_decay_per_second, slots.decayed,
    queue.id AS queue_id, queue.name AS queue_name, pool.id AS pool_id, pool.name AS pool_name,
    pool.type AS pool_type,
    coalesce(queue.concurrency_limit, pool.concurrency_limit) IS NOT NULL AS work_is_limited
FROM flow_run AS run
JOIN flow ON flow.id = run.flow_id
LEFT JOIN work_queue AS queue ON queue.id = run.work_queue_id
LEFT JOIN work_pool AS pool ON pool.id = queue.work_pool_id
LEFT JOIN deployment ON deployment.id = run.deployment_id
LEFT JOIN concurrency_limit AS slots
    ON slots.id = deployment.concurrency_limit_id AND slots.active
LEFT JOIN flow_run_state AS state ON state.id = run.state_id
LEFT JOIN task_run AS parent ON parent.id = run.parent_task_run_id
LEFT JOIN flow_run_state AS answered
    ON answered.proposal_id = :proposal_id AND answered.flow_run_id = run.id
WHERE run.id = :id

-- name: transition.task_run
SELECT
    run.id, run.flow_run_id, run.empirical_policy, run.version,
    run.run_count, run.flow_run_run_count, run.start_time, run.end_time, run.expected_start_time,
    run.next_scheduled_start_time, run.total_run_time,
    run.state_id, run.state_type, run.state_name, run.state_timestamp,
    state.id AS found_state_id, state.message AS state_message,
    state.state_details AS state_state_details, state.data AS state_data,
    parent.id AS parent_id, parent.state_type AS parent_state_type,
    parent.run_count AS parent_run_count, parent_state.state_details AS parent_state_details,
    answered.id AS answered_id, answered.type AS answered_type, answered.name AS answered_name,
    answered.timestamp AS answered_timestamp, answered.message AS answered_message,
    answered.state_details AS answered_state_details, answered.data AS answered_data,
    answered.answer AS answered_answer,
    CASE WHEN run.tags <> '[]' THEN (
        SELECT json_group_array(json_object(
            'id', slots.id, 'name', slots.name, 'slot_limit', slots.slot_limit,
            'active_slots', slots.active_slots, 'decayed', slots.decayed,
            'slot_decay_per_second', slots.slot_decay_per_second,
            'held', json(CASE WHEN EXISTS (
                SELECT 1 FROM concurrency_lease AS lease
                WHERE lease.holder_id = run.id AND lease.holder_type = 'task_run'
                    AND lease.limit_id = slots.id
            ) THEN 'true' ELSE 'false' END)
        ))
        FROM concurrency_limit AS slots
        WHERE slots.active AND slots.name IN (
            SELECT 'tag:' || tag.value FROM json_each(run.tags) AS tag
        )
    ) END AS tag_limits,
    EXISTS (
        SELECT 1 FROM concurrency_lease AS lease
        WHERE lease.holder_id = run.id AND lease.holder_type = 'task_run'
    ) AS holds_slots
FROM task_run AS run
LEFT JOIN task_run_state AS state ON state.id = run.state_id
LEFT JOIN flow_run AS parent ON parent.id = run.flow_run_id
LEFT JOIN flow_run_state AS parent_state ON parent_state.id = parent.state_id
LEFT JOIN task_run_state AS answered
    ON answered.proposal_id = :proposal_id AND answered.task_run_id = run.id
WHERE run.id = :id

-- name: transition.insert_flow_run_state
INSERT INTO flow_run_state (
    id, flow_run_id, type, name, timestamp, message, state_details, data, proposal_id, answer
) VALUES (
    :id, :run_id, :type, :name, :timestamp, :message, :state_details, :data, :proposal_id, :answer
)

-- name: transition.insert_task_run_state
INSERT INTO task_run_state (
    id, task_run_id, type, name, timestamp, message, state_details, data, proposal_id, answer
) VALUES (
    :id, :run_id, :type, :name, :timestamp, :message, :state_details, :data, :proposal_id, :answer
)

-- name: transition.update_flow_run
-- Zero rows: the run changed since it was read.
UPDATE flow_run SET
    state_id = :state_id, state_type = :state_type, state_name = :state_name,
    state_timestamp = :state_timestamp, version = version + 1,
    empirical_policy = :empirical_policy, run_count = :run_count, start_time = :start_time,
    end_time = :end_time, expected_start_time = :expected_start_time,
    next_scheduled_start_time = :next_scheduled_start_time, total_run_time = :total_run_time,
    updated = :now
WHERE id = :id AND version = :version

-- name: transition.start_flow_run
-- As update_flow_run, of whose times only the start may change. SQLite writes every index anew
-- that has a column which a statement names, whether its value changes or not.
UPDATE flow_run SET
    state_id = :state_id, state_type = :state_type, state_name = :state_name,
    state_timestamp = :state_timestamp, version = version + 1,
    empirical_policy = :empirical_policy, run_count = :run_count, start_time = :start_time,
    total_run_time = :total_run_time, updated = :now
WHERE id = :id AND version = :version

-- name: transition.end_flow_run
-- As update_flow_run, of whose times only the end may change.
UPDATE flow_run SET
    state_id = :state_id, state_type = :state_type, state_name = :state_name,
    state_timestamp = :state_timestamp, version = version + 1,
    empirical_policy = :empirical_policy, run_count = :run_count, end_time = :end_time,
    total_run_time = :total_run_time, updated = :now
WHERE id = :id AND version = :version

-- name: transition.update_task_run
UPDATE task_run SET
    state_id = :state_id, state_type = :state_type, state_name = :state_name,
    state_timestamp = :state_timestamp, version = version + 1,
    run_count = :run_count, flow_run_run_count = :flow_run_run_count, start_time = :start_time,
    end_time = :end_time, expected_start_time = :expected_start_time,
    next_scheduled_start_time = :next_scheduled_start_time, total_run_time = :total_run_time,
    updated = :now
WHERE id = :id AND version = :version

-- name: transition.cached_state
-- The newest state stored under the key that is not past its time.
SELECT state.id, state.type, state.name, state.timestamp, state.message, state.state_details,
    state.data
FROM task_run_state_cache AS cache
JOIN task_run_state AS state ON state.id = cache.task_run_state_id
WHERE cache.cache_key = :cache_key
    AND (cache.cache_expiration IS NULL OR cache.cache_expiration > :now)
ORDER BY cache.created DESC, cache.task_run_state_id DESC
LIMIT 1

-- name: transition.insert_cache
INSERT INTO task_run_state_cache (cache_key, task_run_state_id, cache_expiration, created)
VALUES (:cache_key, :state_id, :cache_expiration, :now)
ON CONFLICT (cache_key, task_run_state_id) DO NOTHING

-- name: transition.failed_task_runs
SELECT id FROM task_run WHERE flow_run_id = :flow_run_id AND state_type = 'FAILED' ORDER BY id

-- name: transition.uncount_task_run
UPDATE task_run SET run_count = 0 WHERE id = :id
