-- The run's row stays locked to the end of the transaction. NO KEY: rows that refer to the run
-- (states, task runs, inputs) can still be inserted by others.

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
FOR NO KEY UPDATE OF run

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
        SELECT json_agg(json_build_object(
            'id', slots.id, 'name', slots.name, 'slot_limit', slots.slot_limit,
            'active_slots', slots.active_slots, 'decayed', slots.decayed,
            'slot_decay_per_second', slots.slot_decay_per_second,
            'held', EXISTS (
                SELECT 1 FROM concurrency_lease AS lease
                WHERE lease.holder_id = run.id AND lease.holder_type = 'task_run'
                    AND lease.limit_id = slots.id
            )
        ))::text
        FROM concurrency_limit AS slots
        WHERE slots.active AND slots.name IN (
            SELECT 'tag:' || tag FROM json_array_elements_text(run.tags::json) AS tag
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
FOR NO KEY UPDATE OF run
