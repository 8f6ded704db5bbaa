-- name: flow_run.get_for_update
SELECT r.*, s.message AS state_message, s.state_details AS state_state_details,
    s.data AS state_data
FROM flow_run AS r
LEFT JOIN flow_run_state AS s ON s.id = r.state_id
WHERE r.id = :id
FOR UPDATE OF r;
