-- One row per process, route and window (about 10 s). counts has one element per bucket of
-- libs.common.contracts.telemetry.BOUNDS_MS, plus the open one above; other bounds need another column.
CREATE TABLE latency_sample (
    window_ended_at timestamptz      NOT NULL,
    window_s        real             NOT NULL CHECK (window_s >= 0),
    instance        text             NOT NULL,
    method          text             NOT NULL,
    route           text             NOT NULL,
    counts          integer[]        NOT NULL CHECK (cardinality(counts) = 32),
    error_count     integer          NOT NULL CHECK (error_count >= 0),
    sum_ms          double precision NOT NULL CHECK (sum_ms >= 0)
);
CREATE INDEX latency_sample_window_ended_at ON latency_sample (window_ended_at);

GRANT SELECT, INSERT, DELETE ON latency_sample TO headgate_metrics;
