"""Who saw a verdict: people say that they did, since no reading is noted by itself."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Open, Page, Query, Time
from libs.common.contracts.governance.runs import RunKey
from libs.common.problems import Forbidden, Invalid, NotFound


class SeenBy(Open):
    """A person who saw a verdict, and when for the first and for the last time."""

    username: str
    first_seen_at: Time
    last_seen_at: Time


class VerdictSeen(SeenBy):
    """``is_first``: until now this person had not seen it."""

    run_id: int
    gate: str
    site: str
    is_first: bool


class VerdictFirstSeen(Open):
    run_id: int
    gate: str
    site: str
    username: str
    first_seen_at: Time


class SeenFilter(RunKey):
    cursor: str | None = Field(None, max_length=400, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


mark_seen = Command(
    "governance.verdict.see",
    about="{run_id}",
    body=RunKey,
    result=VerdictSeen,
    permission="gate:read",
    http=POST("/api/gates/{gate}/runs/{run_id}/seen", seal="person"),
    errors=(NotFound, Forbidden),
    summary="Say that you saw a verdict; the first time of each person stays, service accounts can't",
)
list_seen = Query(
    "governance.verdicts.seen_by",
    params=SeenFilter,
    result=Page[SeenBy],
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs/{run_id}/seen"),
    errors=(NotFound, Invalid),
    summary="List who said that they saw a verdict, who came first first",
)
verdict_seen = Event(
    "governance.verdict.seen", data=VerdictFirstSeen, summary="Somebody saw a verdict for the first time"
)
