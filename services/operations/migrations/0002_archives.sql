-- Files that a run put into the bucket `archives`. The bucket says whether they are still there, this table says of which
-- run they are.
CREATE TABLE archive (
    run_id    bigint      NOT NULL,
    format    text        NOT NULL CHECK (format IN ('json', 'csv')),
    filename  text        NOT NULL,
    sha256    text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size      bigint      NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, format)
);
CREATE INDEX archive_stored_at ON archive (stored_at);

GRANT SELECT, INSERT, DELETE ON archive TO headgate_operations;
