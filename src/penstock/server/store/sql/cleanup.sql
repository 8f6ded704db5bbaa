-- Owed teardowns: the queue of the database, and the ledger of every other one.

-- name: cleanup.insert
-- Zero rows: a message of this key, or of this id, is there.
INSERT INTO cleanup_message (
    id, work_pool_id, work_queue_id, kind, cause, flow_run_id, target, data, idempotency_key, state,
    attempts, deliveries, fence, available_at, affinity_worker_name, host_id, placement,
    tried_workers, synced, created_at, updated_at, queued_at
) VALUES (
    :id, :work_pool_id, :work_queue_id, :kind, :cause, :flow_run_id, :target, :data,
    :idempotency_key, :state, :attempts, :deliveries, :fence, :available_at, :affinity_worker_name,
    :host_id, :placement, :tried_workers, :synced, :created_at, :updated_at, :queued_at
)
ON CONFLICT DO NOTHING;

-- name: cleanup.get
SELECT * FROM cleanup_message WHERE id = :id;

-- name: cleanup.by_key
SELECT * FROM cleanup_message
WHERE work_pool_id = :work_pool_id AND idempotency_key = :idempotency_key;

-- name: cleanup.lock
-- The message, locked to the end of the transaction.
SELECT * FROM cleanup_message WHERE id = :id;

-- name: cleanup.lock_bound
-- The message, locked, with what its flow run says now.
SELECT m.*, r.id AS run_id, r.infrastructure_pid AS run_pid, r.state_type AS run_state
FROM cleanup_message AS m
LEFT JOIN flow_run AS r ON r.id = m.flow_run_id
WHERE m.id = :id;

-- name: cleanup.lock_ready
-- Ready messages that are due, locked, with what their flow runs say now.
SELECT m.*, r.id AS run_id, r.infrastructure_pid AS run_pid, r.state_type AS run_state
FROM cleanup_message AS m
LEFT JOIN flow_run AS r ON r.id = m.flow_run_id
WHERE m.id IN (SELECT value FROM json_each(:ids)) AND m.state = 0 AND m.available_at <= :now;

-- name: cleanup.bindings
-- What the ledger and the flow runs of messages say now.
SELECT m.id, m.fence, r.id AS run_id, r.infrastructure_pid AS run_pid, r.state_type AS run_state
FROM cleanup_message AS m
LEFT JOIN flow_run AS r ON r.id = m.flow_run_id
WHERE m.id IN (SELECT value FROM json_each(:ids));

-- name: cleanup.update
-- Zero rows: the message was changed since it was read.
UPDATE cleanup_message SET
    work_pool_id = :work_pool_id, work_queue_id = :work_queue_id, target = :target, state = :state,
    attempts = :attempts, deliveries = :deliveries, fence = :fence, available_at = :available_at,
    token_hash = :token_hash, lease_since = :lease_since, lease_expires_at = :lease_expires_at,
    lease_consumer_id = :lease_consumer_id, lease_worker_name = :lease_worker_name,
    lease_server_id = :lease_server_id, lease_renewals = :lease_renewals, lease_lost = :lease_lost,
    host_id = :host_id, placement = :placement, tried_workers = :tried_workers,
    last_reason = :last_reason, dead_reason = :dead_reason, requeue_count = :requeue_count,
    requeue_deliveries = :requeue_deliveries,
    alerted = :alerted, synced = :synced, updated_at = :updated_at, queued_at = :queued_at,
    finished_at = :finished_at
WHERE id = :id AND fence = :found;

-- name: cleanup.mirror
-- A newer form of the message, from the working set; an older one changes nothing.
UPDATE cleanup_message SET
    target = :target, state = :state, attempts = :attempts, deliveries = :deliveries,
    fence = :fence, available_at = :available_at, token_hash = :token_hash,
    lease_since = :lease_since, lease_expires_at = :lease_expires_at,
    lease_consumer_id = :lease_consumer_id, lease_worker_name = :lease_worker_name,
    lease_server_id = :lease_server_id, lease_renewals = :lease_renewals, lease_lost = :lease_lost,
    host_id = :host_id, tried_workers = :tried_workers, last_reason = :last_reason,
    dead_reason = :dead_reason, synced = TRUE, updated_at = :updated_at, finished_at = :finished_at
WHERE id = :id AND fence < :fence;

-- name: cleanup.peek
-- Ready messages that are due and that one of the workers may take, in the order of their time.
SELECT
    id, fence, kind, work_queue_id, available_at, queued_at, affinity_worker_name, host_id,
    placement, tried_workers
FROM cleanup_message
WHERE work_pool_id = :work_pool_id AND state = 0 AND available_at <= :now
    AND (available_at, id) > (:after_at, :after_id)
    AND kind IN (SELECT value FROM json_each(:kinds))
    AND (placement = 'any'
        OR (placement = 'prefer' AND (affinity_worker_name IS NULL OR queued_at <= :widened))
        OR affinity_worker_name IN (SELECT value FROM json_each(:workers))
        OR host_id IN (SELECT value FROM json_each(:hosts)))
ORDER BY available_at, id
LIMIT :limit;

-- name: cleanup.overdue
SELECT id FROM cleanup_message
WHERE state = 1 AND lease_expires_at <= :now AND (:work_pool_id IS NULL OR work_pool_id = :work_pool_id)
ORDER BY lease_expires_at
LIMIT :limit;

-- name: cleanup.leases_of
SELECT id, work_pool_id, token_hash, lease_expires_at, lease_renewals, lease_server_id, lease_lost
FROM cleanup_message
WHERE state = 1 AND lease_consumer_id = :consumer_id
ORDER BY lease_since, id;

-- name: cleanup.next_due
-- When something is to be done in each of the pools: a message becomes due, or a lease ends.
SELECT work_pool_id, min(due) AS due FROM (
    SELECT work_pool_id, min(available_at) AS due FROM cleanup_message
    WHERE state = 0 AND work_pool_id IN (SELECT value FROM json_each(:pools))
    GROUP BY work_pool_id
    UNION ALL
    SELECT work_pool_id, min(lease_expires_at) AS due FROM cleanup_message
    WHERE state = 1 AND work_pool_id IN (SELECT value FROM json_each(:pools))
    GROUP BY work_pool_id
) AS moments
GROUP BY work_pool_id;

-- name: cleanup.work
-- Whether the reconciler has anything to do: one row, read at every pass.
SELECT
    EXISTS (SELECT 1 FROM cleanup_message WHERE state = 1 AND lease_expires_at <= :now) AS overdue,
    EXISTS (SELECT 1 FROM cleanup_message WHERE state = 0 AND queued_at <= :alert) AS aged,
    EXISTS (SELECT 1 FROM cleanup_message
        WHERE state IN (2, 4) AND finished_at <= :completed_before) AS completed,
    EXISTS (SELECT 1 FROM cleanup_message
        WHERE state = 3 AND finished_at <= :dead_before) AS buried,
    EXISTS (SELECT 1 FROM cleanup_message WHERE NOT synced) AS unsynced,
    EXISTS (SELECT 1 FROM cleanup_message WHERE state = 1) AS leased,
    EXISTS (SELECT 1 FROM cleanup_message WHERE state = 0) AS ready;

-- name: cleanup.aged
SELECT id FROM cleanup_message
WHERE state = 0 AND queued_at <= :before AND (queued_at <= :dead OR NOT alerted)
    AND (queued_at, id) > (:after_at, :after_id)
ORDER BY queued_at, id
LIMIT :limit;

-- name: cleanup.purge_completed
DELETE FROM cleanup_message WHERE id IN (
    SELECT id FROM cleanup_message WHERE state IN (2, 4) AND finished_at <= :before LIMIT :limit
);

-- name: cleanup.purge_dead
DELETE FROM cleanup_message WHERE id IN (
    SELECT id FROM cleanup_message WHERE state = 3 AND finished_at <= :before LIMIT :limit
);

-- name: cleanup.delete
DELETE FROM cleanup_message WHERE id = :id AND fence = :fence;

-- name: cleanup.unfinished_of_pool
SELECT * FROM cleanup_message WHERE work_pool_id = :work_pool_id AND state IN (0, 1);

-- name: cleanup.pools
-- Pools with something unfinished.
SELECT DISTINCT work_pool_id FROM cleanup_message WHERE state IN (0, 1);

-- name: cleanup.unsynced
SELECT * FROM cleanup_message WHERE NOT synced
ORDER BY work_pool_id, id
LIMIT :limit;

-- name: cleanup.mark_synced
UPDATE cleanup_message SET synced = TRUE WHERE id = :id AND fence = :fence;

-- name: cleanup.forget_working_set
-- The working set elsewhere was lost: everything unfinished has to be written there anew.
UPDATE cleanup_message SET synced = FALSE WHERE state IN (0, 1);

-- name: cleanup.unfinished_after
SELECT * FROM cleanup_message WHERE state IN (0, 1) AND id > :after ORDER BY id LIMIT :limit;

-- name: cleanup.shift
-- The clock of the host jumped: what was counted from it moves along.
UPDATE cleanup_message SET
    available_at = available_at + :by, queued_at = queued_at + :by,
    lease_expires_at = lease_expires_at + :by
WHERE state IN (0, 1);

-- name: cleanup.stats
SELECT
    work_pool_id, state, count(*) AS count, min(available_at) AS oldest_available_at,
    coalesce(sum(CASE WHEN state = 1 AND lease_expires_at <= :now THEN 1 ELSE 0 END), 0) AS overdue
FROM cleanup_message
GROUP BY work_pool_id, state;

-- name: cleanup.last_dead
SELECT finished_at, dead_reason FROM cleanup_message
WHERE state = 3 AND work_pool_id = :work_pool_id
ORDER BY finished_at DESC
LIMIT 1;

-- name: cleanup.of_run
SELECT * FROM cleanup_message WHERE flow_run_id = :flow_run_id ORDER BY created_at, id;

-- name: cleanup.run
-- A flow run with where its infrastructure is.
SELECT
    r.id, r.flow_id, r.name, r.deployment_id, r.state_id, r.state_type, r.state_timestamp,
    r.infrastructure_pid, r.infrastructure_worker_name, r.work_queue_id,
    p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type
FROM flow_run AS r
LEFT JOIN work_queue AS q ON q.id = r.work_queue_id
LEFT JOIN work_pool AS p ON p.id = q.work_pool_id
WHERE r.id = :id;

-- name: cleanup.silent_cancellations
-- Runs that have been cancelling for too long, from behind a known one.
SELECT id, state_timestamp FROM flow_run
WHERE state_type = 'CANCELLING' AND state_timestamp <= :before
    AND (state_timestamp, id) > (:after_at, :after_id)
ORDER BY state_timestamp, id
LIMIT :limit;

-- name: cleanup.note_worker
-- Which worker reported the run's infrastructure.
UPDATE flow_run SET infrastructure_worker_name = :worker_name WHERE id = :id;

-- name: cleanup_delivery.insert
INSERT INTO cleanup_delivery (message_id, number, worker_name, consumer_id, server_id, reserved_at)
VALUES (:message_id, :number, :worker_name, :consumer_id, :server_id, :reserved_at)
ON CONFLICT (message_id, number) DO NOTHING;

-- name: cleanup_delivery.end
UPDATE cleanup_delivery SET
    ended_at = :ended_at, outcome = :outcome, reason = :reason, charged = :charged,
    renewals = :renewals
WHERE message_id = :message_id AND number = :number;

-- name: cleanup_delivery.end_open
-- Zero rows: its end is known.
UPDATE cleanup_delivery SET
    ended_at = :ended_at, outcome = :outcome, reason = :reason, charged = :charged,
    renewals = :renewals
WHERE message_id = :message_id AND number = :number AND ended_at IS NULL;

-- name: cleanup_delivery.of
SELECT * FROM cleanup_delivery WHERE message_id = :message_id ORDER BY number;

-- name: cleanup_server.beat
-- A server process that holds reservations is alive.
INSERT INTO lease (name, holder, expires, fence) VALUES (:name, :name, :expires, 1)
ON CONFLICT (name) DO UPDATE SET expires = excluded.expires;

-- name: cleanup_server.lost
-- Which of the server processes have not been heard of.
SELECT value AS id FROM json_each(:ids)
WHERE NOT EXISTS (
    SELECT 1 FROM lease WHERE lease.name = 'cleanup-server:' || value AND lease.expires > :now
);

-- name: cleanup.acts
-- What people did about a message.
SELECT at, action, actor_type, actor_id, actor_name FROM audit
WHERE kind = 'cleanup-message' AND object_id = :object_id
ORDER BY seq;

-- name: cleanup.dead_by_kind
SELECT kind, dead_reason AS reason, count(*) AS count FROM cleanup_message
WHERE state = 3
GROUP BY kind, dead_reason
ORDER BY kind, dead_reason;
