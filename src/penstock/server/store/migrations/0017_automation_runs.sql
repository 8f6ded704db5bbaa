-- What automations have seen, when they fired, and what they do then.

-- Events received before this are not for the automation; moved when it is enabled.
ALTER TABLE automation ADD COLUMN watched_since BIGINT NOT NULL DEFAULT 0;
UPDATE automation SET watched_since = updated;
ALTER TABLE automation ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- Counts the changes of all automations: whoever keeps them in memory compares this number.
CREATE TABLE automation_revision (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL
);
INSERT INTO automation_revision (id, revision) VALUES (1, 0);

-- Events from before this version are not evaluated.
INSERT INTO consumer (name, seq, updated) SELECT 'triggers', coalesce(max(seq), 0), 0 FROM event;

-- What an event trigger counted for one combination of for_each values. No references to the
-- automation: a batch of events must not fail because one automation was deleted meanwhile.
CREATE TABLE trigger_bucket (
    trigger_id TEXT NOT NULL,
    key TEXT NOT NULL, -- JSON list of the values, in order of their labels
    automation_id TEXT NOT NULL,
    opens BIGINT NOT NULL,
    closes BIGINT NOT NULL,
    count BIGINT NOT NULL,
    last_event TEXT,
    updated BIGINT NOT NULL,
    PRIMARY KEY (trigger_id, key)
);

CREATE INDEX trigger_bucket_by_automation ON trigger_bucket (automation_id);
CREATE INDEX trigger_bucket_by_end ON trigger_bucket (closes);

-- Firings of children that a composite trigger still waits to see together.
CREATE TABLE trigger_held (
    trigger_id TEXT NOT NULL,
    child_id TEXT NOT NULL,
    automation_id TEXT NOT NULL,
    firing TEXT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (trigger_id, child_id)
);

CREATE INDEX trigger_held_by_automation ON trigger_held (automation_id);

-- Events that say they follow one that has not come yet.
CREATE TABLE trigger_parked (
    seq BIGINT PRIMARY KEY,
    follows TEXT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE automation_firing (
    id TEXT PRIMARY KEY,
    automation_id TEXT NOT NULL,
    automation_name TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    trigger_type TEXT NOT NULL,
    posture TEXT, -- of event triggers
    fired BIGINT NOT NULL,
    event_id TEXT, -- the one that completed the trigger
    event_ids TEXT NOT NULL,
    triggered_event_id TEXT NOT NULL,
    labels TEXT NOT NULL,
    root TEXT NOT NULL, -- the first firing of the chain
    chain TEXT NOT NULL, -- automations that led to this firing, and when they fired
    suppressed BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX automation_firing_by_automation ON automation_firing (automation_id, fired);
CREATE INDEX automation_firing_by_root ON automation_firing (root, automation_id);
CREATE INDEX automation_firing_by_time ON automation_firing (fired);

-- What a firing does, one after the other: only the first that waits has a due time. Whoever
-- works on an action moves its due time to the end of a lease.
CREATE TABLE automation_action (
    firing_id TEXT NOT NULL REFERENCES automation_firing (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    phase TEXT NOT NULL, -- actions or actions_on_trigger
    place BIGINT NOT NULL, -- in the list of that phase
    command TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting', -- executed, failed, dead, discarded
    attempts BIGINT NOT NULL DEFAULT 0,
    begun BIGINT,
    due BIGINT,
    reason TEXT,
    details TEXT,
    flow_run_id TEXT,
    finished BIGINT,
    PRIMARY KEY (firing_id, position)
);

CREATE INDEX automation_action_by_due ON automation_action (due) WHERE status = 'waiting';
CREATE INDEX automation_action_dead ON automation_action (finished) WHERE status = 'dead';
CREATE INDEX automation_action_by_run ON automation_action (flow_run_id)
    WHERE flow_run_id IS NOT NULL;
