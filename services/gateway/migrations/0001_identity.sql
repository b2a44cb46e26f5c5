-- Who may do what where. Secrets are never stored: a token is known by the SHA-256 of its 256 random bits.

CREATE TABLE sites (
    site text PRIMARY KEY CHECK (site ~ '^[a-z0-9-]{1,40}$'),
    title text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- Paths without a site mean this one.
INSERT INTO sites (site, title) VALUES ('global', 'Everything that has no site of its own');

CREATE TABLE users (
    username text PRIMARY KEY CHECK (username ~ '^[a-z0-9-]{1,40}$'),
    role text NOT NULL CHECK (role IN ('owner', 'manager', 'operator', 'auditor', 'viewer')),
    sites text[] NOT NULL,
    display_name text NOT NULL DEFAULT '',
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL
);

CREATE TABLE tokens (
    token_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(secret_sha256) = 32),
    username text NOT NULL REFERENCES users,
    label text NOT NULL,
    sites text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX tokens_username ON tokens (username, token_id DESC);

-- Nothing is ever deleted: the audit log refers to users and tokens by name and number.
GRANT SELECT, INSERT ON sites TO headgate_gateway;
GRANT SELECT, INSERT, UPDATE ON users, tokens TO headgate_gateway;
