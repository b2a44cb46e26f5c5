"""What a verdict says: of each rule, in sums, and of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from libs.judge.accepted import AcceptedUsed
from libs.judge.approvals import ApprovalShown
from libs.judge.emergency import OverrideUsed
from libs.judge.plain import LATER
from libs.judge.standing import Hold, WaiverUsed

Decision = Literal["go", "no_go"]
VerdictWord = Literal["GO", "GO_WITH_WARNINGS", "NO_GO"]
RunStatus = Literal["success", "warning", "critical"]
RuleStatus = Literal["pass", "fail", "warning", "waived", "shadow"]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What became of one rule. ``status`` is what counts: a rule in ``shadow`` is in no sum and no decision.

    ``baseline``: "none" or the number of the run compared with, None for rules that compare nothing. ``expires_at``:
    when a passing or waived rule stops counting so: it goes stale, or its waiver ends. ``stale_at``: when its evidence
    grows too old, if it is there. ``notes``: what was odd in the reports that it read.
    ``facts_used``: signal ids of the current facts, sorted. ``has_evidence``: all that the rule reads was there, whole,
    young and readable, also if the rule failed. ``waivers`` and ``accepted``: why the rule does not count, if its
    status is waived; ``passed`` and the sentences stay the truth about the facts. ``passes_at``: when it will
    pass by the clock alone.
    """

    id: str
    required: bool
    status: RuleStatus
    passed: bool
    weight: float
    message: str
    detail: dict[str, Any]
    observed: str
    wanted: str
    facts_used: tuple[int, ...]
    owner_role: str
    sla_hours: int
    action: str
    baseline: str | None = None
    expires_at: datetime | None = None
    notes: tuple[str, ...] = ()
    has_evidence: bool = True
    stale_at: datetime | None = None
    waivers: tuple[WaiverUsed, ...] = ()
    accepted: tuple[AcceptedUsed, ...] = field(default=(), metadata=LATER)
    passes_at: datetime | None = field(default=None, metadata=LATER)


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over the rules. ``weighted_score_percent`` has two places and is 100.0 when no rule has a weight.

    A waived rule is in neither weight, so it makes the score neither better nor worse than the others do; where none
    but waived rules have a weight, the score is 0.
    """

    total_rules: int
    required_rules: int
    passed_rules: int
    failure_count: int
    warning_count: int
    weighted_total: float
    weighted_passed: float
    weighted_score_percent: float
    waived_count: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """GO or NO_GO. ``reasons``: a sentence for each thing that forbids GO, empty on GO.

    ``next_change_at``: the first moment at which a rule that passes now will be stale, a waiver ends, a freeze begins
    or a rule that warns will fail. ``holds``: what forbids GO beside the rules, each with its sentence among the
    reasons. ``unused_waivers``: the numbers of those in force that nothing needed. ``evidence``: SHA-256 of what is
    approved, where approvals are wanted; ``approvals``: those that were given, also for what has changed since.
    ``labels``: of the version. ``override``: why it is GO against reasons, which it holds.
    """

    decision: Decision
    verdict: VerdictWord
    status: RunStatus
    rules: tuple[RuleResult, ...]
    summary: Summary
    reasons: tuple[str, ...]
    next_change_at: datetime | None
    baseline_run: int | None
    holds: tuple[Hold, ...] = ()
    unused_waivers: tuple[int, ...] = ()
    evidence: str = field(default="", metadata=LATER)
    approvals: tuple[ApprovalShown, ...] = field(default=(), metadata=LATER)
    labels: tuple[str, ...] = field(default=(), metadata=LATER)
    override: OverrideUsed | None = field(default=None, metadata=LATER)
