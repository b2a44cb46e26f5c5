-- When a token was used and from where, why it ended, and what has been told of it.

ALTER TABLE tokens
    -- From when on a token that was never used counts as unused: for those that are there already, from now on.
    ADD COLUMN idle_from timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_used_address text,
    ADD COLUMN revoked_reason text,
    -- The first owner's token is the last way in, and the keeper's can't be issued anew: neither age, idleness nor the
    -- quota ends them.
    ADD COLUMN standing boolean NOT NULL DEFAULT false,
    -- What came in its place; its own end is that of the overlap since then.
    ADD COLUMN rotated_to bigint REFERENCES tokens,
    ADD COLUMN told_expiry_days integer,
    ADD COLUMN told_rotation integer NOT NULL DEFAULT 0,
    ADD COLUMN told_idle_at timestamptz;
UPDATE tokens SET standing = true
WHERE (token_id = (SELECT min(token_id) FROM tokens) AND label = 'bootstrap')
    OR (username = 'headgate-keeper' AND label = 'derived from the cluster secret');
CREATE INDEX tokens_live ON tokens (token_id) WHERE revoked_at IS NULL;
