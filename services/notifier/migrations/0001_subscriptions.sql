-- Users as the gateway tells of them: a subscription sees what its owner may see.
CREATE TABLE person (
    username text PRIMARY KEY CHECK (username ~ '^[a-z0-9-]{1,40}$'),
    role text NOT NULL,
    sites text[] NOT NULL,
    active boolean NOT NULL,
    revision integer NOT NULL
);
-- One row: since when all people are known, NULL until the gateway was asked for those who were there before.
CREATE TABLE people_known (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    since timestamptz
);
INSERT INTO people_known DEFAULT VALUES;

-- Secrets are encrypted with the installation's vault, whose key is in no database.
CREATE TABLE subscription (
    subscription_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    name text NOT NULL,
    owner text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'paused', 'disabled', 'removed')),
    status_reason text NOT NULL,
    channel text NOT NULL,
    endpoint text NOT NULL,
    event_types text[] NOT NULL,
    gates text[] NOT NULL,
    rules text[] NOT NULL,
    priorities integer[] NOT NULL,
    roles text[] NOT NULL,
    condition text NOT NULL,
    secret text NOT NULL,
    fingerprint text NOT NULL,
    previous_secret text,
    previous_fingerprint text,
    previous_until timestamptz,
    rotated_at timestamptz,
    created_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX subscription_of_site ON subscription (site, subscription_id DESC);
CREATE INDEX subscription_by_status ON subscription (site, status, subscription_id DESC);

-- One row, raised by whatever changes whom events go to: each process reads the subscriptions anew when it sees that.
CREATE TABLE roll (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    number bigint NOT NULL DEFAULT 1
);
INSERT INTO roll DEFAULT VALUES;

-- Events of sites that have subscriptions, as they came: what is sent, and what a replay reads.
CREATE TABLE event (
    event_id uuid PRIMARY KEY,
    site text NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    payload bytea NOT NULL
);
CREATE INDEX event_of_site ON event (site, received_at, event_id);
CREATE INDEX event_age ON event (received_at);

-- One row for each subscription and event. due_at: when it is to be sent, while it is being sent the end of that lease,
-- NULL when nothing is to be done any more. tries: attempts since it began, or since somebody had it sent again. No foreign key on event: it would cost a look per row, and the job that
-- removes old ones removes deliveries first.
CREATE TABLE delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id bigint NOT NULL REFERENCES subscription,
    event_id uuid NOT NULL,
    site text NOT NULL,
    event_name text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivering', 'delivered', 'retrying', 'dead')),
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    attempt_count integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    last_attempt_at timestamptz,
    ended_at timestamptz,
    http_status integer,
    took_ms real,
    error text,
    request_headers jsonb,
    answer_headers jsonb,
    answer_head text,
    attempts jsonb NOT NULL DEFAULT '[]',
    CHECK ((due_at IS NULL) = (state IN ('delivered', 'dead')))
);
CREATE UNIQUE INDEX delivery_once ON delivery (subscription_id, event_id);
CREATE INDEX delivery_due ON delivery (subscription_id, due_at, delivery_id) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_of_site ON delivery (site, delivery_id DESC);
CREATE INDEX delivery_of_subscription ON delivery (site, subscription_id, delivery_id DESC);
CREATE INDEX delivery_dead ON delivery (site, delivery_id) WHERE state = 'dead';

GRANT SELECT, INSERT, UPDATE ON person, subscription TO headgate_notifier;
GRANT SELECT, UPDATE ON people_known, roll TO headgate_notifier;
GRANT SELECT, INSERT, DELETE ON event TO headgate_notifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery TO headgate_notifier;
