-- Reports as the tools wrote them, for as long as they are kept. Small ones lie here, large ones in the bucket `reports`
-- under their SHA-256. The row stays when the content is gone, so that one can be told when that was.
CREATE TABLE originals (
    sha256 bytea PRIMARY KEY,
    size bigint NOT NULL,
    content bytea,  -- packed by zlib; NULL: in the bucket, or gone
    stored_at timestamptz NOT NULL,
    removed_at timestamptz
);
CREATE INDEX originals_kept ON originals (stored_at) WHERE removed_at IS NULL;
CREATE INDEX originals_removed ON originals (removed_at) WHERE removed_at IS NOT NULL;

-- Which report a signal was read from.
CREATE TABLE signal_reports (
    signal_id bigint PRIMARY KEY REFERENCES signals ON DELETE CASCADE,
    sha256 bytea NOT NULL,
    format text NOT NULL
);
CREATE INDEX signal_reports_original ON signal_reports (sha256);

GRANT SELECT, INSERT, UPDATE, DELETE ON originals TO headgate_governance;
GRANT SELECT, INSERT ON signal_reports TO headgate_governance;
