-- An event's `seq` is made of its transaction's number and its place in that transaction, so that
-- order by `seq` is order by transaction. A reader that stays below the oldest transaction still
-- running (see event.after) then never meets a smaller `seq` later. A plain sequence does not
-- give that: two transactions may draw numbers in one order and commit in the other.

-- Added to transaction numbers, which start low again when data moves to a new database server.
CREATE TABLE event_origin (
    transactions BIGINT NOT NULL
);
INSERT INTO event_origin VALUES (0);

CREATE FUNCTION penstock_event_base(number xid8) RETURNS bigint LANGUAGE sql STABLE AS $body$
    SELECT (number::text::bigint + transactions) << 20 FROM event_origin
$body$;

CREATE FUNCTION penstock_event_seq() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
    place bigint := coalesce(nullif(current_setting('penstock.event_place', true), ''), '0')::bigint;
BEGIN
    IF place >= 1 << 20 THEN
        RAISE EXCEPTION 'one transaction cannot insert more than 1048576 events; use several';
    END IF;
    PERFORM set_config('penstock.event_place', (place + 1)::text, true);
    RETURN penstock_event_base(pg_current_xact_id()) + place;
END
$body$;

ALTER TABLE event ALTER COLUMN seq DROP IDENTITY;
ALTER TABLE event ALTER COLUMN seq SET DEFAULT penstock_event_seq();

CREATE FUNCTION penstock_event_index() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO event_resource (resource_id, seq)
        SELECT new.resource_id, new.seq
        UNION
        SELECT entry ->> 'prefect.resource.id', new.seq
        FROM json_array_elements(new.related::json) AS entry
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$body$;

CREATE TRIGGER event_index AFTER INSERT ON event
    FOR EACH ROW EXECUTE FUNCTION penstock_event_index();
