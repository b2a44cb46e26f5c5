"""What every process asks every two seconds about letters that wait finds its rows by an index, also among many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from libs.common import waiting
from libs.common.deadletters import PAUSES
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
# A day in which an upgrade was taken back: much waits that nobody knows, and more has been decided.
FILL = """
INSERT INTO tracker.dead_letters (consumer, message_key, message_id, message_type, subject, site, payload, headers,
    reason, attempts, state, buried_at)
SELECT 'tracker-events', 'stream:' || n, gen_random_uuid()::text, CASE WHEN n % 100 = 1 THEN 'known' ELSE 'newer' END,
    'subject', 'global', '', '{}', 'why', 0, CASE WHEN n % 2 = 0 OR n % 100 = 1 AND n > 300 THEN 'replayed'
    ELSE 'waiting' END, timestamptz '2026-03-01 04:00Z' + interval '1 second' * n / 2
FROM generate_series(1, 20000) AS n;
INSERT INTO tracker.attempts SELECT 'tracker-events', 'stream:' || n, 1, 'broken', now() FROM generate_series(1, 50) n;
ANALYZE tracker.dead_letters; ANALYZE tracker.attempts
"""
HOT: dict[str, tuple[str, tuple[Any, ...]]] = {
    "known": (waiting.SELECT_KNOWN, ("tracker-events", 0, PAUSES, NOW, 100, ["known"])),
    "overdue": (waiting.SELECT_OVERDUE, ("tracker-events", ["known"], NOW - timedelta(hours=6), 100)),
}


def _read(plan: str) -> set[str]:
    """How the letters are read: the index, or that they are read as a whole."""
    names = (node.get("Index Name") or f"{node['Node Type']} {node.get('Relation Name')}" for node in nodes(plan))
    return {name for name in names if name.startswith(("dead_letters", "Seq Scan dead_letters"))}


async def test_letters_that_wait_are_found_by_an_index(stack: Stack) -> None:
    admin = await stack.superuser()
    try:
        await admin.execute(FILL)
    finally:
        await admin.close()
    url = stack.settings("tracker").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "tracker"})
    these, any_values = {}, set()
    try:
        for name, (sql, values) in HOT.items():
            these[name] = _read(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *values))
            any_values |= _read(await generic_plan(connection, sql))
    finally:
        await connection.close()
    assert these == {"known": {"dead_letters_waiting"}, "overdue": {"dead_letters_overdue"}}
    # Both hold only what waits. Who does not see the types may take either, but never what was decided long ago.
    assert any_values <= {"dead_letters_waiting", "dead_letters_overdue"}
