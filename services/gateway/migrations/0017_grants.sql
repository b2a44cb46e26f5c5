-- Roles that people hold beside their own, at some sites, until an instant.

CREATE TABLE role_grant (
    grant_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username     text        NOT NULL REFERENCES users,
    role         text        NOT NULL CHECK (role NOT IN ('owner', 'keeper')),
    sites        text[]      NOT NULL CHECK (cardinality(sites) > 0),
    ends_at      timestamptz NOT NULL,
    reason       text        NOT NULL,
    given_by     text        NOT NULL,
    given_at     timestamptz NOT NULL,
    warned_at    timestamptz,
    ended_at     timestamptz,
    ended_by     text,
    ended_reason text,
    CHECK (ends_at > given_at)
);
CREATE INDEX role_grant_live ON role_grant (username, grant_id) WHERE ended_at IS NULL;
CREATE INDEX role_grant_ends ON role_grant (ends_at, grant_id) WHERE ended_at IS NULL;
CREATE INDEX role_grant_role ON role_grant (role) WHERE ended_at IS NULL;

-- What somebody holds beside their role. Whether its time is over is for who reads it to see: time is an input.
CREATE VIEW held_power AS
SELECT role_grant.username, 'grant ' || role_grant.grant_id AS source, role_grant.role, own_role.permissions,
    role_grant.sites, role_grant.ends_at
FROM role_grant LEFT JOIN own_role ON own_role.role = role_grant.role
WHERE role_grant.ended_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON role_grant TO headgate_gateway;
GRANT SELECT ON held_power TO headgate_gateway;
