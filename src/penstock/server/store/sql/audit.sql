-- The audit trail. Rows are inserted by `audit.record`, with their events, or `audit.insert`; nothing changes one,
-- and only retention deletes them, by whole segments.

-- name: audit.insert
-- A change that no event tells of.
INSERT INTO audit (
    id, at, actor_type, actor_id, actor_name, actor_auth, request_id, request_route, request_ip,
    request_user_agent, action, kind, object_id, object_name, before, after, changes, caused_by,
    claims
) VALUES (
    :id, :now, :actor_type, :actor_id, :actor_name, :actor_auth, :request_id, :request_route,
    :request_ip, :request_user_agent, :action, :kind, :object_id, :object_name, :before, :after,
    :changes, :caused_by, :claims
);

-- name: audit.get
SELECT * FROM audit WHERE id = :id;

-- name: audit.of_object
SELECT * FROM audit WHERE kind = :kind AND object_id = :object_id AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: audit.of_object_until
SELECT * FROM audit WHERE kind = :kind AND object_id = :object_id AND at <= :until ORDER BY seq;

-- name: audit.bearers_of_name
-- Every object that was ever recorded under the name, whatever it is called now.
SELECT object_id, max(seq) AS seq FROM audit
WHERE kind = :kind AND object_name = :name
    AND (kind <> 'flow-run' OR before IS NULL OR action = 'updated') -- as in audit_by_name
GROUP BY object_id ORDER BY seq;

-- name: audit.has_object
SELECT 1 AS found FROM audit WHERE kind = :kind AND object_id = :object_id LIMIT 1;

-- name: audit.after
SELECT * FROM audit WHERE seq > :seq AND seq < :horizon ORDER BY seq LIMIT :limit;

-- name: audit.plain_after
-- Columns under plain names, so that their values come as the database has them: seals are over
-- these, and an altered one may be no JSON and no time.
SELECT
    seq AS c0, id AS c1, at AS c2, actor_type AS c3, actor_id AS c4, actor_name AS c5,
    actor_auth AS c6, request_id AS c7, request_route AS c8, request_ip AS c9,
    request_user_agent AS c10, action AS c11, kind AS c12, object_id AS c13, object_name AS c14,
    before AS c15, after AS c16, changes AS c17, caused_by AS c18, claims AS c19
FROM audit WHERE seq > :seq AND seq < :horizon ORDER BY seq LIMIT :limit;

-- name: audit.plain_between
SELECT
    seq AS c0, id AS c1, at AS c2, actor_type AS c3, actor_id AS c4, actor_name AS c5,
    actor_auth AS c6, request_id AS c7, request_route AS c8, request_ip AS c9,
    request_user_agent AS c10, action AS c11, kind AS c12, object_id AS c13, object_name AS c14,
    before AS c15, after AS c16, changes AS c17, caused_by AS c18, claims AS c19
FROM audit WHERE seq > :after AND seq <= :last ORDER BY seq;

-- name: audit.count_after
SELECT count(*) AS count FROM audit WHERE seq > :seq;

-- name: audit.delete_between
DELETE FROM audit WHERE seq BETWEEN :first AND :last;

-- name: audit.delete_older
-- Rows that no segment holds.
DELETE FROM audit WHERE seq IN (
    SELECT seq FROM audit WHERE seq > :seq AND at < :before ORDER BY seq LIMIT :limit
);

-- name: audit_segment.last
SELECT * FROM audit_segment ORDER BY number DESC LIMIT 1;

-- name: audit_segment.get
SELECT * FROM audit_segment WHERE number = :number;

-- name: audit_segment.after
SELECT * FROM audit_segment WHERE number > :number ORDER BY number LIMIT :limit;

-- name: audit_segment.insert
INSERT INTO audit_segment (
    number, first_seq, last_seq, last_at, rows, root, digests, head, key_id, sealed
) VALUES (
    :number, :first_seq, :last_seq, :last_at, :rows, :root, :digests, :head, :key_id, :now
);

-- name: audit_segment.oldest_kept
SELECT * FROM audit_segment WHERE digests IS NOT NULL ORDER BY number LIMIT 1;

-- name: audit_segment.forget
UPDATE audit_segment SET digests = NULL, tombstone = :tombstone WHERE number = :number;
