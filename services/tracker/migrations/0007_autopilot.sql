-- The switch of each site; the row of `global` is that of all. A run holds it, so that a stop that is answered is one:
-- nothing that the autopilot does is stored after it.
CREATE TABLE autopilot_switch (
    site text PRIMARY KEY,
    stopped_at timestamptz,
    stopped_by text,
    reason text NOT NULL DEFAULT '',
    CHECK ((stopped_at IS NULL) = (stopped_by IS NULL))
);
INSERT INTO autopilot_switch (site) VALUES ('global');

-- Plans that a person may approve until they end.
CREATE TABLE autopilot_plan (
    site text NOT NULL,
    plan_hash text NOT NULL,
    ends_at timestamptz NOT NULL,
    force boolean NOT NULL,
    policy_digest text NOT NULL,
    plan jsonb NOT NULL,
    PRIMARY KEY (site, plan_hash)
);
CREATE INDEX autopilot_plan_end ON autopilot_plan (ends_at);

-- Every run, in short: what lists and figures are read from. ``executed``: it did something, so the cooldown counts from
-- it and it can be undone once. The counts of items are from after the run.
CREATE TABLE autopilot_run (
    run_id bigint PRIMARY KEY REFERENCES job_run ON DELETE CASCADE,
    site text NOT NULL,
    ran_at timestamptz NOT NULL,
    executed boolean NOT NULL,
    dry_run boolean NOT NULL,
    force boolean NOT NULL,
    shadow boolean NOT NULL,
    skipped boolean NOT NULL,
    skip_reason text,
    planned_actions text[] NOT NULL,
    actions text[] NOT NULL,
    errors_count integer NOT NULL,
    open_items bigint NOT NULL,
    overdue_count bigint NOT NULL,
    unassigned_open_count bigint NOT NULL,
    critical_open_count bigint NOT NULL,
    touched_count integer NOT NULL,
    given_ids bigint[] NOT NULL,
    begun_ids bigint[] NOT NULL,
    undone_at timestamptz,
    undone_by text,
    undone_reason text,
    CHECK ((undone_at IS NULL) = (undone_by IS NULL)),
    CHECK (undone_at IS NULL OR executed)
);
CREATE INDEX autopilot_run_executed ON autopilot_run (site, run_id DESC) WHERE executed;

-- What shadow runs would have done, when first: one suggestion for each item, however many runs repeat or change it.
CREATE TABLE autopilot_shadow (
    site text NOT NULL,
    item bigint NOT NULL REFERENCES item,
    episode integer NOT NULL,
    action text NOT NULL CHECK (action IN ('auto_assign', 'escalation')),
    assignee text NOT NULL DEFAULT '',
    planned_at timestamptz NOT NULL,
    PRIMARY KEY (item, episode, action)
);
CREATE INDEX autopilot_shadow_newest ON autopilot_shadow (site, planned_at DESC);

GRANT SELECT, INSERT, UPDATE ON autopilot_switch, autopilot_run TO headgate_tracker;
GRANT SELECT, INSERT, UPDATE, DELETE ON autopilot_plan TO headgate_tracker;
GRANT SELECT, INSERT ON autopilot_shadow TO headgate_tracker;
