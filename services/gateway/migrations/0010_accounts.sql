-- Service accounts: callers that are no persons. They are users of another kind, so that tokens need no second home; the
-- colon in their names keeps them out of everything that is about people.

ALTER TABLE users
    ADD COLUMN owner text REFERENCES users,
    ADD COLUMN purpose text NOT NULL DEFAULT '',
    DROP CONSTRAINT users_username_check,
    ADD CONSTRAINT users_username_check CHECK (username ~ '^(account:)?[a-z0-9-]{1,40}$'),
    -- A person answers for an account, and an account for nobody.
    ADD CONSTRAINT users_owner_check CHECK (
        (owner IS NULL AND username NOT LIKE 'account:%')
        OR (owner IS NOT NULL AND username LIKE 'account:%' AND owner NOT LIKE 'account:%'
            AND role IN ('manager', 'operator', 'auditor', 'viewer'))
    );
CREATE INDEX users_accounts ON users (owner, username) WHERE owner IS NOT NULL;
