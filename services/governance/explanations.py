"""Explanations of stored verdicts: read from runs and signals, nothing is judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg

from libs.common.contracts.governance import explanations as contract
from libs.common.contracts.governance.explanations import (
    MAX_FACTS,
    TREND_RUNS,
    Explanation,
    FactUsed,
    GoBefore,
    RuleExplained,
    TrendPoint,
)
from libs.common.contracts.governance.runs import GateRun, RuleResult, RunKey
from libs.common.service import Read, Table
from services.governance.catalog import Catalog
from services.governance.runs import get_run

MAX_SIGNALS = 5_000  # of both verdicts together
MAX_CHANGES = 100
_OF_LINE = "gate = $1 AND site = $2 AND subject = $3 AND line = $4"
SELECT_GO_BEFORE = f"""
SELECT run_id, version, decided_at, policy_version, site_policy_version, policy_digest, rules
FROM runs WHERE {_OF_LINE} AND decision = 'go' AND run_number < $5 ORDER BY run_number DESC LIMIT 1
"""  # noqa: S608 - a condition of our own
# Of each rule only what a trend shows: rules as they are stored are long.
SELECT_TREND = f"""
SELECT run_id, version, decided_at, (
    SELECT jsonb_object_agg(rule ->> 'id', jsonb_build_array(rule -> 'status', rule -> 'detail'))
    FROM jsonb_array_elements(rules) AS rule
) AS said
FROM runs WHERE {_OF_LINE} AND run_number <= $5 ORDER BY run_number DESC LIMIT {TREND_RUNS}
"""  # noqa: S608
SELECT_USED = """
SELECT signal_id, kind, part, version, source, coalesce(actor, '') AS actor, least(time, received_at) AS time
FROM signals WHERE signal_id = ANY ($1::bigint[])
"""

_Place = tuple[str, str]  # kind and part: what a fact of another version is compared by


async def get_explanation(catalog: Catalog, read: Read, key: RunKey) -> Explanation:
    """Explain a run. Raises `NotFound`, also for one of another gate or site."""
    run = await get_run(catalog, read, key)
    about = (run.gate, run.site, run.subject, run.line, run.run_number)
    before = await read.pool.fetchrow(SELECT_GO_BEFORE, *about)
    trend = (await read.pool.fetch(SELECT_TREND, *about))[::-1]
    rules_before = {} if before is None else {one.id: one for one in map(RuleResult.model_validate, before["rules"])}
    signals = await _signals(read, run, [*run.rules, *rules_before.values()])
    rules = [_explained(rule, rules_before.get(rule.id), signals, trend) for rule in run.rules]
    return Explanation(
        **run.model_dump(include={"run_id", "gate", "site", "subject", "version", "line", "decision", "decided_at"}),
        verdict=run.verdict,
        last_go=None if before is None else GoBefore.model_validate(dict(before)),
        changes=_changes(run, before, rules, rules_before.keys() - {rule.id for rule in run.rules}),
        rules=rules,
    )


async def _signals(read: Read, run: GateRun, rules: Sequence[RuleResult]) -> dict[int, FactUsed]:
    ids = sorted({signal_id for rule in rules for signal_id in rule.facts_used})[:MAX_SIGNALS]
    rows = await read.pool.fetch(SELECT_USED, ids)
    return {
        row["signal_id"]: FactUsed(
            **row, age_hours=round(max(0.0, (run.decided_at - row["time"]).total_seconds()) / 3600, 2)
        )
        for row in rows
    }


def _explained(
    rule: RuleResult, before: RuleResult | None, signals: Mapping[int, FactUsed], trend: Sequence[asyncpg.Record]
) -> RuleExplained:
    now = _by_place(rule, signals)
    then = {} if before is None else _by_place(before, signals)
    facts = [_compared(fact, then, is_first=before is None) for fact in now.values()]
    gone = [fact for place, fact in then.items() if place not in now]
    return RuleExplained(
        rule_id=rule.id,
        status=rule.status,
        before=None if before is None else before.status,
        observed=rule.observed,
        observed_before=None if before is None else before.observed,
        wanted=rule.wanted,
        # What is new or was replaced stands first, so that a long list leaves out what stayed.
        facts=sorted(facts, key=lambda one: (not one.is_new, one.replaces is None, one.kind, one.part))[:MAX_FACTS],
        facts_left_out=max(0, len(facts) - MAX_FACTS),
        gone=gone[:MAX_FACTS],
        waivers=rule.waivers,
        waivers_ended=_ended(rule, before),
        accepted=rule.accepted,
        accepted_ended=_accepted_ended(rule, before),
        trend=[_point(row, *row["said"][rule.id]) for row in trend if row["said"] and rule.id in row["said"]],
    )


def _by_place(rule: RuleResult, signals: Mapping[int, FactUsed]) -> dict[_Place, FactUsed]:
    """The newest signal of each kind and part that a rule read."""
    found = sorted(
        (signals[one] for one in rule.facts_used if one in signals), key=lambda one: (one.time, one.signal_id)
    )
    return {(one.kind, one.part): one for one in found}


def _compared(fact: FactUsed, then: Mapping[_Place, FactUsed], *, is_first: bool) -> FactUsed:
    old = then.get((fact.kind, fact.part))
    if old is None:
        return fact if is_first else fact.model_copy(update={"is_new": True})
    return fact if old.signal_id == fact.signal_id else fact.model_copy(update={"replaces": old.signal_id})


def _ended(rule: RuleResult, before: RuleResult | None) -> list[int]:
    held = {waiver.waiver_id for waiver in rule.waivers}
    return sorted({waiver.waiver_id for waiver in (before.waivers if before else ())} - held)


def _accepted_ended(rule: RuleResult, before: RuleResult | None) -> list[int]:
    held = {one.accepted_id for one in rule.accepted}
    return sorted({one.accepted_id for one in (before.accepted if before else ())} - held)


def _point(row: asyncpg.Record, status: Any, detail: Any) -> TrendPoint:
    numbers = {
        name: float(value)
        for name, value in (detail or {}).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return TrendPoint(
        run_id=row["run_id"], version=row["version"], decided_at=row["decided_at"], status=status, values=numbers
    )


def _changes(
    run: GateRun, before: asyncpg.Record | None, rules: Sequence[RuleExplained], dropped: set[str]
) -> list[str]:
    """What is different since the last GO, in words: the policy first, then rule by rule."""
    if before is None:
        return ["It never was GO."]
    found = _policy_changes(run, before)
    found += [f"{rule_id} is no rule of the policy any more." for rule_id in sorted(dropped)]
    for rule in rules:
        found += _rule_changes(rule)
    found += [f"{hold.message}" for hold in run.holds]
    rest = len(found) - MAX_CHANGES
    return found if rest <= 0 else [*found[:MAX_CHANGES], f"And {rest} more changes."]


def _policy_changes(run: GateRun, before: asyncpg.Record) -> list[str]:
    found = []
    for word, name in (("policy", "policy_version"), ("site's own policy", "site_policy_version")):
        new, old = getattr(run, name), before[name]
        if new != old:
            found.append(f"The {word} is version {new} (it was {old}).")
    if not found and run.policy_digest != before["policy_digest"]:
        found.append("The policy's file or its settings are others.")
    return found


def _rule_changes(rule: RuleExplained) -> list[str]:
    if rule.before is None:
        return [f"{rule.rule_id} is a new rule: {rule.status}."]
    found = []
    if rule.before != rule.status:
        words = f"{rule.observed}; wanted {rule.wanted}" if rule.status != "pass" else rule.observed
        found.append(f"{rule.rule_id} turned from {rule.before} to {rule.status}: {words}.")
    found += [f"{rule.rule_id} has lost the {one.kind} {one.part} (signal {one.signal_id})." for one in rule.gone]
    found += [f"{rule.rule_id}: the waiver {number} counts no more." for number in rule.waivers_ended]
    found += [f"{rule.rule_id}: the accepted baseline {number} counts no more." for number in rule.accepted_ended]
    return found


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(queries={contract.get_explanation: partial(get_explanation, catalog)})
