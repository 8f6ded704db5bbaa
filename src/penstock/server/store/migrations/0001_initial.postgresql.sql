-- Readers stay below the oldest running transaction: a smaller `seq` may still be uncommitted.
ALTER TABLE event ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();

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
