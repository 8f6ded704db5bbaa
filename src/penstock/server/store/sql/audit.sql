-- name: audit.insert
INSERT INTO audit (
    id, at, actor_type, actor_id, actor_name, actor_auth, request_id, request_route, request_ip,
    request_user_agent, action, kind, object_id, object_name, before, after, changes, caused_by,
    claims
) VALUES (
    :id, :at, :actor_type, :actor_id, :actor_name, :actor_auth, :request_id, :request_route,
    :request_ip, :request_user_agent, :action, :kind, :object_id, :object_name, :before, :after,
    :changes, :caused_by, :claims
)
