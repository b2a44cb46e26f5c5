"""Judges a gate over the facts in the database. The verdict itself is pure (`domain.verdict`); here facts are read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from libs.common.contracts.governance.runs import GateSummary, RuleResult
from services.governance.catalog import Target
from services.governance.domain.facts import MAX_PARTS, Fact, Facts
from services.governance.domain.policy import Policy
from services.governance.domain.verdict import Verdict, judge

if TYPE_CHECKING:
    from libs.common.service import Connection

# Facts of the subject itself and of the version under judgement; never of another version.
SELECT_FACTS = """
SELECT facts.kind, facts.part, facts.version, facts.signal_id, facts.time, signals.source, signals.event_id,
    signals.data
FROM facts JOIN signals USING (signal_id)
WHERE facts.site = $1 AND facts.subject = $2 AND facts.version = ANY ($3::text[]) AND facts.kind = ANY ($4::text[])
"""
# The facts that the last GO used, from the signals as they were then.
SELECT_BASELINE = """
SELECT signals.kind, signals.part, signals.version, signals.signal_id, signals.time, signals.source, signals.event_id,
    signals.data, runs.run_number
FROM gate_heads JOIN runs ON runs.run_id = gate_heads.last_go_run_id
CROSS JOIN LATERAL unnest(runs.fact_signals) AS used (signal_id)
JOIN signals ON signals.signal_id = used.signal_id
WHERE gate_heads.gate = $1 AND gate_heads.site = $2 AND gate_heads.subject = $3
"""


async def look(connection: Connection | asyncpg.Pool, policy: Policy, target: Target, now: datetime) -> Verdict:
    """Judge the facts that count now. Nothing is stored."""
    current = await connection.fetch(
        SELECT_FACTS, target.site, target.subject, sorted({"", target.version}), sorted(policy.kinds)
    )
    baseline = await connection.fetch(SELECT_BASELINE, target.gate, target.site, target.subject)
    facts = Facts(
        current=tuple(_fact(row) for row in current),
        baseline=tuple(_fact(row) for row in baseline),
        baseline_run=baseline[0]["run_number"] if baseline else None,
        version=target.version,
    )
    # Big test reports take milliseconds, which questions should not wait for.
    return await asyncio.to_thread(judge, policy, facts, now)


def _fact(row: asyncpg.Record) -> Fact:
    return Fact(
        kind=row["kind"],
        part=row["part"],
        signal_id=row["signal_id"],
        source=row["source"],
        event_id=row["event_id"],
        time=row["time"],
        data=row["data"],
        version=row["version"],
    )


def summary_of(verdict: Verdict) -> GateSummary:
    """The verdict's counts as the contract has them."""
    return GateSummary.model_validate(verdict.summary, from_attributes=True)


def rules_of(verdict: Verdict) -> list[RuleResult]:
    """The verdict's rule results as the contract has them, each listing at most ``MAX_PARTS`` facts."""
    short = (replace(rule, facts_used=rule.facts_used[:MAX_PARTS]) for rule in verdict.rules)
    return [RuleResult.model_validate(rule, from_attributes=True) for rule in short]


def facts_used(verdict: Verdict) -> list[int]:
    """The ids of all signals that the verdict looked at, sorted."""
    ids: set[int] = {signal_id for rule in verdict.rules for signal_id in rule.facts_used}
    return sorted(ids)


def dump(models: list[RuleResult]) -> list[dict[str, Any]]:
    """Models as plain JSON values for a jsonb column."""
    return [model.model_dump(mode="json") for model in models]
