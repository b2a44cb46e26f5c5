-- Of a target (a subscription's number, or a channel's below zero) and an event's name: how many attempts have failed
-- one after the other, and whether deliveries are held back. There is no row where the last attempt went well.
CREATE TABLE circuit (
    target bigint NOT NULL,
    event_name text NOT NULL CHECK (length(event_name) <= 120),
    site text NOT NULL,
    state text NOT NULL CHECK (state IN ('closed', 'open', 'half_open', 'releasing')),
    failure_count integer NOT NULL,
    failed_at timestamptz NOT NULL,
    error text NOT NULL,
    opened_at timestamptz,
    probes_failed integer NOT NULL,
    probe_at timestamptz,
    probe_id bigint,
    PRIMARY KEY (target, event_name),
    CHECK ((state = 'half_open') = (probe_id IS NOT NULL)),
    CHECK ((state IN ('open', 'half_open')) = (probe_at IS NOT NULL))
);
CREATE INDEX circuit_of_site ON circuit (site, target, event_name);
CREATE INDEX circuit_watched ON circuit (target, event_name) WHERE state <> 'closed';
CREATE INDEX circuit_probed ON circuit (probe_id) WHERE probe_id IS NOT NULL;

-- A delivery that a circuit holds back is suppressed, since suppressed_at. It was not tried, so nothing is counted.
ALTER TABLE delivery
    ADD COLUMN suppressed_at timestamptz,
    DROP CONSTRAINT delivery_state_check,
    DROP CONSTRAINT delivery_check,
    ADD CONSTRAINT delivery_state CHECK (
        state IN ('pending', 'delivering', 'delivered', 'retrying', 'suppressed', 'dead')),
    ADD CONSTRAINT delivery_due_at CHECK ((due_at IS NULL) = (state IN ('delivered', 'suppressed', 'dead'))),
    ADD CONSTRAINT delivery_suppressed_at CHECK (state <> 'suppressed' OR suppressed_at IS NOT NULL);
CREATE INDEX delivery_suppressed ON delivery (target, event_name, suppressed_at, delivery_id)
    WHERE state = 'suppressed';

-- How attempts and deliveries ended, by target and day (UTC). Written in each turn of the sender, so there is room in
-- the pages for rows to change in place.
CREATE TABLE tally (
    site text NOT NULL,
    target bigint NOT NULL,
    day date NOT NULL,
    attempt_count bigint NOT NULL,
    failed_attempt_count bigint NOT NULL,
    delivered_count bigint NOT NULL,
    dead_count bigint NOT NULL,
    answered_count bigint NOT NULL,
    took_ms double precision NOT NULL,
    PRIMARY KEY (site, target, day)
) WITH (fillfactor = 50);
CREATE INDEX tally_age ON tally (day);

-- What somebody had probed, and by which deliveries.
CREATE TABLE recovery (
    recovery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    probes jsonb NOT NULL
);
CREATE INDEX recovery_of_site ON recovery (site, recovery_id DESC);
CREATE INDEX recovery_age ON recovery (asked_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON circuit, tally TO headgate_notifier;
GRANT SELECT, INSERT, DELETE ON recovery TO headgate_notifier;
