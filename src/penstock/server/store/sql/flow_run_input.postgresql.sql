-- name: flow_run_input.by_prefix
SELECT * FROM flow_run_input
WHERE flow_run_id = :flow_run_id
    AND starts_with(key, CAST(:prefix AS text))
    AND key NOT IN (
        SELECT json_array_elements_text(CAST(CAST(:exclude_keys AS text) AS json))
    )
ORDER BY created, id
LIMIT :limit;
