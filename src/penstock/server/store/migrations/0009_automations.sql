-- Automations and what they are related to.

CREATE TABLE automation (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    tags TEXT NOT NULL DEFAULT '[]',
    definition TEXT NOT NULL, -- trigger and actions as JSON
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE INDEX automation_by_name ON automation (name, id);

CREATE TABLE automation_related_resource (
    automation_id TEXT NOT NULL REFERENCES automation (id) ON DELETE CASCADE,
    resource_id TEXT NOT NULL,
    automation_owned_by_resource BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (automation_id, resource_id)
);

CREATE INDEX automation_related_by_resource ON automation_related_resource (resource_id);


-- Background task runs that wait for a task worker. One that is offered to a worker stays here,
-- due again when the worker's time is over, until the run is taken on: nothing is lost with the
-- worker or with the server.
CREATE TABLE task_queue (
    task_run_id TEXT PRIMARY KEY REFERENCES task_run (id) ON DELETE CASCADE,
    task_key TEXT NOT NULL,
    due BIGINT NOT NULL,
    connection_id TEXT
);

CREATE INDEX task_queue_by_key ON task_queue (task_key, due);
CREATE INDEX task_queue_by_connection ON task_queue (connection_id);

-- Task workers that are connected, to whichever server.
CREATE TABLE task_worker (
    connection_id TEXT PRIMARY KEY,
    identifier TEXT NOT NULL,
    task_keys TEXT NOT NULL,
    timestamp BIGINT NOT NULL
);

CREATE INDEX task_worker_by_time ON task_worker (timestamp);
