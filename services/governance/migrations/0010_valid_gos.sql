-- The GOs that hold now, one for each version of a subject. They perish: by the clock, by a newer fact, by what people
-- decide. Whoever changes a row holds the lock of its gate head.
CREATE TABLE valid_gos (
    gate text NOT NULL,
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    run_id bigint NOT NULL REFERENCES runs,
    decided_at timestamptz NOT NULL,
    valid_until timestamptz,
    kinds text[],  -- what the rules read; NULL: of before this was noted, so it is looked at once
    fact_signals bigint[] NOT NULL,
    PRIMARY KEY (gate, site, subject, version)
);
CREATE INDEX valid_gos_until ON valid_gos (valid_until);

INSERT INTO valid_gos (gate, site, subject, version, run_id, decided_at, valid_until, fact_signals)
SELECT gate, site, subject, runs.version, run_id, decided_at, gate_heads.next_change_at, fact_signals
FROM gate_heads JOIN runs USING (gate, site, subject, run_number) WHERE gate_heads.decision = 'go';

ALTER TABLE gate_heads DROP COLUMN next_change_at;
ALTER TABLE runs ADD COLUMN valid_until timestamptz;

GRANT SELECT, INSERT, UPDATE, DELETE ON valid_gos TO headgate_governance;
