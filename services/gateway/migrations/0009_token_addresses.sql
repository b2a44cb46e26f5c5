-- From which addresses a token came, so that one which many share can be named. Of IPv6 the first 64 bits.
CREATE TABLE token_address (
    token_id      bigint      NOT NULL REFERENCES tokens,
    address       text        NOT NULL,
    first_used_at timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL,
    PRIMARY KEY (token_id, address)
);
CREATE INDEX token_address_age ON token_address (last_used_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON token_address TO headgate_gateway;
