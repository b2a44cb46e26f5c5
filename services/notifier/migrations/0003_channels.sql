-- Places where people read: a site's, or with a person that person's own (then of the site *). Where they lead is
-- encrypted by the edge.
CREATE TABLE channel (
    channel_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    person text NOT NULL DEFAULT '',
    language text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'disabled', 'removed')),
    status_reason text NOT NULL,
    address_shown text NOT NULL,
    secret text NOT NULL,
    fingerprint text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    CHECK ((site = '*') = (person <> ''))
);
CREATE UNIQUE INDEX channel_name ON channel (site, person, name) WHERE status <> 'removed';
CREATE INDEX channel_of_site ON channel (site, person, channel_id DESC);
CREATE INDEX channel_by_status ON channel (site, person, status, channel_id DESC);

-- NULL: it calls an endpoint of its own, signed with a secret of its own.
ALTER TABLE subscription ADD COLUMN channel_id bigint REFERENCES channel;
CREATE INDEX subscription_of_channel ON subscription (channel_id) WHERE channel_id IS NOT NULL;

-- A delivery is of a subscription, or goes straight to a channel. Lane: what it waits in, one for each subscription, and
-- one (below zero) for what goes straight to a channel. Target: who is called, however it came to that.
ALTER TABLE delivery
    ALTER COLUMN subscription_id DROP NOT NULL,
    ADD COLUMN channel_id bigint REFERENCES channel,
    ADD COLUMN purpose text NOT NULL DEFAULT 'subscription',
    ADD COLUMN key uuid,
    ADD COLUMN lane bigint NOT NULL GENERATED ALWAYS AS (coalesce(subscription_id, -channel_id)) STORED,
    ADD COLUMN target bigint NOT NULL GENERATED ALWAYS AS (coalesce(-channel_id, subscription_id)) STORED;
DROP INDEX delivery_once;
DROP INDEX delivery_due;
CREATE UNIQUE INDEX delivery_once ON delivery (lane, event_id);
CREATE INDEX delivery_due ON delivery (lane, due_at, delivery_id) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_of_channel ON delivery (site, channel_id, delivery_id DESC) WHERE channel_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON channel TO headgate_notifier;
