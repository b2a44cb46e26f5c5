"""What counts now of a subject: each part's newest signal, what can't be read, and what the last GOs still want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from libs.common.contracts.governance import facts as contract
from libs.common.contracts.governance.facts import (
    MAX_FACTS,
    MAX_TESTS_SHOWN,
    FactFilter,
    FactList,
    FactShown,
    FactState,
)
from libs.common.problems import Refusal
from libs.common.service import Read, Table
from libs.judge.derive import COMPARED_KINDS
from libs.judge.policy_model import EVERY_PART, Rule
from services.governance.catalog import SITE_SUBJECT, Catalog

MAX_PROBLEM_CHARS = 300

# What is wanted is what the last GO of a gate used of the kinds that are compared, where no newer fact of the part is
# there for the version that was asked for (of any version, if none was).
SELECT_SHOWN = """
WITH shown AS (
    SELECT 'fact' AS place, facts.kind, facts.part, facts.version, facts.signal_id, facts.time, facts.fact_id
    FROM facts WHERE facts.site = $1 AND facts.subject = $2 AND facts.voice = ''
        AND ($3::text IS NULL OR facts.version IN ('', $3)) AND ($4::text IS NULL OR facts.kind = $4)
    UNION ALL
    SELECT 'unread', heads.kind, heads.sender, heads.version, heads.signal_id, heads.time, NULL
    FROM report_heads AS heads WHERE heads.site = $1 AND heads.subject = $2 AND heads.voice = '' AND NOT heads.readable
        AND ($3::text IS NULL OR heads.version IN ('', $3)) AND ($4::text IS NULL OR heads.kind = $4)
    UNION ALL
    SELECT DISTINCT ON (used.kind, used.part) 'wanted', used.kind, used.part, used.version, used.signal_id,
        least(used.time, used.received_at), NULL::bigint
    FROM gate_lines JOIN runs ON runs.run_id = gate_lines.last_go_run_id
    CROSS JOIN LATERAL unnest(runs.fact_signals) AS of (signal_id)
    JOIN signals AS used ON used.signal_id = of.signal_id
    WHERE gate_lines.site = $1 AND gate_lines.subject = $2 AND used.kind = ANY ($5::text[])
        AND ($4::text IS NULL OR used.kind = $4) AND NOT EXISTS (
            SELECT FROM facts WHERE facts.site = $1 AND facts.subject = $2 AND facts.kind = used.kind
                AND facts.part = used.part AND facts.voice = '' AND facts.version = coalesce($3, used.version)
        )
), bounded AS (
    SELECT *, count(*) OVER () AS count FROM shown ORDER BY time DESC, signal_id DESC LIMIT $6
)
SELECT bounded.place, bounded.kind, bounded.part, bounded.version, bounded.signal_id, bounded.time, bounded.count,
    signals.source, coalesce(signals.actor, '') AS actor, signals.valid, signals.problems,
    CASE WHEN signals.valid AND bounded.kind = 'alert.alertmanager' THEN (
        SELECT count(*) FROM jsonb_array_elements(signals.data -> 'alerts') AS alert
        WHERE alert ->> 'status' = 'firing') ELSE 0 END AS firing_count,
    (SELECT count(*) FROM open_failures WHERE open_failures.fact_id = bounded.fact_id) AS open_test_count,
    ARRAY(SELECT test FROM open_failures WHERE open_failures.fact_id = bounded.fact_id ORDER BY test LIMIT $7) AS tests,
    (SELECT max(retirement_id) FROM retirements
     WHERE retirements.site = $1 AND retirements.subject = $2 AND retirements.ended_at IS NULL
        AND retirements.kind = bounded.kind AND retirements.part = signals.part
        AND retirements.what = CASE bounded.place WHEN 'unread' THEN 'sender' ELSE 'part' END
        AND (retirements.version = bounded.version OR bounded.place = 'wanted')
        AND (retirements.seen_at, retirements.signal_id) >= (bounded.time, bounded.signal_id)) AS retirement_id
FROM bounded JOIN signals USING (signal_id) ORDER BY bounded.time DESC, bounded.signal_id DESC, bounded.place
"""


async def list_facts(catalog: Catalog, read: Read, wanted: FactFilter) -> FactList:
    """What counts now, newest first, at most ``MAX_FACTS``."""
    subject = wanted.subject or SITE_SUBJECT
    rows = await read.pool.fetch(
        SELECT_SHOWN,
        read.site,
        subject,
        wanted.version,
        wanted.kind,
        sorted(COMPARED_KINDS),
        MAX_FACTS,
        MAX_TESTS_SHOWN,
    )
    rules = await _rules(catalog, read, subject)
    items = [_shown(row, subject, rules, read.now) for row in rows]
    return FactList(items=items, left_out=rows[0]["count"] - len(rows) if rows else 0)


async def _rules(catalog: Catalog, read: Read, subject: str) -> dict[str, list[tuple[str, Rule]]]:
    """The rules that read each kind, with the names that people see."""
    found: dict[str, list[tuple[str, Rule]]] = {}
    for gate in await catalog.gates(read.pool, read.site):
        try:
            policy = (await catalog.in_force(read.pool, gate, read.site)).policy(subject)
        except Refusal:
            continue  # one that does not bind the subject, or can't be read
        if (policy.subject_mode == "site") != (subject == SITE_SUBJECT):
            continue
        for rule in policy.rules:
            found.setdefault(rule.kind, []).append((f"{gate}/{rule.id}", rule))
    return found


def _shown(
    row: asyncpg.Record, subject: str, rules: Mapping[str, Sequence[tuple[str, Rule]]], now: datetime
) -> FactShown:
    mine, age = rules.get(row["kind"], ()), now - row["time"]
    problems = row["problems"] or []
    return FactShown(
        signal_id=row["signal_id"],
        kind=row["kind"],
        part=row["part"],
        subject=subject,
        version=row["version"],
        state=_state(row),
        time=row["time"],
        age_hours=round(age / timedelta(hours=1), 2),
        source=row["source"],
        actor=row["actor"],
        problem=str(problems[0])[:MAX_PROBLEM_CHARS] if problems else "",
        firing_count=row["firing_count"],
        open_test_count=row["open_test_count"],
        open_tests=row["tests"],
        read_by=[name for name, _ in mine],
        stale_for=[name for name, rule in mine if _is_stale(row, rule, age)],
        retirement_id=row["retirement_id"],
    )


def _state(row: asyncpg.Record) -> FactState:
    if row["retirement_id"] is not None:
        return "retired"
    if row["place"] != "fact":
        return "unreadable" if row["place"] == "unread" else "missing"
    if not row["valid"]:
        return "broken"
    return "firing" if row["firing_count"] else "failing" if row["open_test_count"] else "good"


def _is_stale(row: asyncpg.Record, rule: Rule, age: timedelta) -> bool:
    if row["firing_count"] and rule.stale_after_hours is not None:
        return age > timedelta(hours=rule.stale_after_hours)
    limit = rule.age_limit
    return row["place"] == "fact" and rule.age_of == EVERY_PART and limit is not None and age > limit


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(queries={contract.list_facts: partial(list_facts, catalog)})
