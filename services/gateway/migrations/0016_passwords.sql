-- Passwords of people, for installations without a provider. What is here is an argon2id hash that the vault has sealed:
-- whoever has the database alone can't even try passwords.

CREATE TABLE password (
    username text        PRIMARY KEY REFERENCES users,
    sealed   text        NOT NULL,
    set_at   timestamptz NOT NULL,
    revision integer     NOT NULL DEFAULT 1
);
-- Codes with which people choose one: 256 random bits, known by their SHA-256.
CREATE TABLE password_code (
    username    text        PRIMARY KEY REFERENCES users,
    code_sha256 bytea       NOT NULL CHECK (octet_length(code_sha256) = 32),
    expires_at  timestamptz NOT NULL
);
-- Attempts that were not right (yet), by name, by address, by browser. Each of them is a number below 2^20 made of it,
-- so that strangers who invent names fill no more than that.
CREATE TABLE sign_in_try (
    kind      text        NOT NULL,
    bucket    integer     NOT NULL,
    tries     integer     NOT NULL,
    tried_at  timestamptz NOT NULL,
    free_at   timestamptz NOT NULL,
    PRIMARY KEY (kind, bucket)
);
CREATE INDEX sign_in_try_old ON sign_in_try (tried_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON password, password_code, sign_in_try TO headgate_gateway;
