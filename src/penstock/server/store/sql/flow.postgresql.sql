-- name: flow.hold_by_name
SELECT * FROM flow WHERE name = :name FOR KEY SHARE;
