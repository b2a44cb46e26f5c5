"""Fills a tracker with items: one gate of one site, as it looks when it has been in use for a year."""

from __future__ import annotations

import re

from bench.lab import ROOT, Space

# The very statements that counted the items of those who upgraded, so that sums and items agree.
_MIGRATIONS = ROOT / "services" / "tracker" / "migrations"
SUMS = [
    statement
    for path in sorted(_MIGRATIONS.glob("*_kpi*.sql"))
    for statement in re.findall(r"^INSERT INTO kpi_total.*?;$", path.read_text(), re.DOTALL | re.MULTILINE)
]
RULES = 10  # of each board
# One item in ten is open: due within 30 days before or after now, two thirds of them somebody's; the rest was resolved
# within the last year. So what grows is the number of boards, not the time in which they stand.
FILL = (
    """
    INSERT INTO board (gate, site, subject, created_at)
    SELECT 'release', 'global', 'app-' || n, now() - interval '1 year' FROM generate_series(0, $1 / {rules} - 1) AS n
    """,
    """
    INSERT INTO item (item_id, gate, site, subject, version, rule_id, rule_status, required, priority, owner_role,
        sla_hours, due_at, action, reason, detail, assignee, status, completion_checked, completion_note, completed_at,
        verified_at, is_active, episode, opened_at, gate_generated_at, gate_run_id, created_by, updated_by, created_at,
        updated_at, paused_at, pause_reason)
    SELECT 'GR-' || rule, 'release', 'global', 'app-' || n / {rules}, '1', 'rule-' || rule,
        CASE WHEN rule < 7 THEN 'fail' ELSE 'warning' END, rule < 7, CASE WHEN rule < 7 THEN 1 ELSE 2 END,
        'Role ' || rule % 4, CASE WHEN unbound THEN NULL ELSE 48 END,
        CASE WHEN unbound THEN NULL WHEN open THEN now() + (random() * 60 - 30) * interval '1 day'
            ELSE opened_at + interval '2 days' END,
        'Mend what the rule found', 'The rule saw 3 where 0 is wanted', '{{"observed": 3, "wanted": 0}}',
        CASE WHEN held THEN 'person-' || n / 100 % 100 END,
        CASE WHEN NOT open THEN 'done' WHEN held THEN 'in_progress' ELSE 'pending' END, NOT open, '',
        CASE WHEN NOT open THEN done_at END, CASE WHEN NOT open THEN done_at END, open, 1, opened_at, opened_at, 1,
        'bench', 'bench', opened_at, opened_at,
        CASE WHEN open AND n % 500 = 0 THEN now() END, CASE WHEN open AND n % 500 = 0 THEN 'waits' ELSE '' END
    FROM generate_series(0, $1 - 1) AS n, LATERAL (
        SELECT n % {rules} AS rule, n / {rules} % 10 = 0 AS open, n % 1000 = 7 AS unbound, n / 100 % 3 > 0 AS held
    ) AS kind, LATERAL (
        SELECT now() - interval '1 day' * CASE WHEN open THEN 30 + random() * 60 ELSE 5 + random() * 360 END
            AS opened_at
    ) AS age, LATERAL (SELECT opened_at + random() * interval '4 days' AS done_at) AS claim
    """,
    """
    INSERT INTO item_episode (item, episode, opened_at, due_at, opened_by_run, resolved_at, resolved_by_run)
    SELECT id, episode, opened_at, due_at, 1, verified_at, CASE WHEN verified_at IS NOT NULL THEN 2 END FROM item
    """,
)
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'tracker' AND tablename = 'item'
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)
"""


async def fill(space: Space, items: int) -> None:
    """So many items, with their episodes and the sums of their KPIs, analyzed. Indexes come last: that is faster."""
    run = space.database.execute
    await run("SET search_path = tracker; SET maintenance_work_mem = '256MB'; SELECT setseed(0.5)")
    await run("SET session_replication_role = replica")  # no look at the board for each item
    indexes = await space.database.fetch(INDEXES)
    for index in indexes:
        await run(f"DROP INDEX {index['indexname']}")
    for statement in FILL:
        await run(statement.format(rules=RULES), *([items] if "$1" in statement else []), timeout=600)
    for index in indexes:
        await run(index["indexdef"], timeout=600)
    for statement in SUMS:
        await run(statement, timeout=600)
    await run("RESET ALL")
    await run("VACUUM ANALYZE", timeout=600)
    await run("CHECKPOINT", timeout=600)
