-- name: action.ready
SELECT a.firing_id, a.position, a.phase, a.place, a.command, a.attempts, a.begun, a.due,
    f.automation_id, f.automation_name, f.trigger_id, f.trigger_type, f.posture, f.fired,
    f.event_id, f.event_ids, f.triggered_event_id, f.labels
FROM automation_action AS a
JOIN automation_firing AS f ON f.id = a.firing_id
WHERE a.status = 'waiting' AND a.due <= :now
ORDER BY a.due, a.firing_id
LIMIT :limit
FOR UPDATE OF a SKIP LOCKED

-- name: action.lock
SELECT status, attempts FROM automation_action
WHERE firing_id = :firing_id AND position = :position
FOR UPDATE

-- name: action.of_firings
SELECT firing_id, position, phase, place, command, status, attempts, reason, details, flow_run_id,
    finished, due
FROM automation_action
WHERE firing_id IN (SELECT json_array_elements_text(:ids::json))
ORDER BY firing_id, position
