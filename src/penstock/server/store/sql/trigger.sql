-- Evaluating triggers: automations in memory, what they counted, their firings.

-- name: trigger.peek
-- Whether there is anything to do but reading the log.
SELECT
    (SELECT revision FROM automation_revision) AS revision,
    (SELECT seq FROM consumer WHERE name = 'triggers') AS seq,
    (SELECT min(due) FROM timer WHERE kind = 'trigger' AND due <= :now) AS due,
    (SELECT min(until) FROM trigger_parked) AS until,
    (SELECT max(seq) FROM event) AS newest

-- name: trigger.revision
SELECT revision FROM automation_revision

-- name: trigger.changed
-- Called with every change of an automation, so that all who keep them read them again.
UPDATE automation_revision SET revision = revision + 1

-- name: trigger.automations
SELECT id, revision FROM automation WHERE enabled

-- name: trigger.definitions
SELECT id, name, definition, watched_since, revision FROM automation
WHERE enabled AND id IN (SELECT value FROM json_each(:ids))

-- name: trigger.mark
-- The revision with which an automation changed.
UPDATE automation SET revision = (SELECT revision FROM automation_revision), watched_since = :since
WHERE id = :id

-- name: trigger.buckets
SELECT b.trigger_id, b.key, b.opens, b.closes, b.count, b.last_event, b.updated
FROM json_each(:slots) AS wanted
JOIN trigger_bucket AS b
    ON b.trigger_id = wanted.value ->> 0 AND b.key = wanted.value ->> 1

-- name: trigger.save_bucket
INSERT INTO trigger_bucket (
    trigger_id, key, automation_id, opens, closes, count, last_event, updated
) VALUES (:trigger_id, :key, :automation_id, :opens, :closes, :count, :last_event, :now)
ON CONFLICT (trigger_id, key) DO UPDATE SET
    opens = excluded.opens, closes = excluded.closes, count = excluded.count,
    last_event = excluded.last_event, updated = excluded.updated

-- name: trigger.drop_bucket
DELETE FROM trigger_bucket WHERE trigger_id = :trigger_id AND key = :key

-- name: trigger.held
SELECT trigger_id, child_id, firing, updated FROM trigger_held
WHERE trigger_id IN (SELECT value FROM json_each(:ids))

-- name: trigger.save_held
INSERT INTO trigger_held (trigger_id, child_id, automation_id, firing, updated)
VALUES (:trigger_id, :child_id, :automation_id, :firing, :now)
ON CONFLICT (trigger_id, child_id) DO UPDATE SET
    firing = excluded.firing, updated = excluded.updated

-- name: trigger.drop_held
DELETE FROM trigger_held WHERE trigger_id = :trigger_id AND child_id = :child_id

-- name: trigger.timers
SELECT key, due FROM timer WHERE kind = 'trigger' AND due <= :now ORDER BY due, key LIMIT :limit

-- name: trigger.forget_buckets
-- What an automation counted with triggers it does not have (any more).
DELETE FROM trigger_bucket
WHERE automation_id = :automation_id
    AND trigger_id NOT IN (SELECT value FROM json_each(:kept))

-- name: trigger.forget_held
DELETE FROM trigger_held
WHERE automation_id = :automation_id
    AND trigger_id NOT IN (SELECT value FROM json_each(:kept))

-- name: trigger.parked
SELECT p.seq AS parked_seq, p.follows AS leader, p.until,
    e.seq, e.id, e.occurred, e.received, e.event, e.resource_id, e.resource, e.related, e.payload,
    e.follows
FROM trigger_parked AS p
JOIN event AS e ON e.seq = p.seq
ORDER BY e.occurred, e.seq

-- name: trigger.park
INSERT INTO trigger_parked (seq, follows, until) VALUES (:seq, :follows, :until)
ON CONFLICT DO NOTHING

-- name: trigger.unpark
DELETE FROM trigger_parked WHERE seq = :seq

-- name: trigger.leaders
SELECT id, seq FROM event WHERE id IN (SELECT value FROM json_each(:ids))

-- name: trigger.events
SELECT seq, id, occurred, received, event, resource_id, resource, related, payload, follows
FROM event WHERE id IN (SELECT value FROM json_each(:ids))

-- name: trigger.fire
INSERT INTO automation_firing (
    id, automation_id, automation_name, trigger_id, trigger_type, posture, fired, event_id,
    event_ids, triggered_event_id, labels, root, chain, suppressed
) VALUES (
    :id, :automation_id, :automation_name, :trigger_id, :trigger_type, :posture, :now, :event_id, :event_ids,
    :triggered_event_id, :labels, :root, :chain, :suppressed
)

-- name: trigger.causes
-- Firings that caused others, by firing and by the flow run that one of their actions made.
SELECT id AS cause, root, chain, suppressed FROM automation_firing
WHERE id IN (SELECT value FROM json_each(:causes))
UNION ALL
SELECT a.flow_run_id AS cause, f.root, f.chain, f.suppressed FROM automation_action AS a
JOIN automation_firing AS f ON f.id = a.firing_id
WHERE a.flow_run_id IN (SELECT value FROM json_each(:causes))

-- name: trigger.expired
-- Windows that are over and have no timer: those of reactive triggers.
DELETE FROM trigger_bucket WHERE closes < :before AND NOT EXISTS (
    SELECT 1 FROM timer
    WHERE kind = 'trigger' AND timer.key = trigger_bucket.trigger_id || ' ' || trigger_bucket.key
)

-- name: trigger.orphans
-- What was counted for automations deleted while it was counted.
DELETE FROM trigger_bucket WHERE automation_id NOT IN (SELECT id FROM automation)

-- name: trigger.branches
SELECT root, automation_id, count(*) AS count FROM automation_firing
WHERE root IN (SELECT value FROM json_each(:roots))
GROUP BY root, automation_id
