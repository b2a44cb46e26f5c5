-- Exceptions: what people decided about gates, each with who, why and until when. Rows are never deleted.
CREATE TABLE waivers (
    waiver_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    gate text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    rule_id text NOT NULL,
    fingerprint text NOT NULL,
    without_evidence boolean NOT NULL,
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
CREATE INDEX waivers_site ON waivers (site, waiver_id DESC);
CREATE INDEX waivers_open ON waivers (site, gate, subject, ends_at) WHERE state IN ('requested', 'approved');

-- The line is stopped from halted_at until lifted_at: at a site, or everywhere (site global).
CREATE TABLE halts (
    halt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    subjects text NOT NULL,
    reason text NOT NULL,
    halted_by text NOT NULL,
    halted_at timestamptz NOT NULL,
    lifted_by text,
    lifted_at timestamptz,
    lift_reason text
);
CREATE INDEX halts_site ON halts (site, halt_id DESC);
CREATE INDEX halts_in_force ON halts (site) WHERE lifted_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON waivers, halts TO headgate_governance;
