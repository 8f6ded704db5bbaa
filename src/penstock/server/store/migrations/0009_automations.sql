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
