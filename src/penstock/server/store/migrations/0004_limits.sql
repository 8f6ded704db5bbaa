-- Concurrency limits and the leases on their slots. Held slots are the sum of live leases plus what
-- was taken without one, so a restart forgets nothing.

CREATE TABLE concurrency_limit (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    slot_limit BIGINT NOT NULL CHECK (slot_limit >= 0),
    active BOOLEAN NOT NULL DEFAULT TRUE,
    active_slots BIGINT NOT NULL DEFAULT 0 CHECK (active_slots >= 0),
    denied_slots BIGINT NOT NULL DEFAULT 0 CHECK (denied_slots >= 0),
    slot_decay_per_second DOUBLE PRECISION NOT NULL DEFAULT 0,
    avg_slot_occupancy_seconds DOUBLE PRECISION NOT NULL DEFAULT 2.0,
    decayed BIGINT NOT NULL, -- the instant up to which slots have decayed
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE concurrency_lease (
    id TEXT PRIMARY KEY,
    slots BIGINT NOT NULL,
    holder_type TEXT,
    holder_id TEXT,
    expires BIGINT NOT NULL,
    created BIGINT NOT NULL
);

CREATE INDEX concurrency_lease_by_expiry ON concurrency_lease (expires);
CREATE INDEX concurrency_lease_by_holder ON concurrency_lease (holder_type, holder_id);

-- Which limits a lease holds slots of.
CREATE TABLE concurrency_lease_limit (
    lease_id TEXT NOT NULL REFERENCES concurrency_lease (id) ON DELETE CASCADE,
    limit_id TEXT NOT NULL REFERENCES concurrency_limit (id) ON DELETE CASCADE,
    PRIMARY KEY (lease_id, limit_id)
);

CREATE INDEX concurrency_lease_limit_by_limit ON concurrency_lease_limit (limit_id);
