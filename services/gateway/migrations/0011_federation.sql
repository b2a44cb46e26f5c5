-- Tokens of minutes, made by a rule for a job that showed an identity token of its CI system.

ALTER TABLE tokens ADD COLUMN rule text;
-- They end by themselves: nobody has to be told of them, and there are many.
DROP INDEX tokens_live;
CREATE INDEX tokens_live ON tokens (token_id) WHERE revoked_at IS NULL AND rule IS NULL;

-- Identity tokens that were exchanged, until they are over: each gives one token.
CREATE TABLE identity_use (
    used_sha256 bytea       PRIMARY KEY CHECK (octet_length(used_sha256) = 32),
    used_until  timestamptz NOT NULL
);
CREATE INDEX identity_use_age ON identity_use (used_until);

GRANT SELECT, INSERT, DELETE ON identity_use TO headgate_gateway;
