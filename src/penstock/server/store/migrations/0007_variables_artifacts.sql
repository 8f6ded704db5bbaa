-- Variables, artifacts and the newest artifact of each key, saved searches.

CREATE TABLE variable (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    value TEXT NOT NULL,
    tags TEXT NOT NULL DEFAULT '[]',
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE artifact (
    id TEXT PRIMARY KEY,
    key TEXT,
    type TEXT,
    data TEXT,
    description TEXT,
    metadata_ TEXT,
    flow_run_id TEXT,
    task_run_id TEXT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE INDEX artifact_by_key ON artifact (key, id);
CREATE INDEX artifact_by_flow_run ON artifact (flow_run_id, id);
CREATE INDEX artifact_by_task_run ON artifact (task_run_id, id);

CREATE TABLE artifact_collection (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    latest_id TEXT NOT NULL,
    type TEXT,
    data TEXT,
    description TEXT,
    metadata_ TEXT,
    flow_run_id TEXT,
    task_run_id TEXT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE saved_search (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    filters TEXT NOT NULL DEFAULT '[]',
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

-- Results of runs are listed as artifacts: the states that have one, which most have not.
CREATE INDEX flow_run_state_with_data ON flow_run_state (id) WHERE data IS NOT NULL;
CREATE INDEX task_run_state_with_data ON task_run_state (id) WHERE data IS NOT NULL;
