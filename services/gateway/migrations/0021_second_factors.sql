-- Second factors. The secret is sealed by the vault; it counts from the first code on that was shown of it.

CREATE TABLE second_factor (
    username     text        PRIMARY KEY REFERENCES users,
    sealed       text        NOT NULL,
    fingerprint  text        NOT NULL,
    begun_at     timestamptz NOT NULL,
    confirmed_at timestamptz,
    -- Of a code's 30 s; the same code does not count again.
    last_step    bigint      NOT NULL DEFAULT 0
);
CREATE TABLE recovery_code (
    username    text  REFERENCES users,
    code_sha256 bytea NOT NULL CHECK (octet_length(code_sha256) = 32),
    PRIMARY KEY (username, code_sha256)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON second_factor, recovery_code TO headgate_gateway;
