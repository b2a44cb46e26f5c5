-- What each service found when it last spoke: at its start, or when it was asked again.
CREATE TABLE preflight_report (
    service    text        PRIMARY KEY,
    instance   text        NOT NULL,
    checked_at timestamptz NOT NULL,
    report     jsonb       NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON preflight_report TO headgate_operations;
