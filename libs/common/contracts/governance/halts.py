"""Stop the line: no gate says GO until somebody lifts the halt."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.names import printable_name
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound

MAX_HALTS = 100  # in force at one site
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable_name)]


class Halt(Open):
    """``subjects``: which are halted, a pattern with ``*`` and ``?``. Of the site ``global`` it holds at every site."""

    halt_id: int
    site: str
    subjects: str
    reason: str
    halted_by: str
    halted_at: Time
    lifted_by: str | None = None
    lifted_at: Time | None = None
    lift_reason: str | None = None
    exempt_labels: list[str] = []


class HaltTold(Halt):
    """``rechecked_count``: GOs that are judged again at once."""

    rechecked_count: int = 0


class HaltRequest(Model):
    subjects: Pattern = Field("*", description="Which subjects, such as acme/*; else all")
    exempt_labels: list[Token] = Field(
        [], max_length=20, description="Versions with one of these labels may go, with one more approval"
    )
    reason: Reason = Field(description="Why, in a line; every verdict shows it")


class HaltLift(Model):
    halt_id: int = Field(ge=1, le=2**63 - 1, description="The halt's number")
    reason: Reason = Field(description="Why the line may run again")


class HaltFilter(Model):
    in_force: bool | None = Field(None, description="Only those that hold now, or only those that are over")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class Halts(Page[Halt]):
    """``items``: the site's own. ``everywhere``: those of the whole installation that hold here, too; with the first
    page only. Who may read a site may read them: they forbid its GOs.
    """

    everywhere: list[Halt] = []


class HaltLifted(Halt, Changed):
    """A halt that was lifted."""


stop_line = Command(
    "governance.line.halt",
    about="{halt_id}",
    body=HaltRequest,
    result=HaltTold,
    permission="gate:halt",
    http=POST("/api/halts", status=201),
    errors=(Conflict,),
    summary="Stop the line: no gate of the site says GO until it is lifted (site global: no gate anywhere)",
)
lift_halt = Command(
    "governance.line.lift",
    body=HaltLift,
    result=Halt,
    permission="gate:halt",
    http=POST("/api/halts/{halt_id}/lift"),
    errors=(NotFound, Conflict),
    summary="Lift a halt; the gates must be run again",
)
list_halts = Query(
    "governance.line.halts",
    params=HaltFilter,
    result=Halts,
    permission="gate:read",
    http=GET("/api/halts"),
    errors=(Invalid,),
    summary="List the site's own halts, newest first, and those of the whole installation that hold there",
)
line_halted = Event("governance.line.halted", data=HaltTold, summary="Somebody stopped the line")
line_lifted = Event("governance.line.lifted", data=HaltLifted, summary="A halt was lifted")
