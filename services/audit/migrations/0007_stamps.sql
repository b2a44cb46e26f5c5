-- Time stamps (RFC 3161) of archives: the reply of the authority, by what it is of.
CREATE TABLE archive_stamp (
    manifest_sha256 text        PRIMARY KEY,
    reply           bytea       NOT NULL,
    stamped_at      timestamptz NOT NULL,
    asked_at        timestamptz NOT NULL
);
GRANT SELECT, INSERT ON archive_stamp TO headgate_audit;
