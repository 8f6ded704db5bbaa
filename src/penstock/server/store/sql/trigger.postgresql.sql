-- name: trigger.definitions
SELECT id, name, definition, watched_since, revision FROM automation
WHERE enabled AND id IN (SELECT json_array_elements_text(:ids::json))

-- name: trigger.buckets
SELECT b.trigger_id, b.key, b.opens, b.closes, b.count, b.last_event, b.updated
FROM json_array_elements(:slots::json) AS wanted
JOIN trigger_bucket AS b
    ON b.trigger_id = wanted.value ->> 0 AND b.key = wanted.value ->> 1

-- name: trigger.held
SELECT trigger_id, child_id, firing, updated FROM trigger_held
WHERE trigger_id IN (SELECT json_array_elements_text(:ids::json))

-- name: trigger.forget_buckets
DELETE FROM trigger_bucket
WHERE automation_id = :automation_id
    AND trigger_id NOT IN (SELECT json_array_elements_text(:kept::json))

-- name: trigger.forget_held
DELETE FROM trigger_held
WHERE automation_id = :automation_id
    AND trigger_id NOT IN (SELECT json_array_elements_text(:kept::json))

-- name: trigger.leaders
SELECT id, seq FROM event WHERE id IN (SELECT json_array_elements_text(:ids::json))

-- name: trigger.events
SELECT seq, id, occurred, received, event, resource_id, resource, related, payload, follows
FROM event WHERE id IN (SELECT json_array_elements_text(:ids::json))

-- name: trigger.causes
SELECT id AS cause, root, chain, suppressed FROM automation_firing
WHERE id IN (SELECT json_array_elements_text(:causes::json))
UNION ALL
SELECT a.flow_run_id AS cause, f.root, f.chain, f.suppressed FROM automation_action AS a
JOIN automation_firing AS f ON f.id = a.firing_id
WHERE a.flow_run_id IN (SELECT json_array_elements_text(:causes::json))

-- name: trigger.branches
SELECT root, automation_id, count(*) AS count FROM automation_firing
WHERE root IN (SELECT json_array_elements_text(:roots::json))
GROUP BY root, automation_id
