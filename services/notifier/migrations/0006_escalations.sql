-- One row for each key that the tracker raised: what of it goes to channels, and whether it was answered. Who was to be
-- told and has no channel is noted as it was then.
CREATE TABLE escalation (
    key uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    correlation_id text NOT NULL,
    site text NOT NULL,
    item_id bigint NOT NULL,
    level integer NOT NULL,
    without_channel text[] NOT NULL,
    lacking text NOT NULL,
    created_at timestamptz NOT NULL,
    answered_at timestamptz
);
CREATE INDEX escalation_unanswered ON escalation (created_at, key) WHERE answered_at IS NULL;
CREATE INDEX escalation_age ON escalation (created_at) WHERE answered_at IS NOT NULL;
CREATE INDEX delivery_of_key ON delivery (key) WHERE key IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON escalation TO headgate_notifier;
