"""The statements that governance runs all the time must find their rows by an index, also when tables are big."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest_asyncio

from libs.common.listing import Listing
from services.governance import (
    backtests,
    badges,
    catalog,
    explanations,
    gate,
    opsgate,
    pruning,
    rejudging,
    runs,
    seen,
    stages,
    verdicts,
)
from services.governance.exceptions import approvals
from services.governance.inputs import failures, heads, parts, reports, signals
from tests.plans import Node, generic_plan, nodes
from tests.stack import Stack

FILL = """
INSERT INTO governance.signals (site, source, event_id, kind, part, subject, version, time, received_at, judged, valid,
    problems, data, digest)
SELECT 'site-' || n % 3, '/test', n::text, 'kind-' || n % 40, 'default', 'subject-' || n % 7, '1.' || n % 20, now(),
    now(), true, true, '[]', '{}', sha256(n::text::bytea)
FROM generate_series(1, 20000) AS n;
INSERT INTO governance.signals (site, source, event_id, kind, part, subject, version, time, received_at, judged, valid,
    problems, data, digest)
SELECT 'site-' || n % 3, '/tests', n::text, 'test.junit', 'part-' || n % 9, 'subject-' || n % 7, '1.' || n % 20, now(),
    now(), true, true, '[]', '{"tests": ["a", "b"], "failed_tests": [], "failed": 0, "errors": 0}',
    sha256(n::text::bytea)
FROM generate_series(1, 20000) AS n;
INSERT INTO governance.facts (site, subject, version, kind, part, signal_id, time)
SELECT site, subject, version, kind, part, max(signal_id), now() FROM governance.signals GROUP BY 1, 2, 3, 4, 5;
INSERT INTO governance.open_failures (fact_id, digest, test, signal_id, time)
SELECT fact_id, sha256(n::text::bytea), n::text, signal_id - n % 2, time
FROM governance.facts, generate_series(1, 10) AS n WHERE kind = 'test.junit';
INSERT INTO governance.report_heads (site, subject, version, kind, sender, signal_id, time, readable)
SELECT site, subject, version, kind, part || n, signal_id, time, n > 1
FROM governance.facts, generate_series(1, 5) AS n;
INSERT INTO governance.runs (gate, site, subject, version, run_number, trigger, actor, decision, status, decided_at,
    summary, rules, reasons, policy_digest, settings, fact_signals)
SELECT 'gate-' || n % 4, 'site-' || n % 3, 'subject-' || n % 7, '1.0', n, 'api', 'ann', 'go', 'success', now(), '{}',
    '[]', '[]', '', '{}', ARRAY[n]
FROM generate_series(1, 20000) AS n;
INSERT INTO governance.runs (gate, site, subject, version, run_number, trigger, actor, decision, status, decided_at,
    summary, rules, reasons, policy_digest, settings, fact_signals)
SELECT 'gate-1', 'site-1', 'subject-3', '1.' || n % 9, n, 'api', 'ann', 'no_go', 'critical', now(), '{}', '[]', '[]',
    '', '{}', ARRAY[n]
FROM generate_series(20001, 26000) AS n;
INSERT INTO governance.gate_heads (gate, site, subject, run_number)
SELECT gate, site, subject, max(run_number) FROM governance.runs GROUP BY 1, 2, 3;
INSERT INTO governance.gate_lines (gate, site, subject, line, version, decision, last_go_run_id, baseline_version)
SELECT gate, site, subject, n::text, '1.0', CASE WHEN n % 3 = 0 THEN 'no_go' ELSE 'go' END, max(run_id), '1.0'
FROM governance.runs, generate_series(0, 50) AS n GROUP BY 1, 2, 3, 4, 6;
INSERT INTO governance.versions_seen (site, subject, version, first_at)
SELECT 'site-' || n % 3, 'subject-' || n % 7, '1.' || n, now() FROM generate_series(1, 20000) AS n;
INSERT INTO governance.valid_gos (gate, site, subject, version, run_id, decided_at, since, valid_until, kinds,
    fact_signals)
SELECT gate, site, subject, run_id::text, run_id, now(), now(), now() + interval '1 day', '{kind-1}', fact_signals
FROM governance.runs WHERE run_number % 4 = 0;
ANALYZE governance.valid_gos;
INSERT INTO governance.policies (gate, site, version, content, digest, author, reason, issue, published_at)
SELECT 'gate-' || g, s, v, '', '', 'ann', '', NULL, now()
FROM generate_series(1, 60) AS g, unnest(ARRAY['global', 'site-1']) AS s, generate_series(1, 50) AS v;
INSERT INTO governance.approvals (site, about, gate, subject, version, word, username, actor, person, role, groups,
    reason, given_at, evidence, evidence_sha256)
SELECT 'site-' || n % 3, 'candidate', 'gate-' || n % 4, 'subject-' || n % 7, '1.' || n % 20, 'approved', 'ann', 'ann',
    n::text, 'manager', '{}', '', now(), '{}', ''
FROM generate_series(1, 20000) AS n;
ANALYZE governance.approvals;
INSERT INTO governance.verdict_seen (run_id, username, first_seen_at, last_seen_at)
SELECT run_id, 'user-' || n, now(), now() FROM governance.runs, generate_series(1, 3) AS n;
ANALYZE governance.verdict_seen;
INSERT INTO governance.exception_spends (site, kind, ref, gate, subject, what, spent_by, spent_at)
SELECT 'site-' || n % 3, 'waiver', n::text, 'gate-1', 'subject-1', '', 'ann', now() - n * interval '1 hour'
FROM generate_series(1, 20000) AS n;
INSERT INTO governance.version_labels (site, subject, version, label, reason, set_by, set_at)
SELECT 'site-' || n % 3, 'subject-' || n % 7, n::text, 'hotfix', '', 'ann', now() FROM generate_series(1, 20000) AS n;
ANALYZE governance.exception_spends; ANALYZE governance.version_labels;
INSERT INTO governance.capsules (run_id, body, statement, key_id, signature)
SELECT run_id, '', '', '', '' FROM governance.runs;
INSERT INTO governance.policy_backtests (gate, site, content, digest, common_version, state, last_count, oldest_run_id,
    next_before_run_id, total_count, done_count, without_capsule_count, asked_by, asked_at)
SELECT 'gate-' || n % 2, 'site-' || n % 3, '', '', 0, CASE WHEN n % 100 = 0 THEN 'queued' ELSE 'done' END, 1, 1, 1, 1,
    1, 0, 'ann', now()
FROM generate_series(1, 9000) AS n;
ANALYZE governance.policies; ANALYZE governance.capsules; ANALYZE governance.policy_backtests;
ANALYZE governance.open_failures; ANALYZE governance.report_heads;
ANALYZE governance.signals; ANALYZE governance.facts; ANALYZE governance.runs; ANALYZE governance.gate_heads;
ANALYZE governance.gate_lines; ANALYZE governance.versions_seen
"""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = b"\0" * 32
TIMED = ("retries", "turned", "old senders")  # None stands for a time


def _pages(name: str, listing: Listing, **given: Any) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """A list's first page and one behind it."""
    return {
        name: listing.query(given, limit=51),
        f"{name}, further on": listing.query(given, limit=51, cursor="15000"),
    }


def _texts(name: str, **given: Any) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """The same of the newest verdicts, whose place is three texts."""
    listing = verdicts.LIST_VERDICTS
    behind = listing.cursor({"gate": "gate-1", "subject": "subject-2", "line": "7"})
    return {
        name: listing.query(given, limit=51),
        f"{name}, further on": listing.query(given, limit=51, cursor=behind),
    }


def _seen() -> dict[str, tuple[str, tuple[Any, ...]]]:
    """The same of who saw a verdict, whose place is a time and a name."""
    listing = seen.LIST_SEEN
    behind = listing.cursor({"first_seen_at": NOON, "username": "ann"})
    return {
        "seen by": listing.query({"run_id": 77}, limit=51),
        "seen by, further on": listing.query({"run_id": 77}, limit=51, cursor=behind),
    }


HOT: dict[str, tuple[str, tuple[Any, ...]]] = {
    "facts": (
        gate.SELECT_FACTS,
        (
            "site-1",
            "subject-3",
            ["", "1.7"],
            ["kind-1", "kind-7"],
            101,
            "gate-1",
            NOON,
            ["kind-7"],
            ["ci-%"],
            "7",
            True,
            ["gate-2"],
        ),
    ),
    **_pages("signals", signals.LIST_SIGNALS, site="site-1"),
    **_pages("signals of a kind", signals.LIST_SIGNALS, site="site-1", kind="kind-7"),
    **_pages("signals of a subject", signals.LIST_SIGNALS, site="site-1", subject="subject-3"),
    "one signal": (signals.SELECT_SIGNAL, ("site-1", 77)),
    "known signals": (signals.SELECT_KNOWN, ("site-1", ["/test"], ["7"])),
    "retries": (
        reports.SELECT_RETRIED,
        ("site-1", "subject-3", "1.7", ["kind-7"], ["default"], [DIGEST], None, "unit", True, "ann", "/test", ""),
    ),
    "open failures": (failures.SELECT_OPEN, ([7, 8],)),
    "closed failures": (failures.DELETE_OPEN, ([7, 8], [DIGEST, DIGEST])),
    "senders": (heads.COUNT_HEADS, ("site-1", "subject-3", "1.7", "kind-7", 201)),
    "old senders": (heads.DROP_READ, ("site-1", "subject-3", "1.7", "kind-7", None)),
    "crowded parts": (parts.SELECT_CROWDED, ("site-1", ["subject-3"], ["1.7"], ["kind-7"], 200)),
    "resolved groups": (parts.DROP_RESOLVED, ("site-1", ["subject-3"], "kind-7", None)),
    **_pages("runs", runs.LIST_RUNS, gate="gate-1", site="site-1"),
    **_pages("runs of a subject", runs.LIST_RUNS, gate="gate-1", site="site-1", subject="subject-3"),
    **_texts("verdicts", site="site-1"),
    **_texts("verdicts that are no GO", site="site-1", decision="no_go"),
    **_texts("verdicts of a gate", site="site-1", gate="gate-1"),
    **_seen(),
    "seen again": (seen.SEEN_AGAIN, ("gate-1", "site-1", 77, "user-1", NOON)),
    "seen for the first time": (seen.STORE_SEEN, ("gate-1", "site-1", 77, "bob", NOON)),
    "one run": (runs.SELECT_RUN, ("gate-1", "site-1", 77)),
    "last of a version": (badges.SELECT_LAST, ("gate-1", "site-1", "subject-3", "1.0", None, 200)),
    "who asked": (approvals.SELECT_ASKED, ("gate-1", "site-1", "subject-3", "1.0")),
    "approvals": (approvals.SELECT_GIVEN, ("site-1", "gate-1", "subject-3", "1.7")),
    "GO before": (explanations.SELECT_GO_BEFORE, ("gate-1", "site-1", "subject-3", "", 25_000)),
    "trend": (explanations.SELECT_TREND, ("gate-1", "site-1", "subject-3", "", 25_000)),
    "signals of a verdict": (explanations.SELECT_USED, ([7, 8],)),
    "latest run": (opsgate.SELECT_LATEST, ("gate-1", "site-1")),
    "history": (opsgate.SELECT_HISTORY, ("gate-1", "site-1", 20)),
    "backtests": (backtests.SELECT_OPEN, ("site-1",)),
    "sites of backtests": (backtests.SELECT_SITES, ()),
    "decisions to judge again": (backtests.SELECT_CHUNK, ("gate-1", "site-1", 15_000, 100, 50)),
    **_pages("backtests of a gate", backtests.LIST_BACKTESTS, gate="gate-1", site="site-1"),
    "newest_policies": (catalog.SELECT_NEWEST, ("gate-1", "site-1")),
    "turned": (rejudging.SELECT_OVER, (None, ["gate-1"], 100)),
}
# These put what they found in order, or look up thousands of rows at once, for which reading a small table is right.
RARE: dict[str, tuple[str, tuple[Any, ...], tuple[str, ...]]] = {
    "stages": (
        stages.SELECT_STAGES,
        ("site-1", "subject-3", ["gate-1", "gate-2"], "1", 20, None),
        ("runs", "versions_seen", "valid_gos"),
    ),
    "newer reports": (
        failures.SELECT_NEWER,
        ("site-1", "subject-3", "1.7", "part-3", None, 7, 1_000, ""),
        ("signals",),
    ),
    "verdicts of a subject": (
        *verdicts.LIST_VERDICTS.query(
            {"site": "site-1", "gate": "gate-1", "subject": "subject-3", "decision": "go"}, limit=51
        ),
        ("runs", "gate_lines"),
    ),
    "pruning": (pruning.PRUNE, (0, 5_000, None), ("signals", "runs")),
}


@pytest_asyncio.fixture
async def filled(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """A connection as governance to tables of some thousand rows."""
    admin = await stack.superuser()
    try:
        await admin.execute(FILL)
    finally:
        await admin.close()
    url = stack.settings("governance").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "governance"})
    yield connection
    await connection.close()


def _wrong(plan: str, kinds: tuple[str, ...] = ("Seq Scan", "Sort")) -> list[str]:
    """Nodes that read or sort a whole table. gate_heads may be: it has a row for each subject only."""
    found = nodes(plan)
    if all(node.get("Relation Name", "gate_heads") == "gate_heads" for node in found):
        return []
    return [
        f"{node['Node Type']} {node.get('Relation Name', '')}"
        for node in found
        if node["Node Type"] in kinds and node.get("Relation Name") != "gate_heads" and not _is_of_few(node)
    ]


def _is_of_few(node: Node) -> bool:
    """Whether it reads nothing but what a part of the statement before it has picked, with a limit of its own."""
    below = node.get("Plans", ())
    return all(map(_is_of_few, below)) if below else node["Node Type"] == "CTE Scan"


async def test_hot_statements_use_an_index(filled: asyncpg.Connection) -> None:
    now = await filled.fetchval("SELECT now()")
    problems = {}
    for name, (sql, values) in HOT.items():
        fitting = [now if value is None and name in TIMED else value for value in values]
        # As planned for these values, and as planned once for any: asyncpg's statements may become the latter.
        if wrong := _wrong(await filled.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *fitting)):
            problems[f"{name} (these values)"] = wrong
        # Not knowing how few rows are wanted, it may sort a page's worth; test_lists.py looks at the order.
        if wrong := _wrong(await generic_plan(filled, sql), ("Seq Scan",)):
            problems[f"{name} (any values)"] = wrong
    assert problems == {}


async def test_rare_statements_read_no_big_table_whole(filled: asyncpg.Connection) -> None:
    now = await filled.fetchval("SELECT now()")
    problems = {}
    for name, (sql, values, tables) in RARE.items():
        fitting = [now if value is None else value for value in values]
        these = await filled.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *fitting)
        for which, plan in (("these", these), ("any", await generic_plan(filled, sql))):
            read = {node.get("Relation Name") for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
            if wrong := read & set(tables):
                problems[f"{name} ({which} values)"] = wrong
    assert problems == {}


async def test_what_is_stored_reads_no_big_table_whole(filled: asyncpg.Connection) -> None:
    """Of a run, which of two versions is the older one; of signals, whether their version was heard of."""
    for sql in (runs.STORE_RUN.alone, signals.INSERT_SIGNALS):
        assert _wrong(await generic_plan(filled, sql), ("Seq Scan",)) == []
