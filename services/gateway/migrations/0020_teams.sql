-- Named lists of people who hold roles together, beside their own.

CREATE TABLE team (
    team       text        PRIMARY KEY CHECK (team ~ '^[a-z0-9-]{1,40}$'),
    purpose    text        NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL,
    revision   integer     NOT NULL DEFAULT 1,
    -- Names are not used twice: the audit log refers to teams by name.
    removed_at timestamptz
);
CREATE TABLE team_member (
    username text NOT NULL REFERENCES users,
    team     text NOT NULL REFERENCES team,
    PRIMARY KEY (username, team)
);
CREATE INDEX team_member_team ON team_member (team, username);
CREATE TABLE team_role (
    team  text   NOT NULL REFERENCES team,
    role  text   NOT NULL CHECK (role NOT IN ('owner', 'keeper')),
    sites text[] NOT NULL CHECK (cardinality(sites) > 0),
    PRIMARY KEY (team, role)
);

CREATE OR REPLACE VIEW held_power AS
SELECT role_grant.username, 'grant ' || role_grant.grant_id AS source, role_grant.role, own_role.permissions,
    role_grant.sites, role_grant.ends_at
FROM role_grant LEFT JOIN own_role ON own_role.role = role_grant.role
WHERE role_grant.ended_at IS NULL
UNION ALL
SELECT team_member.username, 'team ' || team_role.team, team_role.role, own_role.permissions, team_role.sites, NULL
FROM team_member JOIN team_role ON team_role.team = team_member.team
    LEFT JOIN own_role ON own_role.role = team_role.role;

GRANT SELECT, INSERT, UPDATE ON team TO headgate_gateway;
GRANT SELECT, INSERT, DELETE ON team_member, team_role TO headgate_gateway;
