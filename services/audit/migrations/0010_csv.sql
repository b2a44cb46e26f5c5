-- Where in an archive's file its CSV files lie, so that one is handed out without its caller reading all of it; and the
-- log's signature over each.
CREATE TABLE archive_csv (
    manifest_sha256 text   NOT NULL,
    format_version  text   NOT NULL CHECK (format_version IN ('v1', 'v2')),
    start_bytes     bigint NOT NULL CHECK (start_bytes >= 0),
    size_bytes      bigint NOT NULL CHECK (size_bytes >= 0),
    sha256          text   NOT NULL,
    signature       text   NOT NULL,
    PRIMARY KEY (manifest_sha256, format_version)
);
GRANT SELECT, INSERT ON archive_csv TO headgate_audit;
