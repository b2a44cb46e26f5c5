-- Logins of programs: sessions whose secret lives for minutes, and is renewed by another that is new each time.
-- Of all of these only the SHA-256 is stored, here as everywhere.

ALTER TABLE sessions ADD COLUMN program boolean NOT NULL DEFAULT false;

CREATE TABLE logins (
    session_id     bigint      PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    refresh_sha256 bytea       NOT NULL UNIQUE CHECK (octet_length(refresh_sha256) = 32),
    -- What it was renewed with last: who asks the same once more has not heard the answer.
    previous_sha256 bytea,
    access_until   timestamptz NOT NULL,
    renewed_at     timestamptz NOT NULL
);
-- What was used: whoever comes with one of these has it from somewhere else than the one who renewed the login.
CREATE TABLE login_past (
    refresh_sha256 bytea       PRIMARY KEY CHECK (octet_length(refresh_sha256) = 32),
    session_id     bigint      NOT NULL REFERENCES logins ON DELETE CASCADE,
    used_at        timestamptz NOT NULL
);
CREATE INDEX login_past_of ON login_past (session_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON logins, login_past TO headgate_gateway;
