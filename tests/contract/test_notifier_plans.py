"""What the sender asks in each turn, and the figures of channels, finds its rows by an index, also in large tables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from services.notifier import alerts, claims, escalations
from services.notifier.figures import channel_kpi, series
from services.notifier.guarding import guard, recovery
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration

# 200 subscriptions with 200 deliveries each, of which 1 in 20 is open and 1 in 50 held back; 20 channels with 200
# escalations each; a year of sums.
FILL = """
INSERT INTO notifier.subscription (site, name, owner, status, status_reason, channel, endpoint, event_types, gates,
    rules, priorities, roles, condition, secret, fingerprint, created_at, changed_by, changed_at)
SELECT 'site-' || n % 4, 'one', 'ann', 'active', '', 'webhook', 'https://x.example', '{*}', '{}', '{}', '{}', '{}', '',
    's', 'f', now(), 'ann', now()
FROM generate_series(1, 200) AS n;
INSERT INTO notifier.delivery (subscription_id, event_id, site, event_name, state, due_at, created_at, suppressed_at)
SELECT subscription_id, gen_random_uuid(), site, 'a.b.c' || n % 10, state,
    CASE WHEN state = 'retrying' THEN now() + interval '1 hour' END, now(),
    CASE WHEN state = 'suppressed' THEN now() END
FROM notifier.subscription, generate_series(1, 200) AS n,
    LATERAL (SELECT CASE WHEN n % 20 = 0 THEN 'retrying' WHEN n % 50 = 1 THEN 'suppressed' WHEN n % 50 = 2 THEN 'dead'
        ELSE 'delivered' END) AS made (state);
INSERT INTO notifier.channel (site, name, kind, language, status, status_reason, address_shown, secret, fingerprint,
    created_at, created_by, changed_at, changed_by)
SELECT 'site-' || n % 4, 'channel-' || n, 'slack', 'en', 'active', '', 'x.example', 's', 'f', now(), 'ann', now(), 'ann'
FROM generate_series(1, 20) AS n;
INSERT INTO notifier.delivery (channel_id, event_id, site, event_name, purpose, key, state, created_at)
SELECT channel_id, gen_random_uuid(), site, 'a.b.c1', 'escalation', gen_random_uuid(), 'delivered', now()
FROM notifier.channel, generate_series(1, 200) AS n;
INSERT INTO notifier.circuit (target, event_name, site, state, failure_count, failed_at, error, probes_failed, probe_at)
SELECT subscription_id, 'a.b.c' || n, site, CASE WHEN n = 1 THEN 'open' ELSE 'closed' END, 3, now(), '', 0,
    CASE WHEN n = 1 THEN now() END
FROM notifier.subscription, generate_series(0, 9) AS n;
INSERT INTO notifier.tally (site, target, day, attempt_count, failed_attempt_count, delivered_count, dead_count,
    answered_count, took_ms)
SELECT site, subscription_id, date '2026-01-01' + n, 1, 0, 1, 0, 1, 1
FROM notifier.subscription, generate_series(1, 365) AS n;
ANALYZE notifier.subscription; ANALYZE notifier.delivery; ANALYZE notifier.circuit; ANALYZE notifier.tally
"""
HOT = {
    "note": guard.NOTE,
    "any circuit": guard.ANY_WATCHED,
    "hold back": guard.SUPPRESS,
    "probe": guard.SEND_PROBES,
    "release": guard.RELEASE,
    "give up": guard.GIVE_UP,
    "claim": claims.CLAIM,
    "answer": escalations.SELECT_TOLD,
    "sums": channel_kpi.SUM_TALLIES,
    "open": channel_kpi.COUNT_OPEN,
    "recover": recovery.SELECT_CIRCUITS,
    "orphans": recovery.RELEASE_ORPHANS,
    "failed": alerts.SELECT_FAILED,
    "gauges": series.COUNT_OPEN,
    "circuits": series.COUNT_CIRCUITS,
}
LARGE = {"delivery", "circuit", "tally"}


@pytest_asyncio.fixture
async def filled(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the notifier to tables of some ten thousand rows."""
    admin = await stack.superuser()
    try:
        await admin.execute(FILL)
    finally:
        await admin.close()
    url = stack.settings("notifier").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "notifier"})
    yield connection
    await connection.close()


async def test_no_large_table_is_read_as_a_whole(filled: asyncpg.Connection) -> None:
    # What a statement for any values is guessed to find is far more than it does: so the guess is not asked here.
    await filled.execute("SET enable_seqscan = off")
    problems = {}
    for name, sql in HOT.items():
        whole = [
            (node["Relation Name"], node["Node Type"], node.get("Index Name"))
            for node in nodes(await generic_plan(filled, sql))
            if node.get("Relation Name") in LARGE and ("Seq Scan" in node["Node Type"] or _unbound(node))
        ]
        if whole:
            problems[name] = whole
    assert problems == {}


def _unbound(node: dict[str, object]) -> bool:
    """An index that holds the whole table is read without a condition."""
    partial = ("delivery_due", "delivery_suppressed", "delivery_dead", "circuit_watched", "circuit_probed")
    scans = node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
    return scans and "Index Cond" not in node and node.get("Index Name") not in partial
