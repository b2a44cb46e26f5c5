"""What people say of alerts: whether they were right, and which should have come and did not."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Line, Model, Open, Page, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.notifier.deliveries import MAX_ID, DeliveryKey
from libs.common.contracts.notifier.outages import ALERTS
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound

Word = Literal["true_positive", "false_positive", "withdrawn"]
_MISSED = f"{ALERTS}/missed"


class VerdictBody(DeliveryKey):
    verdict: Word = Field(
        description="Whether the alert was right (true_positive) or there was nothing (false_positive); withdrawn "
        "takes back what was said before"
    )
    reason: Reason | None = Field(None, description="Why, in a line; it stays in the history")


class Verdict(Open):
    """What somebody said of an alert. Of all that was said of deliveries of one event, the newest counts.

    ``alerted_at``: when the delivery was made, which says in which week it counts.
    """

    verdict_id: int
    delivery_id: int
    event_id: UUID
    event_name: str
    site: str
    verdict: Word
    reason: str
    judged_by: str
    judged_at: Time
    alerted_at: Time


class VerdictFilter(DeliveryKey):
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class MissedBody(Model):
    what: Line = Field(description="What happened that no alert told of")
    happened_at: Time = Field(description="When it should have been told")
    reason: Reason | None = Field(None, description="Why it was not, if that is known")


class MissedKey(Model):
    missed_id: int = Field(ge=1, le=MAX_ID, description="The missed alert's number")


class MissedWithdraw(MissedKey):
    reason: Reason = Field(description="Why it was none, in a line")


class Missed(Open):
    """An alert that should have come and did not; one that was withdrawn counts no more."""

    missed_id: int
    site: str
    what: str
    happened_at: Time
    reason: str
    recorded_by: str
    recorded_at: Time
    withdrawn_by: str | None
    withdrawn_at: Time | None
    withdrawn_reason: str | None


class MissedWithdrawn(Missed, Changed):
    """One that was withdrawn."""


class MissedFilter(Model):
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


judge_delivery = Command(
    "notifier.verdict.give",
    body=VerdictBody,
    result=Verdict,
    permission="remediation:write",
    http=POST("/api/deliveries/{delivery_id}/verdict"),
    errors=(NotFound, Conflict),
    summary="Say whether an alert was right; the newest word counts, and those before stay in the history",
)
list_verdicts = Query(
    "notifier.verdicts.list",
    params=VerdictFilter,
    result=Page[Verdict],
    permission="subscription:read",
    http=GET("/api/deliveries/{delivery_id}/verdicts"),
    errors=(Invalid,),
    summary="List what was said of an alert, newest first",
)
record_missed = Command(
    "notifier.missed.record",
    about="{missed_id}",
    body=MissedBody,
    result=Missed,
    permission="remediation:write",
    http=POST(_MISSED, status=201),
    errors=(Invalid,),
    summary="Record an alert that should have come and did not",
)
withdraw_missed = Command(
    "notifier.missed.withdraw",
    body=MissedWithdraw,
    result=Missed,
    permission="remediation:write",
    http=POST(f"{_MISSED}/{{missed_id}}/withdraw"),
    errors=(NotFound, Conflict),
    summary="Take back that an alert was missed",
)
list_missed = Query(
    "notifier.missed.list",
    params=MissedFilter,
    result=Page[Missed],
    permission="subscription:read",
    http=GET(_MISSED),
    errors=(Invalid,),
    summary="List the alerts that should have come and did not, newest first",
)
verdict_given = Event("notifier.verdict.given", data=Verdict, summary="Somebody said whether an alert was right")
missed_recorded = Event("notifier.missed.recorded", data=Missed, summary="Somebody recorded an alert that did not come")
missed_withdrawn = Event("notifier.missed.withdrawn", data=MissedWithdrawn, summary="An alert was not missed after all")
