-- name: event.after
-- Only below the oldest transaction still running: a smaller number may not come any more.
SELECT seq, id, occurred, received, event, resource_id, resource, related, payload, follows
FROM event
WHERE seq > :seq
    AND seq < (SELECT penstock_event_horizon())
ORDER BY seq
LIMIT :limit

-- name: event.last
SELECT coalesce(max(seq), 0) AS seq FROM event
WHERE seq < (SELECT penstock_event_horizon())

-- name: event.align
-- After a move to another database server, whose transaction numbers are lower, new events must
-- still come after the stored ones. Run when the store opens.
UPDATE event_origin SET transactions = newest.transactions
FROM (
    SELECT greatest(
        (SELECT transactions FROM event_origin),
        coalesce((SELECT max(seq) >> 20 FROM event), 0) + 1 - pg_current_xact_id()::text::bigint
    ) AS transactions
) AS newest
WHERE event_origin.transactions < newest.transactions
