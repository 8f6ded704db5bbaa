-- name: audit.record
-- The event of a change and its audit row.
INSERT INTO recorded_change (
    id, occurred, received, event, resource_id, resource, related, payload, follows, members, at,
    actor_type, actor_id, actor_name, actor_auth, request_id, request_route, request_ip,
    request_user_agent, action, kind, object_id, object_name, before, after, changes, caused_by,
    claims
) VALUES (
    :id, :occurred, :now, :event, :resource_id, :resource, :related, :payload, :follows, :members,
    :now, :actor_type, :actor_id, :actor_name, :actor_auth, :request_id, :request_route,
    :request_ip, :request_user_agent, :action, :kind, :object_id, :object_name, :before, :after,
    :changes, :caused_by, :claims
)

-- name: audit.horizon
-- Rows from here on may still be joined by ones before them.
SELECT max(seq) + 1 AS seq FROM audit
