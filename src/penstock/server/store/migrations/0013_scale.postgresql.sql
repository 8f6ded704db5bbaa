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

-- The index of resources is filled once for all rows of a statement.
DROP TRIGGER event_index ON event;
DROP FUNCTION penstock_event_index();

CREATE FUNCTION penstock_event_index() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO event_resource (resource_id, occurred, seq)
        SELECT resource_id, occurred, seq FROM made
        UNION
        SELECT entry ->> 'prefect.resource.id', made.occurred, made.seq
        FROM made, json_array_elements(made.related::json) AS entry
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$body$;

CREATE TRIGGER event_index AFTER INSERT ON event
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_event_index();

-- The first of so many numbers, all of them the caller's, for the rows of one statement.
CREATE FUNCTION penstock_event_seqs(amount bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
    place bigint := coalesce(nullif(current_setting('penstock.event_place', true), ''), '0')::bigint;
BEGIN
    IF place + amount > 1 << 20 THEN
        RAISE EXCEPTION 'one transaction cannot insert more than 1048576 events; use several';
    END IF;
    PERFORM set_config('penstock.event_place', (place + amount)::text, true);
    RETURN penstock_event_base(pg_current_xact_id()) + place;
END
$body$;
