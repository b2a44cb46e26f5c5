-- Open items of a site by when they are due: what escalates, and what is overdue.
CREATE INDEX IF NOT EXISTS item_open_due ON item (site, due_at) WHERE is_active AND status <> 'done';

-- Chains as they were when an escalation began, each once, under the SHA-256 of its canonical JSON.
CREATE TABLE frozen_chain (
    digest text PRIMARY KEY,
    content text NOT NULL
);

-- The escalation of one episode of an item.
CREATE TABLE escalation (
    item bigint NOT NULL REFERENCES item,
    episode integer NOT NULL,
    site text NOT NULL,
    -- NULL until it begins; a person may acknowledge or snooze before.
    started_at timestamptz,
    chain_digest text REFERENCES frozen_chain,
    chains_source text,
    chains_version integer,
    -- How far it is.
    level integer NOT NULL DEFAULT 0,
    repeat integer NOT NULL DEFAULT 0,
    level_at timestamptz,
    told_at timestamptz,
    reached boolean NOT NULL DEFAULT false,
    -- When to look again; NULL when its chain has ended, or it rests: its item is done or no candidate any more.
    look_at timestamptz,
    waiting boolean NOT NULL DEFAULT false,
    resting boolean NOT NULL DEFAULT false,
    acknowledged_at timestamptz,
    acknowledged_by text,
    snoozed_until timestamptz,
    snoozed_by text,
    reason text,
    PRIMARY KEY (item, episode),
    CHECK ((started_at IS NULL) = (chain_digest IS NULL)),
    CHECK ((started_at IS NULL) = (level_at IS NULL)),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CHECK (NOT (resting AND look_at IS NOT NULL))
);
CREATE INDEX escalation_look ON escalation (look_at) WHERE look_at IS NOT NULL AND acknowledged_at IS NULL;

-- One row per item, episode, level and repeat, whoever takes the step and however often: its key is made of these.
CREATE TABLE escalation_step (
    key uuid PRIMARY KEY,
    item bigint NOT NULL,
    episode integer NOT NULL,
    level integer NOT NULL,
    repeat integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('raised', 'skipped')),
    due_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    targets jsonb NOT NULL,
    FOREIGN KEY (item, episode) REFERENCES escalation
);
CREATE INDEX escalation_step_of_item ON escalation_step (item, episode, at, key);

GRANT SELECT, INSERT ON frozen_chain, escalation_step TO headgate_tracker;
GRANT SELECT, INSERT, UPDATE ON escalation TO headgate_tracker;
