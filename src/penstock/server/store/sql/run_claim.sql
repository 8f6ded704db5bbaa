-- name: run_claim.take
-- The run is locked by the transition before this, so its number is nobody else's.
UPDATE flow_run SET claim_number = claim_number + 1, labels = :labels WHERE id = :id;

-- name: run_claim.put
INSERT INTO run_claim (flow_run_id, number, owner, expires, created)
SELECT id, claim_number, :owner, :expires, :now FROM flow_run WHERE id = :id
ON CONFLICT (flow_run_id) DO UPDATE
SET number = excluded.number, owner = excluded.owner, expires = excluded.expires,
    created = excluded.created;

-- name: run_claim.renew
-- Zero rows: it was taken back.
UPDATE run_claim SET expires = :expires WHERE flow_run_id = :id AND number = :number;

-- name: run_claim.get
SELECT c.*, r.claim_number FROM flow_run AS r
LEFT JOIN run_claim AS c ON c.flow_run_id = r.id
WHERE r.id = :id;

-- name: run_claim.delete
DELETE FROM run_claim WHERE flow_run_id = :id AND number = :number;

-- name: run_claim.outdate
UPDATE flow_run SET claim_number = claim_number + 1 WHERE id = :id;

-- name: run_claim.expired
SELECT flow_run_id, number, owner, expires FROM run_claim
WHERE expires <= :now AND created >= :since
    AND (expires, flow_run_id) > (:after, :after_id)
ORDER BY expires, flow_run_id
LIMIT :limit;

-- name: run_claim.next_of_deployments
SELECT min(next_scheduled_start_time) AS due FROM flow_run
WHERE deployment_id IN (SELECT value FROM json_each(:ids)) AND state_type = 'SCHEDULED'
    AND next_scheduled_start_time > :now;

-- name: run_claim.deployments_due
-- Runs of deployments that can start now, the earliest first.
SELECT r.*, q.work_pool_id, p.name AS work_pool_name
FROM flow_run AS r
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.state_type = 'SCHEDULED'
    AND r.deployment_id IN (SELECT value FROM json_each(:ids))
    AND r.next_scheduled_start_time <= :before
    AND (instr(r.empirical_policy, 'in_process') = 0
        OR json_extract(r.empirical_policy, '$.retry_type') IS NOT 'in_process')
ORDER BY r.next_scheduled_start_time, r.id
LIMIT :limit;
