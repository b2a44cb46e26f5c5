"""Emergency overrides: one person answers for a GO against a verdict, and a second one confirms it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.governance.runs import GateRun, RunKey
from libs.common.contracts.issues import IssueId
from libs.common.contracts.names import Subject, printable_name
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

MIN_REASON = 50
MIN_WORDS = 5
CONFIRM_HOURS = 24


def _sentence(text: str) -> str:
    """One blank between words, and enough of them that are not the same. Raises `PydanticCustomError`."""
    words = text.split()
    if len(" ".join(words)) < MIN_REASON or len(set(words)) < MIN_WORDS or len(set(text)) < MIN_WORDS * 2:
        raise PydanticCustomError(
            "no_reason",
            "say in {count} characters or more, in words, why this can't wait and what may go wrong",
            {"count": MIN_REASON},
        )
    return " ".join(words)


LongReason = Annotated[
    str, StringConstraints(max_length=1000), AfterValidator(_sentence), AfterValidator(printable_name)
]


class Override(Open):
    """It ends at ``ends_at``, at ``confirm_until`` if nobody has confirmed it by then, and with whatever changes of
    the run's evidence.
    """

    override_id: int
    site: str
    gate: str
    subject: str
    line: str = ""
    version: str
    run_id: int
    reason: str
    issue: str
    given_by: str
    given_at: Time
    ends_at: Time
    confirm_until: Time
    evidence_sha256: str
    confirmed_by: str | None = None
    confirmed_at: Time | None = None
    confirm_reason: str | None = None
    revoked_by: str | None = None
    revoked_at: Time | None = None
    revoke_reason: str | None = None
    flagged_at: Time | None = None


class OverrideRequest(RunKey):
    reason: LongReason = Field(description=f"Why it can't wait, in {MIN_REASON} characters or more")
    issue: IssueId | None = Field(None, description="The issue that it is dealt with in, such as OPS-12")
    hours: float | None = Field(None, gt=0, le=168, description="How long it lasts; else as long as the policy allows")


class OverrideDone(Override):
    """``run``: the verdict that is GO by it."""

    run: GateRun


class OverrideKey(Model):
    override_id: int = Field(ge=1, le=2**63 - 1, description="The override's number")


class OverrideWord(OverrideKey):
    reason: Reason = Field(description="Why, in a line; it stays with the override")


class OverrideFilter(Model):
    gate: Token | None = Field(None, description="Of this gate only")
    subject: Subject | None = None
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class OverrideChanged(Override, Changed):
    """An override that was confirmed, ended, or not confirmed in time."""


override_run = Command(
    "governance.override.give",
    about="{override_id}",
    body=OverrideRequest,
    result=OverrideDone,
    permission="gate:override",
    http=POST("/api/gates/{gate}/runs/{run_id}/override", status=201),
    errors=(NotFound, Conflict, Forbidden, Invalid),
    summary="Emergency: make a NO-GO a GO with warnings, for this run's evidence and for a while",
)
confirm_override = Command(
    "governance.override.confirm",
    body=OverrideWord,
    result=Override,
    permission="exception:approve",
    http=POST("/api/overrides/{override_id}/confirm"),
    errors=(NotFound, Conflict, Forbidden),
    summary=f"Confirm an override that somebody else gave; without it, it ends after {CONFIRM_HOURS} hours",
)
revoke_override = Command(
    "governance.override.revoke",
    body=OverrideWord,
    result=Override,
    permission="exception:approve",
    http=POST("/api/overrides/{override_id}/revoke"),
    errors=(NotFound, Conflict),
    summary="End an override; the GO that rests on it is judged again",
)
list_overrides = Query(
    "governance.overrides.list",
    params=OverrideFilter,
    result=Page[Override],
    permission="gate:read",
    http=GET("/api/overrides"),
    errors=(Invalid,),
    summary="List emergency overrides, newest first",
)
override_given = Event("governance.override.given", data=Override, summary="Somebody made a NO-GO a GO")
override_confirmed = Event(
    "governance.override.confirmed", data=OverrideChanged, summary="A second person confirmed it"
)
override_revoked = Event("governance.override.revoked", data=OverrideChanged, summary="Somebody ended an override")
exception_unconfirmed = Event(
    "governance.exception.unconfirmed", data=OverrideChanged, summary="Nobody confirmed an override in time; it is over"
)
