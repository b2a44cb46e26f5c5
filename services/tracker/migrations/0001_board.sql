-- The head of a board. Whoever changes the board or its items locks this row first, so nothing else needs locking.
CREATE TABLE board (
    gate text NOT NULL,
    site text NOT NULL,
    subject text NOT NULL,
    -- The newest run applied; 0 and NULL until the gate has been judged.
    run_number bigint NOT NULL DEFAULT 0,
    run_id bigint,
    version text,
    decision text CHECK (decision IN ('go', 'no_go')),
    decided_at timestamptz,
    completion_status text NOT NULL DEFAULT 'active'
        CHECK (completion_status IN ('active', 'completed', 'completed_with_exceptions')),
    completion_note text NOT NULL DEFAULT '' CHECK (length(completion_note) <= 4000),
    completed_by text,
    completed_at timestamptz,
    force_used boolean NOT NULL DEFAULT false,
    last_checked_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (site, gate, subject),
    CHECK ((completion_status = 'active') = (completed_at IS NULL)),
    CHECK ((run_number = 0) = (decision IS NULL))
);

-- One row per rule of a board, for ever; a rule that fails again begins a new episode in the same row.
CREATE TABLE item (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id text NOT NULL,
    gate text NOT NULL,
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    rule_id text NOT NULL,
    rule_status text NOT NULL CHECK (rule_status IN ('pass', 'fail', 'warning')),
    required boolean NOT NULL,
    priority integer NOT NULL,
    owner_role text NOT NULL,
    sla_hours integer NOT NULL CHECK (sla_hours >= 1),
    due_at timestamptz NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    detail jsonb NOT NULL,
    assignee text CHECK (length(assignee) BETWEEN 1 AND 120),
    status text NOT NULL CHECK (status IN ('pending', 'in_progress', 'done', 'blocked')),
    completion_checked boolean NOT NULL,
    completion_note text NOT NULL CHECK (length(completion_note) <= 4000),
    completed_at timestamptz,
    verified_at timestamptz,
    is_active boolean NOT NULL,
    episode integer NOT NULL CHECK (episode >= 1),
    opened_at timestamptz NOT NULL,
    gate_generated_at timestamptz NOT NULL,
    gate_run_id bigint NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    FOREIGN KEY (site, gate, subject) REFERENCES board,
    UNIQUE (site, gate, subject, rule_id),
    CHECK ((status = 'done') = completion_checked),
    CHECK ((status = 'done') = (completed_at IS NOT NULL)),
    CHECK (is_active = (verified_at IS NULL))
);

-- Lists in their order: of one gate, and of one board.
CREATE INDEX item_of_gate ON item (site, gate, is_active DESC, priority, due_at, id);
CREATE INDEX item_of_board ON item (site, gate, subject, is_active DESC, priority, due_at, id);
-- What the series count.
CREATE INDEX item_active ON item (gate, status, due_at) WHERE is_active;

-- Which runs opened and ended each episode.
CREATE TABLE item_episode (
    item bigint NOT NULL REFERENCES item,
    episode integer NOT NULL,
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    opened_by_run bigint NOT NULL,
    resolved_at timestamptz,
    resolved_by_run bigint,
    PRIMARY KEY (item, episode),
    CHECK ((resolved_at IS NULL) = (resolved_by_run IS NULL))
);

-- Gate runs that the board asked for, by the id of the command sent: what they may open, and what came of them.
CREATE TABLE run_request (
    request_id uuid PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('sync', 'complete')),
    actor text NOT NULL,
    include_warnings boolean NOT NULL,
    max_items integer,
    requested_at timestamptz NOT NULL,
    created_count integer NOT NULL DEFAULT 0,
    reopened_count integer NOT NULL DEFAULT 0,
    resolved_count integer NOT NULL DEFAULT 0
);
CREATE INDEX run_request_age ON run_request (requested_at);

GRANT SELECT, INSERT, UPDATE ON board, item, item_episode TO headgate_tracker;
GRANT SELECT, INSERT, UPDATE, DELETE ON run_request TO headgate_tracker;
