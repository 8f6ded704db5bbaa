-- Live subscribers: cursors over the event log that are kept by the connection alone.

-- name: event_stream.since
-- The position before the first event that occurred at :since or later.
SELECT min(seq) - 1 AS seq FROM event WHERE occurred >= :since

-- name: event_stream.behind
-- How many events lie after :seq, counted up to :limit.
SELECT count(*) AS events FROM (SELECT 1 FROM event WHERE seq > :seq LIMIT :limit) AS later

-- name: event_stream.newest
-- The position that leaves :limit events to be read.
SELECT seq FROM event ORDER BY seq DESC LIMIT 1 OFFSET :limit
