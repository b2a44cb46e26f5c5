-- Roles of the installation's own. What such a role holds stands with each user who has it, too: so it is read with the
-- user, and told with them.

CREATE TABLE own_role (
    role        text        PRIMARY KEY CHECK (role ~ '^[a-z0-9-]{1,40}$'),
    purpose     text        NOT NULL,
    permissions text[]      NOT NULL CHECK (cardinality(permissions) > 0),
    created_at  timestamptz NOT NULL,
    created_by  text        NOT NULL,
    revision    integer     NOT NULL DEFAULT 1,
    -- Names are not used twice: the audit log refers to roles by name.
    removed_at  timestamptz
);

ALTER TABLE users
    DROP CONSTRAINT users_role_check,
    ADD COLUMN own_permissions text[],
    -- Which of the two a role is must be known without a look at another table.
    ADD CONSTRAINT users_role_check CHECK ((own_permissions IS NULL)
        = (role IN ('owner', 'manager', 'commander', 'operator', 'auditor', 'viewer', 'keeper')));
CREATE INDEX users_own_role ON users (role, username) WHERE own_permissions IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON own_role TO headgate_gateway;
