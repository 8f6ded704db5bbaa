-- Things to do at a time; one timer for each kind and key.

-- name: timer.set
-- Makes the timer or moves it.
INSERT INTO timer (kind, key, due, payload) VALUES (:kind, :key, :due, :payload)
ON CONFLICT (kind, key) DO UPDATE SET due = excluded.due, payload = excluded.payload

-- name: timer.due
-- The oldest timers that are due, soonest first.
SELECT kind, key, due, payload FROM timer WHERE due <= :now ORDER BY due LIMIT :limit

-- name: timer.next
-- When the next timer is due; null when there is none.
SELECT min(due) AS due FROM timer

-- name: timer.delete
DELETE FROM timer WHERE kind = :kind AND key = :key

-- name: timer.take
-- Removes a timer unless it was moved since it was read; zero rows: leave it.
DELETE FROM timer WHERE kind = :kind AND key = :key AND due = :due
