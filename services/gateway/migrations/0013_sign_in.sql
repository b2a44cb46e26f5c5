-- People who sign in with a provider (OpenID Connect): whom it calls by which `sub`. A name can change, this can't.

CREATE TABLE sign_in_link (
    issuer     text        NOT NULL,
    sub        text        NOT NULL,
    username   text        NOT NULL UNIQUE REFERENCES users,
    provider   text        NOT NULL,
    linked_at  timestamptz NOT NULL,
    PRIMARY KEY (issuer, sub)
);
ALTER TABLE sessions ADD COLUMN provider text;

GRANT SELECT, INSERT ON sign_in_link TO headgate_gateway;
