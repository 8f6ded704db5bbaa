-- What a seal says beside its head. `root` is the hash of the digests, which stays when they go
-- with their rows; `tombstone` proves that retention deleted them; `key_id` names the key.
ALTER TABLE audit_segment ADD COLUMN root TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_segment ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_segment ADD COLUMN tombstone TEXT;

-- What the queries of the trail need of its indexes (0003):
-- the primary key `seq` for pages, export, sealing and verification; `audit_by_object` for the
-- history and the state of one object; `audit_by_name` for finding an object by a name it had;
-- `audit_by_time` for filters on `at` and for retention without seals; `audit_by_actor` and
-- `audit_by_request` for the filters of these names, which otherwise read back from the newest row.
