-- Deployments and their schedules.

CREATE TABLE deployment (
    id TEXT PRIMARY KEY,
    flow_id TEXT NOT NULL REFERENCES flow (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    version TEXT,
    version_info TEXT,
    description TEXT,
    paused BOOLEAN NOT NULL DEFAULT FALSE,
    status TEXT NOT NULL DEFAULT 'NOT_READY',
    last_polled BIGINT,
    tags TEXT NOT NULL DEFAULT '[]',
    labels TEXT NOT NULL DEFAULT '{}',
    parameters TEXT NOT NULL DEFAULT '{}',
    parameter_openapi_schema TEXT NOT NULL DEFAULT '{}',
    enforce_parameter_schema BOOLEAN NOT NULL DEFAULT TRUE,
    pull_steps TEXT,
    path TEXT,
    entrypoint TEXT,
    job_variables TEXT NOT NULL DEFAULT '{}',
    work_queue_id TEXT, -- detached, never cascaded, when the queue goes
    work_queue_name TEXT,
    concurrency_limit_id TEXT REFERENCES concurrency_limit (id) ON DELETE SET NULL,
    concurrency_options TEXT,
    storage_document_id TEXT,
    infrastructure_document_id TEXT,
    created_by TEXT,
    updated_by TEXT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (flow_id, name)
);

CREATE INDEX deployment_by_queue ON deployment (work_queue_id);
CREATE INDEX deployment_by_name ON deployment (name);

CREATE TABLE deployment_schedule (
    id TEXT PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    schedule TEXT NOT NULL,
    active BOOLEAN NOT NULL DEFAULT TRUE,
    slug TEXT,
    parameters TEXT NOT NULL DEFAULT '{}',
    max_scheduled_runs BIGINT,
    cursor_time BIGINT, -- the last date a run was made for; later dates are still to come
    due BIGINT NOT NULL, -- when the scheduler must look at it again
    problem TEXT, -- why it cannot be evaluated, if so
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (deployment_id, slug)
);

CREATE INDEX deployment_schedule_by_due ON deployment_schedule (due);

-- Runs that can still be started or taken back, by deployment; a small part of all runs.
CREATE INDEX flow_run_scheduled ON flow_run (deployment_id, next_scheduled_start_time)
WHERE state_type = 'SCHEDULED';

-- Runs that may become late. Those that are late already are not looked at again.
CREATE INDEX flow_run_to_come ON flow_run (next_scheduled_start_time, id)
WHERE state_type = 'SCHEDULED' AND state_name = 'Scheduled';
