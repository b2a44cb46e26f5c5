"""Explanations: what a verdict rests on, and what has changed since the last GO."""

from __future__ import annotations

from libs.common.contracts.base import GET, Open, Query, Time
from libs.common.contracts.governance.runs import AcceptedUsed, Decision, RuleStatus, RunKey, VerdictWord, WaiverUsed
from libs.common.problems import NotFound

TREND_RUNS = 10
MAX_FACTS = 20  # of a rule


class FactUsed(Open):
    """A signal that a rule read. ``age_hours``: how old it was when it was judged.

    ``replaces``: the signal of the same kind and part that the last GO read, if that was another; none and ``is_new``
    where the last GO read nothing of this kind and part.
    """

    signal_id: int
    kind: str
    part: str
    version: str
    source: str
    actor: str
    time: Time
    age_hours: float
    is_new: bool = False
    replaces: int | None = None


class TrendPoint(Open):
    """What one run said of a rule. ``values``: the numbers of its detail."""

    run_id: int
    version: str
    decided_at: Time
    status: RuleStatus
    values: dict[str, float] = {}


class RuleExplained(Open):
    """A rule's result beside that of the last GO (``before``: null where it was not judged then, or never was GO).

    ``gone``: signals of kinds and parts that the last GO read and this verdict did not. ``facts_left_out``: how many
    more facts there are than are listed. ``trend``: of the line's last runs up to this one, the oldest first.
    ``accepted``: accepted baselines that it needs now, ``accepted_ended``: those that it needed then only.
    """

    rule_id: str
    status: RuleStatus
    before: RuleStatus | None
    observed: str
    observed_before: str | None
    wanted: str
    facts: list[FactUsed]
    facts_left_out: int
    gone: list[FactUsed]
    waivers: list[WaiverUsed]
    waivers_ended: list[int]
    accepted: list[AcceptedUsed] = []
    accepted_ended: list[int] = []
    trend: list[TrendPoint]


class GoBefore(Open):
    """The last GO of the same subject and line before the run."""

    run_id: int
    version: str
    decided_at: Time
    policy_version: int
    site_policy_version: int


class Explanation(Open):
    """``last_go``: null where it never was GO. ``changes``: what is different since then, a sentence each."""

    run_id: int
    gate: str
    site: str
    subject: str
    version: str
    line: str
    decision: Decision
    verdict: VerdictWord
    decided_at: Time
    last_go: GoBefore | None
    changes: list[str]
    rules: list[RuleExplained]


get_explanation = Query(
    "governance.explanations.get",
    params=RunKey,
    result=Explanation,
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs/{run_id}/explanation"),
    errors=(NotFound,),
    summary="Explain a verdict: facts with source and age, trend, and what changed since the last GO",
)
