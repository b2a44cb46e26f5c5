-- How each target has done lately. marks: the newest attempts, each as services.notifier.domain.outages has it, sorted.
-- forgotten: the newest of those that are kept no more; an attempt that is told of so late counts for nothing.
-- Written in each turn of the sender, so there is room in the pages for rows to change in place.
CREATE TABLE target_health (
    target bigint PRIMARY KEY,
    site text NOT NULL,
    marks bigint[] NOT NULL,
    forgotten bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- From the first attempt that failed until the next that went well; ended_at NULL: it lasts.
CREATE TABLE outage (
    outage_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target bigint NOT NULL,
    site text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK (ended_at >= began_at)
);
CREATE UNIQUE INDEX outage_once ON outage (target, began_at);
CREATE UNIQUE INDEX outage_open ON outage (target) WHERE ended_at IS NULL;
CREATE INDEX outage_since ON outage (site, coalesce(ended_at, 'infinity'));
CREATE INDEX outage_of_site ON outage (site, outage_id DESC);
CREATE INDEX outage_of_target ON outage (site, target, outage_id DESC);
CREATE INDEX outage_age ON outage (ended_at) WHERE ended_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON target_health TO headgate_notifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON outage TO headgate_notifier;
