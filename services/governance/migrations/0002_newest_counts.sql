-- The newest signal of a part counts, right or wrong; the last good one stands beside it. Tests stay failed within a
-- version until they are shown passing. Reports that nobody could read are remembered by who sent them.

-- `time` is the effective time: the earlier of the signal's own time and its receipt.
ALTER TABLE facts
    ADD COLUMN fact_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN good_signal_id bigint REFERENCES signals,
    ADD COLUMN good_time timestamptz,
    ADD CHECK ((good_signal_id IS NULL) = (good_time IS NULL));
-- Signals are pruned, so who refers to one must be found.
CREATE INDEX facts_signal ON facts (signal_id);
CREATE INDEX facts_good_signal ON facts (good_signal_id);
CREATE INDEX runs_fact_signals ON runs USING gin (fact_signals);

-- Until now a broken signal never became a fact. Groups of alerts that were dropped as long resolved stay dropped, and
-- of parts that never had a good signal the newest 200 of a kind are taken up.
WITH newest AS (
    SELECT DISTINCT ON (site, subject, version, kind, part) site, subject, version, kind, part, signal_id,
        least(time, received_at) AS time, valid
    FROM signals WHERE judged
    ORDER BY site, subject, version, kind, part, least(time, received_at) DESC, signal_id DESC
), good AS (
    SELECT DISTINCT ON (site, subject, version, kind, part) site, subject, version, kind, part, signal_id,
        least(time, received_at) AS time
    FROM signals WHERE judged AND valid
    ORDER BY site, subject, version, kind, part, least(time, received_at) DESC, signal_id DESC
), merged AS (
    SELECT newest.*, good.signal_id AS good_signal_id, good.time AS good_time, facts.signal_id IS NOT NULL AS known,
        row_number() OVER (
            PARTITION BY site, subject, version, kind, facts.signal_id IS NULL
            ORDER BY newest.valid, newest.signal_id DESC
        ) AS place
    FROM newest LEFT JOIN good USING (site, subject, version, kind, part)
    LEFT JOIN facts USING (site, subject, version, kind, part)
)
INSERT INTO facts (site, subject, version, kind, part, signal_id, time, good_signal_id, good_time)
SELECT site, subject, version, kind, part, signal_id, time, good_signal_id, good_time
FROM merged WHERE known OR (NOT valid AND place <= 200)
ON CONFLICT (site, subject, version, kind, part) DO UPDATE
SET signal_id = EXCLUDED.signal_id, time = EXCLUDED.time, good_signal_id = EXCLUDED.good_signal_id,
    good_time = EXCLUDED.good_time;

-- Tests that the newest report which shows them at all shows failing. `digest` is the SHA-256 of the test's id, which
-- may be too long for an index; the test "" stands for more than are kept.
CREATE TABLE open_failures (
    fact_id bigint NOT NULL REFERENCES facts (fact_id) ON DELETE CASCADE,
    digest bytea NOT NULL,
    test text NOT NULL,
    signal_id bigint NOT NULL REFERENCES signals,
    time timestamptz NOT NULL,
    PRIMARY KEY (fact_id, digest)
);
CREATE INDEX open_failures_signal ON open_failures (signal_id);
CREATE INDEX signals_tests ON signals (site, subject, version) WHERE kind = 'test.junit' AND judged AND valid;

WITH shown AS (
    SELECT facts.fact_id, signals.signal_id, least(signals.time, signals.received_at) AS time, signals.data,
        jsonb_array_length(signals.data -> 'failed_tests')
            >= (signals.data ->> 'failed')::bigint + (signals.data ->> 'errors')::bigint AS complete
    FROM signals JOIN facts USING (site, subject, version, kind, part)
    WHERE signals.kind = 'test.junit' AND signals.judged AND signals.valid AND signals.version <> ''
), failed AS (
    SELECT DISTINCT ON (fact_id, test) fact_id, test, signal_id, time
    FROM shown CROSS JOIN LATERAL jsonb_array_elements_text(shown.data -> 'failed_tests') AS test
    ORDER BY fact_id, test, time DESC, signal_id DESC
)
INSERT INTO open_failures (fact_id, digest, test, signal_id, time)
SELECT fact_id, sha256(convert_to(test, 'UTF8')), test, signal_id, time FROM failed
WHERE NOT EXISTS (
    SELECT FROM shown
    WHERE shown.fact_id = failed.fact_id AND shown.complete
        AND (shown.time, shown.signal_id) > (failed.time, failed.signal_id) AND shown.data -> 'tests' ? failed.test
);

-- The newest report of a sender, for formats whose parts stand inside the report: while it can't be read, nobody knows
-- which parts it was about. `good_…` is the newest that could be read.
CREATE TABLE report_heads (
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    kind text NOT NULL,
    sender text NOT NULL,
    signal_id bigint NOT NULL REFERENCES signals,
    time timestamptz NOT NULL,
    readable boolean NOT NULL,
    good_signal_id bigint REFERENCES signals,
    good_time timestamptz,
    PRIMARY KEY (site, subject, version, kind, sender),
    CHECK ((good_signal_id IS NULL) = (good_time IS NULL))
);
CREATE INDEX report_heads_signal ON report_heads (signal_id);
CREATE INDEX report_heads_good_signal ON report_heads (good_signal_id);

-- Where the pruning of signals goes on.
CREATE TABLE signal_pruning (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    after_signal_id bigint NOT NULL
);
INSERT INTO signal_pruning (after_signal_id) VALUES (0);

GRANT DELETE ON signals TO headgate_governance;
GRANT SELECT, INSERT, UPDATE, DELETE ON open_failures, report_heads TO headgate_governance;
GRANT SELECT, UPDATE ON signal_pruning TO headgate_governance;
