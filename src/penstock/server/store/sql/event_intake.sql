-- name: event.ingest
-- Events from clients; one that is there already (by id) is left as it is.
INSERT INTO event (
    id, occurred, received, event, resource_id, resource, related, payload, follows
) VALUES (
    :id, :occurred, :received, :event, :resource_id, :resource, :related, :payload, :follows
)
ON CONFLICT DO NOTHING;
