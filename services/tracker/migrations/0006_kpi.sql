ALTER TABLE item ADD COLUMN responded_at timestamptz;

-- What KPIs are read from: sums, so that a million items cost what ten thousand do. See domain/kpi.py for the measures.
CREATE TABLE kpi_total (
    site text NOT NULL,
    measure text NOT NULL,
    bucket timestamptz NOT NULL,
    gate text NOT NULL,
    owner_role text NOT NULL,
    rule_id text NOT NULL,
    assignee text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (site, measure, bucket, gate, owner_role, rule_id, assignee)
);

-- What changes added since: a row is only inserted, so that boards of one site never wait for each other. A job adds
-- these to the totals every few minutes; whoever reads, reads both.
CREATE TABLE kpi_delta (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    measure text NOT NULL,
    bucket timestamptz NOT NULL,
    gate text NOT NULL,
    owner_role text NOT NULL,
    rule_id text NOT NULL,
    assignee text NOT NULL,
    amount bigint NOT NULL
);
CREATE INDEX kpi_delta_of_site ON kpi_delta (site, measure, bucket);

-- The parts of hours and days at the ends of a window, the median and the most overdue are looked up, not summed.
-- The first of these is there already where escalation came before.
CREATE INDEX IF NOT EXISTS item_open_due ON item (site, due_at) WHERE is_active AND status <> 'done';
CREATE INDEX item_open_since ON item (site, opened_at) WHERE is_active AND status <> 'done';
CREATE INDEX item_completed ON item (site, completed_at) WHERE completed_at IS NOT NULL;

-- Items of before are counted as they are; what happened is known of episodes only.
INSERT INTO kpi_total (site, measure, bucket, gate, owner_role, rule_id, assignee, amount)
SELECT site, measure, bucket, gate, owner_role, rule_id, found.assignee, sum(amount)
FROM item, LATERAL (
    SELECT 'epoch'::timestamptz AS none, is_active AND status <> 'done' AS open,
        date_trunc('day', opened_at, 'UTC') AS opened_on, date_trunc('day', completed_at, 'UTC') AS completed_on
) AS seen, LATERAL (VALUES
    ('total', none, '', 1, true),
    ('completed', completed_on, '', 1, completed_at IS NOT NULL),
    ('active', none, '', 1, is_active),
    (status, none, '', 1, is_active),
    ('open', none, '', 1, open),
    ('opened_s', none, '', trunc(extract(epoch FROM opened_at))::bigint, open),
    ('open_since', opened_on, '', 1, open),
    ('critical_open', none, '', 1, open AND rule_status = 'fail' AND required),
    ('unassigned_open', none, '', 1, open AND item.assignee IS NULL),
    ('assigned', none, item.assignee, 1, open AND item.assignee IS NOT NULL),
    ('due', date_trunc('hour', due_at, 'UTC'), '', 1, open AND due_at IS NOT NULL AND paused_at IS NULL)
) AS found (measure, bucket, assignee, amount, counts)
WHERE counts GROUP BY site, measure, bucket, gate, owner_role, rule_id, found.assignee;

INSERT INTO kpi_total (site, measure, bucket, gate, owner_role, rule_id, assignee, amount)
SELECT site, measure, bucket, gate, owner_role, rule_id, '', sum(amount)
FROM item_episode AS one JOIN item ON item.id = one.item, LATERAL (
    SELECT date_trunc('day', one.opened_at, 'UTC') AS opened_on, date_trunc('day', resolved_at, 'UTC') AS resolved_on,
        -- An ended episode's claim is known of the last one only; the others were done when they were found done.
        CASE WHEN one.episode = item.episode THEN item.completed_at ELSE resolved_at END AS done_at
) AS seen, LATERAL (VALUES
    ('opened', opened_on, 1, one.episode = 1),
    ('reopened', opened_on, 1, one.episode > 1),
    ('backlog', opened_on, 1, true),
    ('backlog', date_trunc('day', done_at, 'UTC'), -1, done_at IS NOT NULL),
    ('resolved', resolved_on, 1, resolved_at IS NOT NULL),
    ('resolve_s', resolved_on, greatest(0, trunc(extract(epoch FROM resolved_at - one.opened_at)))::bigint, resolved_at IS NOT NULL),
    ('lead_s', resolved_on, greatest(0, trunc(extract(epoch FROM done_at - one.opened_at)))::bigint, resolved_at IS NOT NULL),
    ('sla_met', resolved_on, 1, resolved_at IS NOT NULL AND done_at <= one.due_at),
    ('sla_missed', resolved_on, 1, resolved_at IS NOT NULL AND done_at > one.due_at)
) AS found (measure, bucket, amount, counts)
WHERE counts GROUP BY site, measure, bucket, gate, owner_role, rule_id;

GRANT SELECT, INSERT, UPDATE, DELETE ON kpi_total TO headgate_tracker;
GRANT SELECT, INSERT, DELETE ON kpi_delta TO headgate_tracker;
