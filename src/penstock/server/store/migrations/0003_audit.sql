-- Who changed what: further members of server-made events, and the audit trail.

ALTER TABLE event ADD COLUMN members TEXT; -- actor, request, caused_by, changes; null on events of clients

-- One row per change, written in the transaction of the change and never altered.
CREATE TABLE audit (
    seq $serial,
    id TEXT NOT NULL UNIQUE, -- id of the event
    at BIGINT NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id TEXT,
    actor_name TEXT,
    actor_auth TEXT,
    request_id TEXT,
    request_route TEXT,
    request_ip TEXT,
    request_user_agent TEXT,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    object_name TEXT NOT NULL,
    before TEXT,
    after TEXT,
    changes TEXT NOT NULL DEFAULT '[]',
    caused_by TEXT,
    claims TEXT
);

CREATE INDEX audit_by_object ON audit (kind, object_id, seq);
-- A run's name stands in the row of its creation and of each rename, so not every state is here.
CREATE INDEX audit_by_name ON audit (kind, object_name, seq)
    WHERE kind <> 'flow-run' OR before IS NULL OR action = 'updated';
CREATE INDEX audit_by_time ON audit (at, seq);
CREATE INDEX audit_by_actor ON audit (actor_id, seq);
CREATE INDEX audit_by_request ON audit (request_id, seq);

-- Sealed stretches of the audit trail: `digests` are those of the rows, one after the other, and
-- `head` is the hash over them and the head before. Without digests the rows are gone.
CREATE TABLE audit_segment (
    number BIGINT PRIMARY KEY,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    digests TEXT,
    head TEXT NOT NULL,
    sealed BIGINT NOT NULL
);
