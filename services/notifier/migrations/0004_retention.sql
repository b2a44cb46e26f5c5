-- What is over, oldest first: that is archived, and then removed.
CREATE INDEX delivery_over ON delivery (site, created_at, delivery_id) WHERE state IN ('delivered', 'dead');

-- Archives of removed deliveries. The content lies in the bucket `archives` under its SHA-256.
CREATE TABLE archive (
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size_bytes bigint NOT NULL,
    row_count integer NOT NULL CHECK (row_count > 0),
    oldest_at timestamptz NOT NULL,
    newest_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX archive_of_site ON archive (site, archive_id DESC);
CREATE INDEX archive_age ON archive (created_at);

GRANT SELECT, INSERT, DELETE ON archive TO headgate_notifier;
