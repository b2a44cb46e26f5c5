"""The remediation plan of a run: which rules need work, in which order, under which number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.tracker.domain.item import RuleStatus

_SEVERITY = {"pass": 0, "warning": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run said about one rule."""

    rule_id: str
    status: RuleStatus
    required: bool
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    owner_role: str = ""
    sla_hours: int = 24
    action: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A gate run as the board sees it. ``actor`` asked for it; ``now`` is when the board applies it."""

    run_id: int
    gate: str
    site: str
    subject: str
    line: str
    version: str
    decided_at: datetime
    actor: str
    now: datetime
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """Which *new* episodes a run may open: the first ``max_items`` of the plan, with or without warnings."""

    include_warnings: bool = True
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A rule that did not pass, in its place in the plan. ``opens`` false: the options leave it out.

    ``sla_hours`` are those of the gate's policy, at least one; the site's terms may say otherwise.
    """

    item_id: str
    priority: int
    owner_role: str
    sla_hours: int
    action: str
    verdict: Verdict
    opens: bool


def priority(status: RuleStatus, required: bool) -> int:
    """1 required failure, 2 optional failure, 3 required warning, 4 optional warning."""
    return (1 if status == "fail" else 3) + (0 if required else 1)


def worst(verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    """One verdict per rule. If a run names a rule twice the worse one counts, so that a repeat never passes it."""
    return {verdict.rule_id: verdict for verdict in sorted(verdicts, key=lambda one: _SEVERITY[one.status])}


def make_plan(verdicts: Iterable[Verdict], options: Options) -> list[Planned]:
    """The plan: ordered by priority, SLA of the policy and rule id, numbered GR-001, GR-002, …

    Warnings come after every failure, so leaving them out moves no number. An SLA is at least one hour.
    """
    open_rules = [
        (priority(verdict.status, verdict.required), max(1, verdict.sla_hours), verdict.rule_id, verdict)
        for verdict in verdicts
        if verdict.status != "pass"
    ]
    open_rules.sort(key=lambda one: one[:3])
    return [
        Planned(
            item_id=f"GR-{place:03d}",
            priority=rank,
            owner_role=verdict.owner_role or "Ops Manager",
            sla_hours=sla_hours,
            action=verdict.action or verdict.reason or "Mend what the rule found, then run the gate again.",
            verdict=verdict,
            opens=(options.max_items is None or place <= options.max_items)
            and (options.include_warnings or verdict.status != "warning"),
        )
        for place, (rank, sla_hours, _, verdict) in enumerate(open_rules, start=1)
    ]
