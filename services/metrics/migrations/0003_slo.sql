-- Sums of latency_sample, so that windows of days are cheap: by the minute for the windows of burn rates (the longest
-- is 3 days), by the hour for the periods of budgets (at most 90 days). A minute holds the samples whose windows ended
-- in it: after its begin, and at its end at the latest.
CREATE TABLE latency_minute (
    minute      timestamptz NOT NULL,
    method      text        NOT NULL,
    route       text        NOT NULL,
    counts      bigint[]    NOT NULL CHECK (cardinality(counts) = 32),
    error_count bigint      NOT NULL CHECK (error_count >= 0),
    PRIMARY KEY (minute, method, route)
) WITH (fillfactor = 60);
CREATE TABLE latency_hour (
    hour        timestamptz NOT NULL,
    method      text        NOT NULL,
    route       text        NOT NULL,
    counts      bigint[]    NOT NULL CHECK (cardinality(counts) = 32),
    error_count bigint      NOT NULL CHECK (error_count >= 0),
    PRIMARY KEY (hour, method, route)
) WITH (fillfactor = 60);

INSERT INTO latency_minute (minute, method, route, counts, error_count)
SELECT date_trunc('minute', window_ended_at - interval '1 microsecond', 'UTC'), method, route, ARRAY[
    sum(counts[1]), sum(counts[2]), sum(counts[3]), sum(counts[4]), sum(counts[5]), sum(counts[6]), sum(counts[7]), sum(counts[8]),
    sum(counts[9]), sum(counts[10]), sum(counts[11]), sum(counts[12]), sum(counts[13]), sum(counts[14]), sum(counts[15]), sum(counts[16]),
    sum(counts[17]), sum(counts[18]), sum(counts[19]), sum(counts[20]), sum(counts[21]), sum(counts[22]), sum(counts[23]), sum(counts[24]),
    sum(counts[25]), sum(counts[26]), sum(counts[27]), sum(counts[28]), sum(counts[29]), sum(counts[30]), sum(counts[31]), sum(counts[32])
]::bigint[], sum(error_count)
FROM latency_sample WHERE window_ended_at > now() - interval '4 days' GROUP BY 1, 2, 3;
INSERT INTO latency_hour (hour, method, route, counts, error_count)
SELECT date_trunc('hour', window_ended_at - interval '1 microsecond', 'UTC'), method, route, ARRAY[
    sum(counts[1]), sum(counts[2]), sum(counts[3]), sum(counts[4]), sum(counts[5]), sum(counts[6]), sum(counts[7]), sum(counts[8]),
    sum(counts[9]), sum(counts[10]), sum(counts[11]), sum(counts[12]), sum(counts[13]), sum(counts[14]), sum(counts[15]), sum(counts[16]),
    sum(counts[17]), sum(counts[18]), sum(counts[19]), sum(counts[20]), sum(counts[21]), sum(counts[22]), sum(counts[23]), sum(counts[24]),
    sum(counts[25]), sum(counts[26]), sum(counts[27]), sum(counts[28]), sum(counts[29]), sum(counts[30]), sum(counts[31]), sum(counts[32])
]::bigint[], sum(error_count)
FROM latency_sample GROUP BY 1, 2, 3;

-- How each SLO stands since when, so that a change is told once.
CREATE TABLE slo_state (
    name       text PRIMARY KEY,
    status     text        NOT NULL,
    since      timestamptz NOT NULL,
    checked_at timestamptz NOT NULL
);
-- When the gates of all sites were told last; one row.
CREATE TABLE slo_told (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    told_at  timestamptz NOT NULL,
    content  text        NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON latency_minute, latency_hour, slo_state TO headgate_metrics;
GRANT SELECT, INSERT, UPDATE ON slo_told TO headgate_metrics;
