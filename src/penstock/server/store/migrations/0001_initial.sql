-- The first schema: flows, runs, states, inputs, logs, events, timers, leases.
--
-- Conventions that hold for every table:
--   ids         text, lower-case UUIDs that rise with time where we make them
--   instants    bigint, microseconds since 1970-01-01 UTC (columns listed in store/columns.py)
--   durations   double precision, seconds
--   documents   text holding JSON
-- $serial is the dialect's growing integer key.

CREATE TABLE flow (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    tags TEXT NOT NULL DEFAULT '[]',
    labels TEXT NOT NULL DEFAULT '{}',
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE flow_run (
    id TEXT PRIMARY KEY,
    flow_id TEXT NOT NULL REFERENCES flow (id) ON DELETE CASCADE,
    deployment_id TEXT,
    deployment_version TEXT,
    flow_version TEXT,
    name TEXT NOT NULL,
    parameters TEXT NOT NULL DEFAULT '{}',
    context TEXT NOT NULL DEFAULT '{}',
    empirical_policy TEXT NOT NULL DEFAULT '{}',
    tags TEXT NOT NULL DEFAULT '[]',
    labels TEXT NOT NULL DEFAULT '{}',
    job_variables TEXT,
    idempotency_key TEXT,
    auto_scheduled BOOLEAN NOT NULL DEFAULT FALSE,
    created_by TEXT,
    infrastructure_pid TEXT,
    infrastructure_document_id TEXT,
    parent_task_run_id TEXT,
    work_queue_id TEXT,
    work_queue_name TEXT,
    state_id TEXT,
    state_type TEXT,
    state_name TEXT,
    state_timestamp BIGINT,
    version BIGINT NOT NULL DEFAULT 0, -- one more per accepted transition
    run_count BIGINT NOT NULL DEFAULT 0,
    start_time BIGINT,
    end_time BIGINT,
    expected_start_time BIGINT,
    next_scheduled_start_time BIGINT,
    total_run_time DOUBLE PRECISION NOT NULL DEFAULT 0,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (flow_id, idempotency_key),
    CHECK ((state_id IS NULL) = (state_type IS NULL))
);

CREATE INDEX flow_run_by_start ON flow_run (expected_start_time, id);
CREATE INDEX flow_run_by_state ON flow_run (state_type, next_scheduled_start_time);
CREATE INDEX flow_run_by_deployment ON flow_run (deployment_id, id);
CREATE INDEX flow_run_by_parent ON flow_run (parent_task_run_id);

CREATE TABLE flow_run_state (
    id TEXT PRIMARY KEY,
    flow_run_id TEXT NOT NULL REFERENCES flow_run (id) ON DELETE CASCADE,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    timestamp BIGINT NOT NULL,
    message TEXT,
    state_details TEXT NOT NULL DEFAULT '{}',
    data TEXT,
    -- The proposal that led to this state and the answer it got, so that a repeated request
    -- (same proposed state id) reads its answer instead of being decided again.
    proposal_id TEXT,
    answer TEXT,
    UNIQUE (flow_run_id, timestamp)
);

CREATE UNIQUE INDEX flow_run_state_by_proposal ON flow_run_state (proposal_id)
    WHERE proposal_id IS NOT NULL;

CREATE TABLE task_run (
    id TEXT PRIMARY KEY,
    flow_run_id TEXT REFERENCES flow_run (id) ON DELETE CASCADE,
    task_key TEXT NOT NULL,
    dynamic_key TEXT NOT NULL,
    name TEXT NOT NULL,
    cache_key TEXT,
    cache_expiration BIGINT,
    task_version TEXT,
    task_inputs TEXT NOT NULL DEFAULT '{}',
    flow_run_run_count BIGINT NOT NULL DEFAULT 0,
    empirical_policy TEXT NOT NULL DEFAULT '{}',
    tags TEXT NOT NULL DEFAULT '[]',
    labels TEXT NOT NULL DEFAULT '{}',
    state_id TEXT,
    state_type TEXT,
    state_name TEXT,
    state_timestamp BIGINT,
    version BIGINT NOT NULL DEFAULT 0,
    run_count BIGINT NOT NULL DEFAULT 0,
    start_time BIGINT,
    end_time BIGINT,
    expected_start_time BIGINT,
    next_scheduled_start_time BIGINT,
    total_run_time DOUBLE PRECISION NOT NULL DEFAULT 0,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (flow_run_id, task_key, dynamic_key)
);

CREATE INDEX task_run_by_state ON task_run (state_type, expected_start_time);

CREATE TABLE task_run_state (
    id TEXT PRIMARY KEY,
    task_run_id TEXT NOT NULL REFERENCES task_run (id) ON DELETE CASCADE,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    timestamp BIGINT NOT NULL,
    message TEXT,
    state_details TEXT NOT NULL DEFAULT '{}',
    data TEXT,
    proposal_id TEXT,
    answer TEXT,
    UNIQUE (task_run_id, timestamp)
);

CREATE UNIQUE INDEX task_run_state_by_proposal ON task_run_state (proposal_id)
    WHERE proposal_id IS NOT NULL;

CREATE TABLE task_run_state_cache (
    cache_key TEXT NOT NULL,
    task_run_state_id TEXT NOT NULL,
    cache_expiration BIGINT,
    created BIGINT NOT NULL,
    PRIMARY KEY (cache_key, task_run_state_id)
);

CREATE TABLE flow_run_input (
    id TEXT PRIMARY KEY,
    flow_run_id TEXT NOT NULL REFERENCES flow_run (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    sender TEXT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (flow_run_id, key)
);

CREATE TABLE log (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    level BIGINT NOT NULL,
    message TEXT NOT NULL,
    timestamp BIGINT NOT NULL,
    flow_run_id TEXT,
    task_run_id TEXT,
    created BIGINT NOT NULL
);

CREATE INDEX log_by_flow_run ON log (flow_run_id, timestamp);
CREATE INDEX log_by_task_run ON log (task_run_id, timestamp);
CREATE INDEX log_by_time ON log (timestamp);

-- Append-only. `seq` grows in commit order for readers that stay behind the safe horizon.
CREATE TABLE event (
    seq $serial,
    id TEXT NOT NULL UNIQUE,
    occurred BIGINT NOT NULL,
    received BIGINT NOT NULL,
    event TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    related TEXT NOT NULL DEFAULT '[]',
    payload TEXT NOT NULL DEFAULT '{}',
    follows TEXT
);

CREATE INDEX event_by_time ON event (occurred, id);
CREATE INDEX event_by_name ON event (event, occurred);

-- Every resource of an event in any role; filled by a trigger, so that inserting an event is one
-- statement. Reading the history of a resource is a range scan of this table.
CREATE TABLE event_resource (
    resource_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (resource_id, seq)
);

-- How far each consumer of the event log has come; moves in the transaction of what it derived.
CREATE TABLE consumer (
    name TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE timer (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    due BIGINT NOT NULL,
    payload TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, key)
);

CREATE INDEX timer_by_due ON timer (due);

-- Who may run a loop that must run once. `fence` grows with every change of holder.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires BIGINT NOT NULL,
    fence BIGINT NOT NULL
);

CREATE TABLE csrf_token (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL UNIQUE,
    token TEXT NOT NULL,
    expiration BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE configuration (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
