-- Findings and vanished tests that two persons accepted until a day. Rows are never deleted; parts only grow less.
CREATE TABLE accepted_baselines (
    accepted_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    gate text NOT NULL,
    subject text NOT NULL,
    line text NOT NULL,
    version text NOT NULL,  -- whose findings they were
    parts jsonb NOT NULL,  -- kind, part and fingerprints of each, as libs.judge.accepted reads them
    finding_count int NOT NULL,  -- as they were accepted
    vanished_count int NOT NULL,
    reason text NOT NULL,
    issue text NOT NULL,
    state text NOT NULL DEFAULT 'requested'
        CHECK (state IN ('requested', 'approved', 'declined', 'withdrawn', 'revoked')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    begins_at timestamptz,
    ends_at timestamptz NOT NULL,
    decided_by text CHECK (decided_by <> requested_by OR state <> 'approved'),  -- two persons, whatever the code does
    decided_at timestamptz,
    decision_reason text,
    ended_by text,
    ended_at timestamptz,
    end_reason text,
    CHECK (state <> 'approved' OR (decided_by IS NOT NULL AND begins_at IS NOT NULL))
);
CREATE INDEX accepted_baselines_site ON accepted_baselines (site, accepted_id DESC);
CREATE INDEX accepted_baselines_open ON accepted_baselines (site, gate, subject, line, ends_at)
    WHERE state IN ('requested', 'approved');

GRANT SELECT, INSERT, UPDATE ON accepted_baselines TO headgate_governance;
