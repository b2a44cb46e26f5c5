"""Forecasts: what a gate will say of a version later if nobody says anything new, and what to renew by when."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Open, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance.paths import Repair
from libs.common.contracts.governance.runs import Decision, GateTarget, RuleStatus, VerdictWord
from libs.common.problems import Invalid, NotFound

MAX_DAYS = 400
DEFAULT_DAYS = 30
FEED_DAYS = 90


class ForecastFilter(GateTarget):
    at: Time | None = Field(
        None, description=f"The moment to look at, at most {MAX_DAYS} days ahead; else {DEFAULT_DAYS} days from now"
    )


class ForecastFeed(GateTarget):
    days: int = Field(FEED_DAYS, ge=1, le=MAX_DAYS, description="How many days from now")


class VerdictAt(Open):
    """What the gate says at a moment. ``reasons``: a sentence for each thing that forbids GO."""

    at: Time
    decision: Decision
    verdict: VerdictWord
    weighted_score_percent: float
    reasons: list[str]


class RuleTurn(Open):
    """A rule that is judged otherwise from a moment on; ``message`` is what it says then."""

    rule_id: str
    before: RuleStatus
    after: RuleStatus
    message: str


class Turn(Open):
    """A moment at which something changes. ``changes``: what begins or ends then by what people decided."""

    at: Time
    before: VerdictWord
    after: VerdictWord
    rules: list[RuleTurn]
    changes: list[str]
    reasons: list[str]


class Renewal(Open):
    """A fact to be said anew by ``renew_by``; whoever takes the whole SLA begins by ``begin_by``.

    ``times``: how often until the forecast's moment, as each new one grows old, too.
    """

    kind: str
    part: str
    version: str
    signal_id: int
    renew_by: Time
    begin_by: Time
    times: int
    rule_ids: list[str]
    owner_role: str
    sla_hours: int
    action: str


class GoHeld(Open):
    """The GO that is stored now, and until when it holds (null: nothing ends it that is known)."""

    run_id: int
    valid_until: Time | None


class Forecast(Open):
    """What the gate will say at ``then.at`` of the facts that there are now.

    ``breaks_at``: when a GO of now first becomes a NO-GO. ``turns``: what changes, in order; all of it until
    ``known_until``, which is earlier than ``then.at`` only where there is too much. ``renewals``: the cheapest set of
    facts to renew so that it is GO then, by when work must begin. ``repairs``: what else must be repaired for it.
    ``held``: the GO of a run that holds now; it can end before ``breaks_at``, by the policy's ``valid_for_hours``.
    """

    gate: str
    site: str
    subject: str
    version: str
    line: str = ""
    now: VerdictAt
    then: VerdictAt
    breaks_at: Time | None
    known_until: Time
    held: GoHeld | None
    turns: list[Turn]
    renewals: list[Renewal]
    repairs: list[Repair]


get_forecast = Query(
    "governance.forecasts.get",
    params=ForecastFilter,
    result=Forecast,
    permission="gate:read",
    http=GET("/api/gates/{gate}/forecast"),
    errors=(NotFound, Invalid),
    summary="What a gate will say later if nothing new is said, what breaks first, and what to renew by when",
)
feed_forecast = Query(
    "governance.forecasts.feed",
    params=ForecastFeed,
    result=Blob,
    permission="gate:read",
    http=GET("/api/gates/{gate}/forecast.ics", file="text/calendar", basic=True),
    errors=(NotFound, Invalid),
    summary="When a GO will break and what to renew by when, as an iCalendar feed",
)
