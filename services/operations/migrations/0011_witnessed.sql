-- What each site's gates were told last of the audit log's witnesses, and when: they are told again when that is old for
-- their rules, or no longer so.
CREATE TABLE witness_told (
    site    text        PRIMARY KEY,
    told_at timestamptz NOT NULL,
    state   text        NOT NULL
);
GRANT SELECT, INSERT, UPDATE (told_at, state) ON witness_told TO headgate_operations;
