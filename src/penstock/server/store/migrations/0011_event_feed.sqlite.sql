-- The index of resources also holds when: the newest events of a resource are one short scan,
-- however many events it has.
DROP TRIGGER event_index;
DROP TABLE event_resource;

CREATE TABLE event_resource (
    resource_id TEXT NOT NULL,
    occurred BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (resource_id, occurred, seq)
) WITHOUT ROWID;

INSERT OR IGNORE INTO event_resource (resource_id, occurred, seq)
    SELECT resource_id, occurred, seq FROM event
    UNION
    SELECT json_extract(entry.value, '$."prefect.resource.id"'), event.occurred, event.seq
    FROM event, json_each(event.related) AS entry;

CREATE TRIGGER event_index AFTER INSERT ON event BEGIN
    INSERT OR IGNORE INTO event_resource (resource_id, occurred, seq)
        VALUES (new.resource_id, new.occurred, new.seq);
    INSERT OR IGNORE INTO event_resource (resource_id, occurred, seq)
        SELECT json_extract(value, '$."prefect.resource.id"'), new.occurred, new.seq
        FROM json_each(new.related);
END;
