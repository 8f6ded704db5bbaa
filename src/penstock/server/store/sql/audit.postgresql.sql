-- name: audit.record
-- The event of a change and its audit row.
WITH made AS (
    INSERT INTO event (
        id, occurred, received, event, resource_id, resource, related, payload, follows, members
    ) VALUES (
        :id, :occurred, :now, :event, :resource_id, :resource, :related, :payload, :follows,
        :members
    )
    RETURNING id
)
INSERT INTO audit (
    id, at, actor_type, actor_id, actor_name, actor_auth, request_id, request_route,
    request_ip, request_user_agent, action, kind, object_id, object_name, before, after, changes,
    caused_by, claims
)
SELECT
    made.id, :now, :actor_type, :actor_id, :actor_name, :actor_auth, :request_id, :request_route,
    :request_ip, :request_user_agent, :action, :kind, :object_id, :object_name, :before, :after,
    :changes, :caused_by, :claims
FROM made

-- name: audit.horizon
-- Rows from here on may still be joined by ones before them.
SELECT penstock_event_horizon() AS seq
