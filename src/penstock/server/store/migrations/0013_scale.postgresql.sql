-- Null is the smallest value in lists, as in SQLite, and text has the order of its code points.
CREATE INDEX flow_run_by_start ON flow_run (expected_start_time NULLS FIRST, id);
CREATE INDEX flow_run_by_beginning
ON flow_run (coalesce(start_time, expected_start_time) NULLS FIRST, id);
CREATE INDEX flow_run_by_end ON flow_run (end_time NULLS FIRST, id);
CREATE INDEX flow_run_by_next ON flow_run (next_scheduled_start_time, id);
CREATE INDEX flow_run_by_name ON flow_run (name COLLATE "C", id);

CREATE INDEX task_run_by_start ON task_run (expected_start_time NULLS FIRST, id);
CREATE INDEX task_run_by_beginning ON task_run (start_time, id);
CREATE INDEX task_run_by_end ON task_run (end_time NULLS FIRST, id);
CREATE INDEX task_run_by_next ON task_run (next_scheduled_start_time, id);
CREATE INDEX task_run_by_name ON task_run (name COLLATE "C", id);
