-- Work pools, their queues and workers.

CREATE TABLE work_pool (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    description TEXT,
    base_job_template TEXT NOT NULL DEFAULT '{}',
    is_paused BOOLEAN NOT NULL DEFAULT FALSE,
    concurrency_limit BIGINT,
    status TEXT,
    default_queue_id TEXT,
    storage_configuration TEXT NOT NULL DEFAULT '{}',
    last_status_event_id TEXT,
    last_transitioned_status_at BIGINT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE work_queue (
    id TEXT PRIMARY KEY,
    work_pool_id TEXT NOT NULL REFERENCES work_pool (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    is_paused BOOLEAN NOT NULL DEFAULT FALSE,
    concurrency_limit BIGINT,
    priority BIGINT NOT NULL DEFAULT 1,
    status TEXT NOT NULL DEFAULT 'NOT_READY',
    last_polled BIGINT,
    filter TEXT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (work_pool_id, name)
);

CREATE TABLE worker (
    id TEXT PRIMARY KEY,
    work_pool_id TEXT NOT NULL REFERENCES work_pool (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    last_heartbeat_time BIGINT,
    heartbeat_interval_seconds DOUBLE PRECISION,
    status TEXT NOT NULL DEFAULT 'OFFLINE',
    expires BIGINT NOT NULL, -- without another heartbeat until then it counts as offline
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (work_pool_id, name)
);

CREATE INDEX worker_by_status ON worker (status, expires);

-- Those nobody polled for long; the foreman reads from the old end.
CREATE INDEX work_queue_by_poll ON work_queue (status, last_polled);
CREATE INDEX deployment_by_poll ON deployment (status, last_polled);

-- The poll for work: scheduled runs of a queue in order of their time.
CREATE INDEX flow_run_by_queue
ON flow_run (work_queue_id, state_type, next_scheduled_start_time, id);
