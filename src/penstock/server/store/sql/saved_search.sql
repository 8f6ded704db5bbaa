-- name: saved_search.insert
INSERT INTO saved_search (id, name, filters, created, updated)
VALUES (:id, :name, :filters, :now, :now)
ON CONFLICT DO NOTHING;

-- name: saved_search.set_filters
UPDATE saved_search SET filters = :filters, updated = :now
WHERE name = :name AND filters <> :filters;

-- name: saved_search.get
SELECT * FROM saved_search WHERE id = :id;

-- name: saved_search.get_by_name
SELECT * FROM saved_search WHERE name = :name;

-- name: saved_search.page
SELECT * FROM saved_search ORDER BY name, id LIMIT :limit OFFSET :offset;

-- name: saved_search.delete
DELETE FROM saved_search WHERE id = :id;
