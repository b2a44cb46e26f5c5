-- Open items by the day in which they are due, beside those by the hour: of what is long overdue nobody asks for the
-- hour, and a year has 8,760 of them.
INSERT INTO kpi_total (site, measure, bucket, gate, owner_role, rule_id, assignee, amount)
SELECT site, 'due_on', date_trunc('day', bucket, 'UTC') AS day, gate, owner_role, rule_id, assignee, sum(amount)
FROM (
    SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, amount FROM kpi_total
    UNION ALL SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, amount FROM kpi_delta
) AS every
WHERE measure = 'due' GROUP BY site, day, gate, owner_role, rule_id, assignee;

-- With the gate beside, KPIs of one gate need no look at the table either.
DROP INDEX item_completed, item_open_since;
CREATE INDEX item_completed ON item (site, completed_at) INCLUDE (gate) WHERE completed_at IS NOT NULL;
CREATE INDEX item_open_since ON item (site, opened_at) INCLUDE (gate) WHERE is_active AND status <> 'done';
