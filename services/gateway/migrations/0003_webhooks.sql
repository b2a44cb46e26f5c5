-- Other systems that tell of their runs. No secret is stored, not even sealed: the gateway's own key makes it of the salt.

CREATE TABLE webhooks (
    webhook_id text PRIMARY KEY CHECK (webhook_id ~ '^[0-9a-f]{32}$'),
    site text NOT NULL REFERENCES sites,
    name text NOT NULL CHECK (name ~ '^[a-z0-9-]{1,40}$'),
    system text NOT NULL CHECK (system IN ('github', 'gitlab')),
    mapping jsonb NOT NULL,
    label text,
    salt text NOT NULL,
    fingerprint text NOT NULL,
    previous_salt text,
    previous_until timestamptz,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    rotated_at timestamptz,
    removed_at timestamptz
);
-- The name is the actor of what it tells, so that no two of a site may have it at one time.
CREATE UNIQUE INDEX webhooks_name ON webhooks (site, name) WHERE removed_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON webhooks TO headgate_gateway;
