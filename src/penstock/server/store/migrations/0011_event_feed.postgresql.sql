-- The index of resources also holds when: the newest events of a resource are one short scan,
-- however many events it has.
DROP TABLE event_resource;

CREATE TABLE event_resource (
    resource_id TEXT NOT NULL,
    occurred BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (resource_id, occurred, seq)
);

INSERT INTO event_resource (resource_id, occurred, seq)
    SELECT resource_id, occurred, seq FROM event
    UNION
    SELECT entry ->> 'prefect.resource.id', event.occurred, event.seq
    FROM event, json_array_elements(event.related::json) AS entry;

CREATE OR REPLACE FUNCTION penstock_event_index() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO event_resource (resource_id, occurred, seq)
        SELECT new.resource_id, new.occurred, new.seq
        UNION
        SELECT entry ->> 'prefect.resource.id', new.occurred, new.seq
        FROM json_array_elements(new.related::json) AS entry
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$body$;

-- The number that no event still to come can be below: that of the oldest transaction still
-- running. Transactions of other databases have numbers too but cannot insert here; one of them
-- that runs for hours must not hold up our readers.
CREATE FUNCTION penstock_event_horizon() RETURNS bigint LANGUAGE sql STABLE AS $body$
    SELECT penstock_event_base(coalesce(
        (
            SELECT running FROM pg_snapshot_xip(present) AS running
            WHERE NOT EXISTS (
                SELECT 1 FROM pg_stat_activity AS other
                WHERE other.backend_xid = running::xid AND other.datname <> current_database()
            )
            ORDER BY running
            LIMIT 1
        ),
        pg_snapshot_xmax(present)
    ))
    FROM pg_current_snapshot() AS present
$body$;
