-- name: event.ingest_all
-- As event.ingest, of a JSON list in one statement: with one reading of the list, one run of the
-- trigger and one drawing of numbers, it costs a fraction of as many statements.
WITH given AS MATERIALIZED (
    SELECT row_number() OVER () - 1 AS place, one.*
    FROM json_to_recordset(:rows::json) AS one (
        id text, occurred bigint, event text, resource_id text, resource text, related text,
        payload text, follows text
    )
),
numbers AS MATERIALIZED (
    SELECT penstock_event_seqs((SELECT count(*) FROM given)) AS first
)
INSERT INTO event (
    seq, id, occurred, received, event, resource_id, resource, related, payload, follows
)
SELECT numbers.first + given.place, given.id, given.occurred, :received, given.event,
    given.resource_id, given.resource, given.related, given.payload, given.follows
FROM given CROSS JOIN numbers
ON CONFLICT DO NOTHING;
