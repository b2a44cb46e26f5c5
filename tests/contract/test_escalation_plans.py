"""What the jobs of the escalation ask every minute and every hour finds its rows by an index, also on large boards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.tracker import acknowledge_links, acknowledgement, answers, board, escalation, ladder
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
# Of 20,000 items 10,000 are open, of which 200 are due within the next hours and 200 are on their ladders.
FILL = """
INSERT INTO tracker.board (gate, site, subject, created_at)
SELECT 'operations', 'site-' || n % 4, 'subject-' || n, now() FROM generate_series(1, 200) AS n;
INSERT INTO tracker.item (item_id, gate, site, subject, version, rule_id, rule_status, required, priority, owner_role,
    sla_hours, due_at, action, reason, detail, status, completion_checked, completion_note, completed_at, verified_at,
    is_active, episode, opened_at, gate_generated_at, gate_run_id, created_by, updated_by, created_at, updated_at)
SELECT 'GR-' || rule, gate, site, subject, '1', 'rule-' || rule, 'fail', true, 1 + rule % 4, 'Ops Lead', 4,
    timestamptz '2026-03-01 09:00Z' + interval '1 hour' * CASE WHEN rule = 1 THEN 3 ELSE 100 END, 'mend it', 'broken',
    '{}', CASE WHEN rule <= 50 THEN 'pending' ELSE 'done' END, rule > 50, '', CASE WHEN rule > 50 THEN now() END,
    CASE WHEN rule > 50 THEN now() END, rule <= 50, 1, timestamptz '2026-02-20 09:00Z', now(), 1, 'ann', 'ann', now(),
    now()
FROM tracker.board, generate_series(1, 100) AS rule;
INSERT INTO tracker.frozen_chain VALUES ('digest', '{}');
INSERT INTO tracker.escalation (item, episode, site, started_at, chain_digest, level, level_at, told_at, reached,
    look_at)
SELECT id, episode, site, now(), 'digest', 1, now(), now(), id % 100 <> 0,
    CASE WHEN rule_id = 'rule-2' THEN timestamptz '2026-03-01 09:00Z' + interval '1 minute' * (id % 500 - 10) END
FROM tracker.item WHERE rule_id IN ('rule-2') OR NOT is_active;
INSERT INTO tracker.escalation_step (key, item, episode, level, repeat, outcome, due_at, at, targets, cause)
SELECT gen_random_uuid(), item, episode, 1, 0, 'raised', now(), now(), '[]',
    ('0199d3f0-0000-7000-8000-0000000000' || lpad((item % 100)::text, 2, '0'))::uuid FROM tracker.escalation;
ANALYZE tracker.board; ANALYZE tracker.item; ANALYZE tracker.escalation; ANALYZE tracker.escalation_step
"""
BORDER = NOW + timedelta(hours=12)
CAUSE = "0199d3f0-0000-7000-8000-000000000042"
ANY = '[{"rules": [], "priorities": [], "gates": []}]'
HOT: dict[str, tuple[str, tuple[Any, ...]]] = {
    "sites that are due": (ladder.SELECT_DUE_SITES, (NOW,)),
    "what is due": (ladder.LOCK_DUE, (NOW, ["site-1", "site-2"], 1000)),
    "candidates, counted": (escalation.COUNT_CANDIDATES, ("site-1", BORDER, ANY)),
    "candidates, shown": (escalation.SHOW_CANDIDATES, ("site-1", BORDER, 50)),
    "not begun": (escalation.SELECT_NOT_BEGUN, ("site-1", BORDER, NOW, ANY, NOW, 500, None)),
    "late": (escalation.SELECT_LATE_STEPS, ("site-1", NOW, 50)),
    "nobody told": (escalation.SELECT_UNREACHED, ("site-1", NOW, 50)),
    "answers of a run": (answers.COUNT_ANSWERS, (CAUSE,)),
    "channels of a run": (answers.COUNT_CHANNELS, (CAUSE,)),
    "a link": (acknowledge_links.SELECT_LINK, (CAUSE, 77, 1, "site-1", "bob")),
    "sites": (board.SELECT_SITES, ()),
    "one": (acknowledgement.SELECT_ESCALATION, (77, "site-1")),
    "its steps": (acknowledgement.SELECT_STEPS, (77, 1, 200)),
}
# These are asked once in a quarter of an hour or an hour. A plan for any values joins as if most rows were wanted.
SELDOM = ("candidates, shown", "not begun", "late", "nobody told")
LARGE = ("item", "escalation", "escalation_step", "board")


@pytest_asyncio.fixture
async def filled(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the tracker to tables of some thousand rows."""
    admin = await stack.superuser()
    try:
        await admin.execute(FILL)
    finally:
        await admin.close()
    url = stack.settings("tracker").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "tracker"})
    yield connection
    await connection.close()


def _whole(plan: str) -> set[str]:
    """The large tables that are read as a whole."""
    return {
        str(node.get("Relation Name"))
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in LARGE
    }


async def test_no_large_table_is_read_as_a_whole(filled: asyncpg.Connection) -> None:
    problems = {}
    for name, (sql, values) in HOT.items():
        if wrong := _whole(await filled.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *values)):
            problems[f"{name} (these values)"] = wrong
        if name not in SELDOM and (wrong := _whole(await generic_plan(filled, sql))):
            problems[f"{name} (any values)"] = wrong
    assert problems == {}
