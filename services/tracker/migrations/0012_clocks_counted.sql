-- Open items whose clock is paused, and those without a deadline: so that how a site stands against its deadlines is read
-- from sums, too.
INSERT INTO kpi_total (site, measure, bucket, gate, owner_role, rule_id, assignee, amount)
SELECT site, CASE WHEN paused_at IS NOT NULL THEN 'paused_open' ELSE 'no_sla_open' END AS kind, 'epoch'::timestamptz,
    gate, owner_role, rule_id, '', count(*)
FROM item WHERE is_active AND status <> 'done' AND (paused_at IS NOT NULL OR due_at IS NULL)
GROUP BY site, kind, gate, owner_role, rule_id;
