-- Owed teardowns of infrastructure, their deliveries, and the worker that launched a run.

-- The queue of the database backend, and the ledger of the others. A row outlives its flow run and
-- its work pool, so nothing here is bound by a foreign key.
CREATE TABLE cleanup_message (
    id TEXT PRIMARY KEY, -- follows from the idempotency key
    work_pool_id TEXT NOT NULL,
    work_queue_id TEXT,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    flow_run_id TEXT NOT NULL,
    target TEXT NOT NULL,
    data TEXT NOT NULL DEFAULT '{}',
    idempotency_key TEXT NOT NULL,
    state BIGINT NOT NULL, -- 0 ready, 1 leased, 2 done, 3 dead, 4 cancelled
    attempts BIGINT NOT NULL DEFAULT 0,
    deliveries BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL, -- grows with every change; a change names the one it found
    available_at BIGINT NOT NULL,
    token_hash TEXT, -- SHA-256 of the newest token, kept after its lease
    lease_since BIGINT,
    lease_expires_at BIGINT,
    lease_consumer_id TEXT,
    lease_worker_name TEXT,
    lease_server_id TEXT,
    lease_renewals BIGINT NOT NULL DEFAULT 0,
    lease_lost BOOLEAN NOT NULL DEFAULT FALSE,
    affinity_worker_name TEXT,
    host_id TEXT,
    placement TEXT NOT NULL,
    tried_workers TEXT NOT NULL DEFAULT '[]',
    last_reason TEXT,
    dead_reason TEXT,
    requeue_count BIGINT NOT NULL DEFAULT 0,
    requeue_deliveries BIGINT NOT NULL DEFAULT 0, -- deliveries before the last requeue
    alerted BOOLEAN NOT NULL DEFAULT FALSE,
    synced BOOLEAN NOT NULL DEFAULT TRUE, -- whether a working set elsewhere has this form of it
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    queued_at BIGINT NOT NULL,
    finished_at BIGINT,
    UNIQUE (work_pool_id, idempotency_key)
);

-- In the order of delivery; the kind behind it, so that other kinds are passed over in the index.
CREATE INDEX cleanup_message_ready ON cleanup_message (work_pool_id, available_at, id, kind)
WHERE state = 0;
CREATE INDEX cleanup_message_leased ON cleanup_message (lease_expires_at) WHERE state = 1;
CREATE INDEX cleanup_message_held ON cleanup_message (lease_consumer_id) WHERE state = 1;
CREATE INDEX cleanup_message_waiting ON cleanup_message (queued_at) WHERE state = 0;
CREATE INDEX cleanup_message_unsynced ON cleanup_message (work_pool_id, id) WHERE NOT synced;
CREATE INDEX cleanup_message_by_state ON cleanup_message (state, finished_at);
CREATE INDEX cleanup_message_by_run ON cleanup_message (flow_run_id);
CREATE INDEX cleanup_message_by_creation ON cleanup_message (created_at, id);

CREATE TABLE cleanup_delivery (
    message_id TEXT NOT NULL REFERENCES cleanup_message (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    worker_name TEXT NOT NULL,
    consumer_id TEXT NOT NULL,
    server_id TEXT NOT NULL,
    reserved_at BIGINT NOT NULL,
    ended_at BIGINT,
    outcome TEXT,
    reason TEXT,
    charged BOOLEAN NOT NULL DEFAULT FALSE,
    renewals BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (message_id, number)
);

-- Name of the worker that reported the run's infrastructure; only it may reach it.
ALTER TABLE flow_run ADD COLUMN infrastructure_worker_name TEXT;

-- Cancellations that nobody confirmed, found without a timer.
CREATE INDEX flow_run_cancelling ON flow_run (state_timestamp, id) WHERE state_type = 'CANCELLING';

-- Which process runs a background loop that must run in one of them, and how it has been doing.
CREATE TABLE service_lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    last_started BIGINT,
    last_succeeded BIGINT,
    last_error TEXT,
    run_count BIGINT NOT NULL DEFAULT 0
);
