-- Limits that are about to change stay locked to the end of the transaction. NO KEY: leases that
-- refer to them can still be inserted.

-- name: concurrency.lock
SELECT * FROM concurrency_limit WHERE id = :id FOR NO KEY UPDATE

-- name: concurrency.lock_whole
SELECT id FROM concurrency_limit WHERE id = :id FOR UPDATE

-- name: concurrency.lock_named
SELECT * FROM concurrency_limit
WHERE active AND name IN (SELECT json_array_elements_text(:names::json))
ORDER BY id
FOR NO KEY UPDATE

-- name: concurrency.count_occupancy
UPDATE concurrency_limit SET
    avg_slot_occupancy_seconds = avg_slot_occupancy_seconds
        + (:seconds - avg_slot_occupancy_seconds)
        / (2.0 * CASE WHEN slot_limit > 0 THEN slot_limit ELSE 1 END)
WHERE id IN (SELECT json_array_elements_text(:ids::json))

-- name: concurrency.leased_slots
SELECT limit_id, SUM(slots)::bigint AS slots FROM concurrency_lease
WHERE limit_id IN (SELECT json_array_elements_text(:ids::json))
GROUP BY limit_id

-- name: concurrency.holders
SELECT limit_id, holder_type, holder_id FROM concurrency_lease
WHERE limit_id IN (SELECT json_array_elements_text(:ids::json)) AND holder_id IS NOT NULL
ORDER BY created, id

-- name: concurrency.take
-- The row is looked at again once its lock is got.
WITH free AS (
    SELECT id FROM concurrency_limit
    WHERE id = :limit_id AND active
        AND active_slots
            - FLOOR(slot_decay_per_second * GREATEST(0, :now::bigint - decayed) / 1000000) < slot_limit
    FOR NO KEY UPDATE
)
INSERT INTO concurrency_lease (
    id, part, limit_id, slots, holder_type, holder_id, expires, created
)
SELECT :id, :part, free.id, 1, :holder_type, :holder_id, :expires, :now::bigint FROM free

-- name: concurrency.held_by
SELECT id, limit_id, slots, created FROM concurrency_lease
WHERE holder_id = :holder_id AND holder_type = :holder_type
    AND limit_id IN (SELECT json_array_elements_text(:ids::json))
