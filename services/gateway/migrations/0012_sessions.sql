-- Sessions of people in browsers. The cookie's secret is never stored: 256 random bits are known by their SHA-256.

CREATE TABLE sessions (
    session_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_sha256 bytea       NOT NULL UNIQUE CHECK (octet_length(secret_sha256) = 32),
    username      text        NOT NULL REFERENCES users,
    -- What it was opened with: it may no more than that, and ends with it.
    token_id      bigint      REFERENCES tokens,
    opened_at     timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    idle_minutes  integer     NOT NULL CHECK (idle_minutes > 0),
    ends_at       timestamptz NOT NULL,
    address       text        NOT NULL,
    agent         text        NOT NULL,
    ended_at      timestamptz,
    ended_reason  text
);
CREATE INDEX sessions_open ON sessions (username, session_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO headgate_gateway;
