-- Who answers for a service account: what it tells, its owner has told, so that nobody approves by a machine of one's own.
CREATE TABLE account_owners (
    actor    text    PRIMARY KEY,
    owner    text    NOT NULL,
    revision integer NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON account_owners TO headgate_governance;
