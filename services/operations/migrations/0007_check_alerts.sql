-- Alerts of daily checks, and what became of each as the notifier said last. Open until nothing can change any more.
CREATE TABLE check_alert (
    run_id     bigint      PRIMARY KEY,
    event_id   uuid        NOT NULL,
    raised_at  timestamptz NOT NULL,
    dispatched boolean,
    error      text,
    settled_at timestamptz
);
CREATE INDEX check_alert_open ON check_alert (raised_at) WHERE settled_at IS NULL;
CREATE INDEX check_alert_age ON check_alert (raised_at);

GRANT SELECT, INSERT, DELETE, UPDATE (dispatched, error, settled_at) ON check_alert TO headgate_operations;
