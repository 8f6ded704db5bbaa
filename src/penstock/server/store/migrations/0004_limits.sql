-- Concurrency limits and the leases on their slots. A lease's row is its slots: inserting it takes
-- them and deleting it gives them back, by triggers, so that the count of a limit is the sum of
-- its leases plus what was taken without one, whatever happens to whom.

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
    id TEXT NOT NULL,
    part BIGINT NOT NULL, -- a lease has one row for each of its limits, or one without a limit
    limit_id TEXT REFERENCES concurrency_limit (id) ON DELETE SET NULL,
    slots BIGINT NOT NULL CHECK (slots > 0),
    holder_type TEXT,
    holder_id TEXT,
    expires BIGINT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (id, part)
);

CREATE INDEX concurrency_lease_by_expiry ON concurrency_lease (expires);
CREATE INDEX concurrency_lease_by_holder ON concurrency_lease (holder_id, holder_type);
CREATE INDEX concurrency_lease_by_limit ON concurrency_lease (limit_id);
