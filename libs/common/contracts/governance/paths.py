"""The shortest path from a NO-GO to a GO: what to repair, who does it, and when it can be GO at the earliest."""

from __future__ import annotations

from libs.common.contracts.base import GET, Open, Query, Time
from libs.common.contracts.governance.runs import Decision, Hold, RunKey
from libs.common.problems import NotFound


class Repair(Open):
    """A rule to repair; ``reason`` is what the run observed.

    ``open_items``: what the owner role has open beside this board at the site, at most 1,000; null: load unknown.
    ``weighted_hours``: the SLA, and as much again for each ten of those.
    """

    rule_id: str
    owner_role: str
    sla_hours: int
    action: str
    reason: str
    open_items: int | None = None
    weighted_hours: float | None = None


class Path(Open):
    """``repairs``: the cheapest set whose repair makes it GO. ``cost_hours``: their SLA hours together.

    ``weighted_hours``: the same with the owners' load, which is what makes a set the cheapest. ``load_known_since``:
    since when events tell of the site's items (null: load unknown, only the SLA counts).
    ``earliest_go_at``: if all begin when it was decided and take their whole SLA, outside of all freezes that are
    published, and not before now; none where a person has to lift a halt first. ``waits_for_approval``: persons must
    approve, too, which may take no time. ``holds``: what forbids GO beside the rules.
    """

    run_id: int
    decision: Decision
    repairs: list[Repair]
    cost_hours: int
    weighted_hours: float = 0.0
    load_known_since: Time | None = None
    waits_for_approval: bool = False
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
