CREATE TRIGGER event_index AFTER INSERT ON event BEGIN
    INSERT OR IGNORE INTO event_resource (resource_id, seq) VALUES (new.resource_id, new.seq);
    INSERT OR IGNORE INTO event_resource (resource_id, seq)
        SELECT json_extract(value, '$."prefect.resource.id"'), new.seq FROM json_each(new.related);
END;
