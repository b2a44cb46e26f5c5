-- What people said of alerts, all of it: a row is never changed, the newest of an event counts. They outlive deliveries.
CREATE TABLE verdict (
    verdict_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id bigint NOT NULL,
    event_id uuid NOT NULL,
    event_name text NOT NULL,
    site text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('true_positive', 'false_positive', 'withdrawn')),
    reason text NOT NULL,
    judged_by text NOT NULL,
    judged_at timestamptz NOT NULL,
    alerted_at timestamptz NOT NULL
);
CREATE INDEX verdict_of_delivery ON verdict (site, delivery_id, verdict_id DESC);
CREATE INDEX verdict_of_event ON verdict (site, event_id, verdict_id DESC);
CREATE INDEX verdict_when ON verdict (site, alerted_at);

-- Alerts that should have come and did not.
CREATE TABLE missed_alert (
    missed_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    what text NOT NULL,
    happened_at timestamptz NOT NULL,
    reason text NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    withdrawn_by text,
    withdrawn_at timestamptz,
    withdrawn_reason text,
    CHECK ((withdrawn_by IS NULL) = (withdrawn_at IS NULL))
);
CREATE INDEX missed_of_site ON missed_alert (site, missed_id DESC);
CREATE INDEX missed_when ON missed_alert (site, happened_at) WHERE withdrawn_at IS NULL;

GRANT SELECT, INSERT ON verdict TO headgate_notifier;
GRANT SELECT, INSERT, UPDATE ON missed_alert TO headgate_notifier;
