"""The shortest path from a NO-GO to a GO: what to repair, who does it, and when it can be GO at the earliest."""

from __future__ import annotations

from libs.common.contracts.base import GET, Open, Query, Time
from libs.common.contracts.governance.runs import Decision, Hold, RunKey
from libs.common.problems import NotFound


class Repair(Open):
    """A rule to repair; ``reason`` is what the run observed."""

    rule_id: str
    owner_role: str
    sla_hours: int
    action: str
    reason: str


class Path(Open):
    """``repairs``: the cheapest set whose repair makes it GO. ``cost_hours``: their SLA hours together.

    ``earliest_go_at``: if all begin when it was decided and take their whole SLA, and when the freezes in force are
    over; none where a person has to lift a halt first. ``holds``: what forbids GO beside the rules.
    """

    run_id: int
    decision: Decision
    repairs: list[Repair]
    cost_hours: int
    earliest_go_at: Time | None
    holds: list[Hold]


get_path = Query(
    "governance.paths.get",
    params=RunKey,
    result=Path,
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs/{run_id}/path"),
    errors=(NotFound,),
    summary="The shortest path from a verdict to GO",
)
