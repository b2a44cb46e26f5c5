-- What every service needs to take messages once and to send what it says.

-- A row means: applied (or refused) for good. It is written in the same transaction as the effect.
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    digest text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_received_at ON inbox (received_at);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('event', 'command')),
    name text NOT NULL,
    site text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz
);
CREATE INDEX outbox_unsent ON outbox (id) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent_at ON outbox (sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE outcomes (
    command_id uuid PRIMARY KEY,
    operation text NOT NULL,
    actor text NOT NULL,
    site text NOT NULL,
    digest text NOT NULL,
    http_status smallint NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outcomes_created_at ON outcomes (created_at);

-- Commands that wait for an event which another service's command will cause: one row per cause.
CREATE TABLE deferred (
    cause_id uuid PRIMARY KEY,
    command_id uuid NOT NULL,
    event_type text NOT NULL,
    envelope bytea NOT NULL,
    state jsonb NOT NULL,
    deadline timestamptz NOT NULL
);
CREATE INDEX deferred_command_id ON deferred (command_id);
CREATE INDEX deferred_deadline ON deferred (deadline);

-- Failed single-message attempts; only these count towards burying a message.
CREATE TABLE attempts (
    consumer text NOT NULL,
    message_key text NOT NULL,
    count integer NOT NULL,
    last_error text NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, message_key)
);

CREATE TABLE dead_letters (
    letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    message_key text NOT NULL,
    message_id text NOT NULL,
    message_type text NOT NULL,
    subject text NOT NULL,
    site text NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'replayed', 'dropped')),
    buried_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    UNIQUE (consumer, message_key)
);
CREATE INDEX dead_letters_state ON dead_letters (state, letter_id);

CREATE TABLE job_runs (
    tick_id uuid PRIMARY KEY,
    job text NOT NULL,
    status text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL
);
CREATE INDEX job_runs_job ON job_runs (job, finished_at DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON inbox, outbox, outcomes, deferred, attempts, job_runs TO {login};
GRANT SELECT, INSERT, UPDATE ON dead_letters TO {login};
