-- What firings do: rows that are leased, tried again, and keep their outcome.

-- name: action.add
INSERT INTO automation_action (firing_id, position, phase, place, command, due)
VALUES (:firing_id, :position, :phase, :place, :command, :due)

-- name: action.ready
SELECT a.firing_id, a.position, a.phase, a.place, a.command, a.attempts, a.begun, a.due,
    f.automation_id, f.automation_name, f.trigger_id, f.trigger_type, f.posture, f.fired,
    f.event_id, f.event_ids, f.triggered_event_id, f.labels
FROM automation_action AS a
JOIN automation_firing AS f ON f.id = a.firing_id
WHERE a.status = 'waiting' AND a.due <= :now
ORDER BY a.due, a.firing_id
LIMIT :limit

-- name: action.lease
UPDATE automation_action
SET due = :due, attempts = attempts + 1, begun = coalesce(begun, :now)
WHERE firing_id = :firing_id AND position = :position

-- name: action.lock
SELECT status, attempts FROM automation_action
WHERE firing_id = :firing_id AND position = :position

-- name: action.settle
UPDATE automation_action
SET status = :status, due = NULL, reason = :reason, details = :details,
    flow_run_id = :flow_run_id, finished = :now
WHERE firing_id = :firing_id AND position = :position AND status = 'waiting'
    AND attempts = :attempts

-- name: action.next
-- The next action of the firing may begin.
UPDATE automation_action SET due = :now
WHERE firing_id = :firing_id AND status = 'waiting' AND due IS NULL AND position = (
    SELECT min(position) FROM automation_action
    WHERE firing_id = :firing_id AND status = 'waiting'
)

-- name: action.again
UPDATE automation_action SET due = :due, reason = :reason
WHERE firing_id = :firing_id AND position = :position AND status = 'waiting'
    AND attempts = :attempts

-- name: action.release
-- Given back untried.
UPDATE automation_action SET due = :now, attempts = attempts - 1
WHERE firing_id = :firing_id AND position = :position AND status = 'waiting'
    AND attempts = :attempts

-- name: action.list
SELECT a.firing_id, a.position, a.phase, a.place, a.command, a.status, a.attempts, a.reason,
    a.details, a.flow_run_id, a.finished, a.due, f.automation_id, f.automation_name, f.fired
FROM automation_action AS a
JOIN automation_firing AS f ON f.id = a.firing_id
WHERE a.status = :status
ORDER BY a.finished DESC, a.firing_id, a.position
LIMIT :limit OFFSET :offset

-- name: action.of_firings
SELECT firing_id, position, phase, place, command, status, attempts, reason, details, flow_run_id,
    finished, due
FROM automation_action
WHERE firing_id IN (SELECT value FROM json_each(:ids))
ORDER BY firing_id, position

-- name: action.requeue
UPDATE automation_action SET status = 'waiting', attempts = 0, begun = NULL, due = :now,
    finished = NULL
WHERE firing_id = :firing_id AND position = :position AND status = 'dead'

-- name: action.discard
UPDATE automation_action SET status = 'discarded', finished = :now
WHERE firing_id = :firing_id AND position = :position AND status = 'dead'

-- name: variable.all
SELECT name, value FROM variable ORDER BY name

-- name: log.newest_of_flow_run
SELECT level, message FROM log WHERE flow_run_id = :id
ORDER BY timestamp DESC, id DESC
LIMIT :limit

-- name: log.count_of_flow_run
SELECT count(*) AS count FROM log WHERE flow_run_id = :id
