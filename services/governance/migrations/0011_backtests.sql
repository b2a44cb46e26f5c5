-- What a policy's text would have said of stored decisions. A backtest looks at runs from oldest_run_id up to before
-- next_before_run_id, newest first; what is done is what its counts say.
CREATE TABLE policy_backtests (
    backtest_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gate text NOT NULL,
    site text NOT NULL,
    content text NOT NULL,
    digest text NOT NULL,
    common_version integer NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    last_count integer NOT NULL,
    oldest_run_id bigint NOT NULL,
    next_before_run_id bigint NOT NULL,
    total_count integer NOT NULL,
    done_count integer NOT NULL,
    judged_count integer NOT NULL DEFAULT 0,
    flip_count integer NOT NULL DEFAULT 0,
    to_no_go_count integer NOT NULL DEFAULT 0,
    to_go_count integer NOT NULL DEFAULT 0,
    without_capsule_count integer NOT NULL,
    unreadable_count integer NOT NULL DEFAULT 0,
    unbound_count integer NOT NULL DEFAULT 0,
    unread_kinds text[] NOT NULL DEFAULT '{}',
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    finished_at timestamptz,
    reason text NOT NULL DEFAULT ''
);
CREATE INDEX policy_backtests_gate ON policy_backtests (gate, site, backtest_id DESC);
CREATE INDEX policy_backtests_open ON policy_backtests (site, backtest_id) WHERE state IN ('queued', 'running');

CREATE TABLE policy_flips (
    backtest_id bigint NOT NULL REFERENCES policy_backtests ON DELETE CASCADE,
    run_id bigint NOT NULL,
    flip jsonb NOT NULL,
    PRIMARY KEY (backtest_id, run_id)
);
-- A version keeps what the newest backtest of its text found.
ALTER TABLE policies ADD COLUMN backtest jsonb;

GRANT SELECT, INSERT, UPDATE, DELETE ON policy_backtests TO headgate_governance;
GRANT SELECT, INSERT, DELETE ON policy_flips TO headgate_governance;
