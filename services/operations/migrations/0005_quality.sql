-- Quality reports that were made, kept for good: the streak is counted of them. Nobody changes or removes a row.
CREATE TABLE quality_report (
    run_id            bigint      PRIMARY KEY,
    report_window     text        NOT NULL CHECK (report_window IN ('weekly', 'monthly')),
    label             text        NOT NULL,
    made_at           timestamptz NOT NULL,
    trigger           text        NOT NULL,
    status            text        NOT NULL,
    complete          boolean     NOT NULL,
    counts            boolean     NOT NULL,
    critical_findings bigint,
    archive_error     text,
    CHECK (complete OR NOT counts)
);
CREATE INDEX quality_report_newest ON quality_report (made_at DESC, run_id DESC);
CREATE INDEX quality_report_counts ON quality_report (made_at) WHERE report_window = 'weekly' AND counts;

-- What gates were last told of the streak, and as of when.
CREATE TABLE streak_told (
    only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    told_at  timestamptz NOT NULL,
    fact_at  timestamptz NOT NULL,
    figures  jsonb       NOT NULL
);

GRANT SELECT, INSERT ON quality_report TO headgate_operations;
GRANT SELECT, INSERT, UPDATE ON streak_told TO headgate_operations;
