-- Who has taken a run and until when. The number of a run's claim grows with each claim and each
-- time one is taken back; whoever comes with an older number is refused.

ALTER TABLE flow_run ADD COLUMN claim_number BIGINT NOT NULL DEFAULT 0;

CREATE TABLE run_claim (
    flow_run_id TEXT PRIMARY KEY REFERENCES flow_run (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    owner TEXT NOT NULL,
    expires BIGINT NOT NULL, -- without a renewal until then it is taken back
    created BIGINT NOT NULL
);

CREATE INDEX run_claim_by_expiry ON run_claim (expires);
