-- Indexes for millions of runs. Lists are read along an index in the order they are asked for, or
-- through one that holds a selective filter; each index here serves a documented filter or sort.
-- Rows without the value that an index is about (runs without a deployment, a parent, a key) are
-- not in it, so that the many runs that have none of these are written to fewer indexes.

DROP INDEX flow_run_by_start;
DROP INDEX flow_run_by_state;
DROP INDEX flow_run_by_deployment;
DROP INDEX flow_run_by_parent;
DROP INDEX flow_run_by_queue;
DROP INDEX task_run_by_state;

-- One state, narrowed by time and sorted by any of the three, without reading the rows.
CREATE INDEX flow_run_by_state
ON flow_run (state_type, expected_start_time, start_time, end_time, id);
CREATE INDEX flow_run_by_state_name ON flow_run (state_name, id);

-- What belongs to one flow, deployment or queue, the newest first.
CREATE INDEX flow_run_by_flow ON flow_run (flow_id, coalesce(start_time, expected_start_time), id);
CREATE INDEX flow_run_by_deployment
ON flow_run (deployment_id, coalesce(start_time, expected_start_time), id)
WHERE deployment_id IS NOT NULL;
CREATE INDEX flow_run_by_queue
ON flow_run (work_queue_id, coalesce(start_time, expected_start_time), id)
WHERE work_queue_id IS NOT NULL;
CREATE INDEX flow_run_by_parent ON flow_run (parent_task_run_id)
WHERE parent_task_run_id IS NOT NULL;
CREATE INDEX flow_run_by_key ON flow_run (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The poll for work: scheduled runs of a queue in order of their time, and slots in use. Both are
-- small however many runs there are.
CREATE INDEX flow_run_waiting ON flow_run (work_queue_id, next_scheduled_start_time, id)
WHERE state_type = 'SCHEDULED' AND work_queue_id IS NOT NULL;
CREATE INDEX flow_run_active ON flow_run (work_queue_id, state_timestamp, id)
WHERE state_type IN ('PENDING', 'RUNNING') AND work_queue_id IS NOT NULL;

CREATE INDEX task_run_by_state
ON task_run (state_type, expected_start_time, start_time, end_time, id);
CREATE INDEX task_run_by_state_name ON task_run (state_name, id);

-- Which dates that passed while nobody planned get a run: null for all, 'latest', or a number of
-- seconds for those no older.
ALTER TABLE deployment_schedule ADD COLUMN catch_up TEXT;
