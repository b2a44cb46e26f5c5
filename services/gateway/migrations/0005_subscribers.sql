-- Other systems that pull events. The rows say what there should be; the gateway makes their durables by them.

CREATE TABLE subscribers (
    subscriber_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[a-z0-9-]{1,40}$'),
    label text,
    owner text NOT NULL REFERENCES users,
    sites text[] NOT NULL,
    types text[] NOT NULL,
    start text NOT NULL CHECK (start IN ('now', 'oldest')),
    created_at timestamptz NOT NULL,
    removed_at timestamptz,
    -- What was seen of the durable. `safe_seq`: up to here nothing can be missed any more.
    made_at timestamptz,
    gone_at timestamptz,
    checked_at timestamptz,
    pending_count bigint NOT NULL DEFAULT 0,
    unacked_count bigint NOT NULL DEFAULT 0,
    acked_seq bigint NOT NULL DEFAULT 0,
    safe_seq bigint NOT NULL DEFAULT 0,
    last_ack_at timestamptz,
    gap_at timestamptz,
    gap_after_seq bigint,
    gap_before_seq bigint
);
CREATE UNIQUE INDEX subscribers_name ON subscribers (owner, name) WHERE removed_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON subscribers TO headgate_gateway;
