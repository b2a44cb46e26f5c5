-- Signals as they came, the facts that count now, and the verdicts.

CREATE TABLE signals (
    signal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    part text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    judged boolean NOT NULL,
    valid boolean NOT NULL,
    problems jsonb NOT NULL,
    data jsonb NOT NULL,
    digest bytea NOT NULL,
    UNIQUE (site, source, event_id)
);
CREATE INDEX signals_site ON signals (site, signal_id DESC);
CREATE INDEX signals_kind ON signals (site, kind, signal_id DESC);
CREATE INDEX signals_subject ON signals (site, subject, signal_id DESC);

-- The newest valid signal of each kind and part for what is judged.
CREATE TABLE facts (
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    kind text NOT NULL,
    part text NOT NULL,
    signal_id bigint NOT NULL REFERENCES signals,
    time timestamptz NOT NULL,
    PRIMARY KEY (site, subject, version, kind, part)
);

-- One row per (gate, site, subject): numbers its runs, and remembers the latest run and the last GO, the baseline of
-- the next run. Its row lock puts runs in order.
CREATE TABLE gate_heads (
    gate text NOT NULL,
    site text NOT NULL,
    subject text NOT NULL,
    run_number bigint NOT NULL,
    version text NOT NULL DEFAULT '',
    decision text CHECK (decision IN ('go', 'no_go')),
    next_change_at timestamptz,
    last_go_run_id bigint,
    PRIMARY KEY (gate, site, subject)
);
-- The GOs that time alone turns: looked at every ten minutes.
CREATE INDEX gate_heads_change ON gate_heads (next_change_at) WHERE decision = 'go';

CREATE TABLE runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gate text NOT NULL,
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    run_number bigint NOT NULL,
    trigger text NOT NULL,
    actor text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('go', 'no_go')),
    status text NOT NULL,
    decided_at timestamptz NOT NULL,
    summary jsonb NOT NULL,
    rules jsonb NOT NULL,
    reasons jsonb NOT NULL,
    policy_digest text NOT NULL,
    settings jsonb NOT NULL,
    baseline_run bigint,
    next_change_at timestamptz,
    fact_signals bigint[] NOT NULL,
    command_id uuid,
    UNIQUE (gate, site, subject, run_number)
);
CREATE INDEX runs_gate ON runs (gate, site, run_id DESC);
CREATE INDEX runs_subject ON runs (gate, site, subject, run_id DESC);

GRANT SELECT, INSERT ON signals, runs TO headgate_governance;
GRANT SELECT, INSERT, UPDATE ON facts, gate_heads TO headgate_governance;
-- Alert groups that were resolved long ago are dropped, else their number would only grow.
GRANT DELETE ON facts TO headgate_governance;
