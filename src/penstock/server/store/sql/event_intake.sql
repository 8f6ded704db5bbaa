-- name: event.ingest
-- Events from clients; one that is there already (by id) is left as it is.
INSERT INTO event (
    id, occurred, received, event, resource_id, resource, related, payload, follows
) VALUES (
    :id, :occurred, :received, :event, :resource_id, :resource, :related, :payload, :follows
)
ON CONFLICT DO NOTHING;

-- name: event.expired
SELECT seq, resource_id, related FROM event
WHERE occurred < :before
ORDER BY occurred
LIMIT :limit;

-- name: event.expired_of_name
SELECT seq, resource_id, related FROM event
WHERE event = :event AND occurred < :before
ORDER BY occurred
LIMIT :limit;

-- name: event.delete
DELETE FROM event WHERE seq = :seq;

-- name: event.delete_resource
DELETE FROM event_resource WHERE resource_id = :resource_id AND seq = :seq;
