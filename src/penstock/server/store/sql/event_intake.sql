-- name: event.ingest
-- Events from clients; one that is there already (by id) is left as it is.
INSERT INTO event (
    id, occurred, received, event, resource_id, resource, related, payload, follows
) VALUES (
    :id, :occurred, :received, :event, :resource_id, :resource, :related, :payload, :follows
)
ON CONFLICT DO NOTHING;

-- name: event.ingest_all
-- The same of a JSON list in one statement. SQLite takes rows one by one as fast.
INSERT INTO event (
    id, occurred, received, event, resource_id, resource, related, payload, follows
)
SELECT
    json_extract(one.value, '$.id'), json_extract(one.value, '$.occurred'), :received,
    json_extract(one.value, '$.event'), json_extract(one.value, '$.resource_id'),
    json_extract(one.value, '$.resource'), json_extract(one.value, '$.related'),
    json_extract(one.value, '$.payload'), json_extract(one.value, '$.follows')
FROM json_each(:rows) AS one
WHERE TRUE
ON CONFLICT DO NOTHING;
