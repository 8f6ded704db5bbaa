-- Events made by the server, written in the transaction of the change they tell of.

-- name: emit.insert
INSERT INTO event (
    id, occurred, received, event, resource_id, resource, related, payload, follows, members
) VALUES (
    :id, :occurred, :received, :event, :resource_id, :resource, :related, :payload, :follows,
    :members
)
