-- The key of the fingerprints that stand for secrets in audit rows.
INSERT INTO configuration (key, value, created, updated)
VALUES ('fingerprint_key', lower(hex(randomblob(32))), 0, 0)
ON CONFLICT DO NOTHING;

-- Takes an event and its audit row in one statement.
CREATE VIEW recorded_change AS
SELECT
    event.id, event.occurred, event.received, event.event, event.resource_id, event.resource,
    event.related, event.payload, event.follows, event.members, audit.at, audit.actor_type,
    audit.actor_id, audit.actor_name, audit.actor_auth, audit.request_id, audit.request_route,
    audit.request_ip, audit.request_user_agent, audit.action, audit.kind, audit.object_id,
    audit.object_name, audit.before, audit.after, audit.changes, audit.caused_by, audit.claims
FROM event JOIN audit ON audit.id = event.id;

CREATE TRIGGER record_change INSTEAD OF INSERT ON recorded_change BEGIN
    INSERT INTO event (
        id, occurred, received, event, resource_id, resource, related, payload, follows, members
    ) VALUES (
        new.id, new.occurred, new.received, new.event, new.resource_id, new.resource, new.related,
        new.payload, new.follows, new.members
    );
    INSERT INTO audit (
        id, at, actor_type, actor_id, actor_name, actor_auth, request_id, request_route,
        request_ip, request_user_agent, action, kind, object_id, object_name, before, after,
        changes, caused_by, claims
    ) VALUES (
        new.id, new.at, new.actor_type, new.actor_id, new.actor_name, new.actor_auth,
        new.request_id, new.request_route, new.request_ip, new.request_user_agent, new.action,
        new.kind, new.object_id, new.object_name, new.before, new.after, new.changes,
        new.caused_by, new.claims
    );
END;
