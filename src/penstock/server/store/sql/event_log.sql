-- Reading the event log in order, and how far each reader has come.

-- name: event.after
SELECT seq, id, occurred, received, event, resource_id, resource, related, payload, follows
FROM event
WHERE seq > :seq
ORDER BY seq
LIMIT :limit

-- name: event.last
-- The position behind everything that can be read now; where a new live reader starts.
SELECT coalesce(max(seq), 0) AS seq FROM event

-- name: consumer.get
SELECT name, seq, updated FROM consumer WHERE name = :name

-- name: consumer.claim
-- The cursor, locked to the end of the transaction; made at :seq when it is new.
INSERT INTO consumer (name, seq, updated) VALUES (:name, :seq, :now)
ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING name, seq, updated

-- name: consumer.advance
-- Never moves back, so that a late repeat does no harm.
UPDATE consumer SET seq = :seq, updated = :now WHERE name = :name AND seq < :seq

-- name: consumer.lowest
SELECT min(seq) AS seq FROM consumer
