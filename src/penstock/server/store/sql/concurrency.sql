-- Limits and leases. Triggers of the lease table keep `active_slots` while leases come and go.

-- name: concurrency.insert
INSERT INTO concurrency_limit (
    id, name, slot_limit, active, active_slots, denied_slots, slot_decay_per_second, decayed,
    created, updated
) VALUES (
    :id, :name, :slot_limit, :active, :active_slots, :denied_slots, :slot_decay_per_second, :now,
    :now, :now
)

-- name: concurrency.get
SELECT * FROM concurrency_limit WHERE id = :id

-- name: concurrency.get_by_name
SELECT * FROM concurrency_limit WHERE name = :name

-- name: concurrency.lock
SELECT * FROM concurrency_limit WHERE id = :id

-- name: concurrency.lock_whole
-- Nothing begins to refer to the limit before the end of the transaction.
SELECT id FROM concurrency_limit WHERE id = :id;

-- name: concurrency.lock_named
-- In one order for everybody, so that two that want the same limits do not wait for each other.
SELECT * FROM concurrency_limit
WHERE active AND name IN (SELECT value FROM json_each(:names))
ORDER BY id

-- name: concurrency.page
SELECT * FROM concurrency_limit ORDER BY name LIMIT :limit OFFSET :offset

-- name: concurrency.page_of_tags
SELECT * FROM concurrency_limit
WHERE substr(name, 1, 4) = 'tag:'
ORDER BY name LIMIT :limit OFFSET :offset

-- name: concurrency.update
UPDATE concurrency_limit SET
    name = :name, slot_limit = :slot_limit, active = :active, active_slots = :active_slots,
    denied_slots = :denied_slots, slot_decay_per_second = :slot_decay_per_second,
    decayed = :decayed, updated = :now
WHERE id = :id

-- name: concurrency.delete
DELETE FROM concurrency_limit WHERE id = :id

-- name: concurrency.set_slots
UPDATE concurrency_limit SET active_slots = :active_slots, decayed = :decayed WHERE id = :id

-- name: concurrency.count_denied
UPDATE concurrency_limit SET denied_slots = denied_slots + :slots WHERE id = :id

-- name: concurrency.count_occupancy
-- A slot was held so long: the average moves by the share of one slot among twice the limit.
UPDATE concurrency_limit SET
    avg_slot_occupancy_seconds = avg_slot_occupancy_seconds
        + (:seconds - avg_slot_occupancy_seconds)
        / (2.0 * CASE WHEN slot_limit > 0 THEN slot_limit ELSE 1 END)
WHERE id IN (SELECT value FROM json_each(:ids))

-- name: concurrency.leased_slots
SELECT limit_id, SUM(slots) AS slots FROM concurrency_lease
WHERE limit_id IN (SELECT value FROM json_each(:ids))
GROUP BY limit_id

-- name: concurrency.holders
SELECT limit_id, holder_type, holder_id FROM concurrency_lease
WHERE limit_id IN (SELECT value FROM json_each(:ids)) AND holder_id IS NOT NULL
ORDER BY created, id

-- name: concurrency.leases_of
SELECT id, slots FROM concurrency_lease WHERE limit_id = :limit_id ORDER BY created, id

-- name: concurrency.insert_lease
INSERT INTO concurrency_lease (
    id, part, limit_id, slots, holder_type, holder_id, expires, created
) VALUES (:id, :part, :limit_id, :slots, :holder_type, :holder_id, :expires, :now)

-- name: concurrency.take
-- Zero rows: the limit was filled, changed or deleted since it was looked at.
INSERT INTO concurrency_lease (
    id, part, limit_id, slots, holder_type, holder_id, expires, created
)
SELECT :id, :part, id, 1, :holder_type, :holder_id, :expires, :now
FROM concurrency_limit
WHERE id = :limit_id AND active
    AND active_slots - CAST(slot_decay_per_second * MAX(0, :now - decayed) / 1000000 AS INTEGER)
        < slot_limit

-- name: concurrency.lease_parts
SELECT limit_id, created FROM concurrency_lease WHERE id = :id ORDER BY part

-- name: concurrency.renew
UPDATE concurrency_lease SET expires = :expires WHERE id = :id AND expires > :now

-- name: concurrency.delete_lease
DELETE FROM concurrency_lease WHERE id = :id

-- name: concurrency.detach_lease
DELETE FROM concurrency_lease WHERE id = :id AND limit_id = :limit_id

-- name: concurrency.detach_all
DELETE FROM concurrency_lease WHERE limit_id = :limit_id

-- name: concurrency.release_holder
-- What a run holds of the limits on its tags.
DELETE FROM concurrency_lease
WHERE holder_id = :holder_id AND holder_type = :holder_type AND limit_id IN (
    SELECT id FROM concurrency_limit WHERE substr(name, 1, 4) = 'tag:'
)

-- name: concurrency.release_flow_run
-- Whatever the run and its task runs hold, which nobody would give back once they are deleted.
DELETE FROM concurrency_lease
WHERE (holder_id = :id AND holder_type = 'flow_run')
    OR (holder_type = 'task_run'
        AND holder_id IN (SELECT task_run.id FROM task_run WHERE flow_run_id = :id))

-- name: concurrency.release_task_run
DELETE FROM concurrency_lease WHERE holder_id = :id AND holder_type = 'task_run'

-- name: concurrency.held_by
SELECT id, limit_id, slots, created FROM concurrency_lease
WHERE holder_id = :holder_id AND holder_type = :holder_type
    AND limit_id IN (SELECT value FROM json_each(:ids))

-- name: concurrency.expire
DELETE FROM concurrency_lease
WHERE expires <= :now AND id IN (
    SELECT id FROM concurrency_lease WHERE expires <= :now ORDER BY expires LIMIT :limit
)
