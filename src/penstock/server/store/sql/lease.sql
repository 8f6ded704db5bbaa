-- Who may run a loop that must run once. The fence grows with every change of holder: a holder
-- that was replaced shows a smaller one.

-- name: lease.acquire
-- Takes a free or expired lease, or renews the caller's own. No row: somebody else holds it.
INSERT INTO lease (name, holder, expires, fence) VALUES (:name, :holder, :expires, 1)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    expires = excluded.expires,
    fence = lease.fence + CASE WHEN lease.holder = excluded.holder THEN 0 ELSE 1 END
WHERE lease.holder = excluded.holder OR lease.expires <= :now
RETURNING name, holder, expires, fence

-- name: lease.renew
-- Zero rows: the lease was lost.
UPDATE lease SET expires = :expires WHERE name = :name AND holder = :holder AND fence = :fence

-- name: lease.release
-- Leaves the row, so that the fence goes on growing.
UPDATE lease SET holder = '', expires = 0
WHERE name = :name AND holder = :holder AND fence = :fence

-- name: lease.get
SELECT name, holder, expires, fence FROM lease WHERE name = :name
