"""People: who may be given items at a site, how much they have to do, and when they are away."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from libs.common.contracts.base import DELETE, GET, POST, PUT, Command, Event, Model, Nothing, Open, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.tracker.items import BASE
from libs.common.problems import Conflict, Invalid, NotFound

MAX_OPEN_ITEMS = 10_000
Limit = Annotated[int, Field(ge=0, le=MAX_OPEN_ITEMS)]
_PERSON = f"{BASE}/people/{{username}}"
_FROM = "From when on the person is away"
_TO = "Until when; at most 366 days later"


class AbsenceView(Open):
    absence_id: int
    username: str
    away_from: Time
    away_to: Time
    created_by: str
    created_at: Time


class PersonView(Open):
    """``open_items`` and ``load`` are of all sites together; ``load`` weighs each item by priority and time left.

    ``max_open_items`` is the person's own limit; without one that of the assignment policy holds. ``absences`` are
    those that are not over.
    """

    username: str
    display_name: str
    role: str
    open_items: int
    load: float
    max_open_items: int | None
    absences: list[AbsenceView]


class PersonKey(Model):
    username: Token = Field(description="The person's name: a-z, 0-9 and -")


class OwnAbsence(Model):
    away_from: Time = Field(description=_FROM)
    away_to: Time = Field(description=_TO)


class PersonAbsence(PersonKey):
    away_from: Time = Field(description=_FROM)
    away_to: Time = Field(description=_TO)


class OwnAbsenceKey(Model):
    absence_id: int = Field(ge=1, le=2**63 - 1, description="The absence's number")


class AbsenceKey(PersonKey):
    absence_id: int = Field(ge=1, le=2**63 - 1, description="The absence's number")


class PersonLimit(PersonKey):
    max_open_items: Limit | None = Field(
        description="How many open items the person is given at the most; null: as the assignment policy says"
    )


class PersonLimited(Changed):
    username: str
    max_open_items: int | None


class AbsenceCancelled(AbsenceView, Changed):
    """An absence that was taken back."""


list_people = Query(
    "tracker.people.list",
    params=Nothing,
    result=list[PersonView],
    permission="remediation:read",
    http=GET(f"{BASE}/people"),
    summary="List who may be given items here, their load, limit and absences",
)
set_own_absence = Command(
    "tracker.absence.set_own",
    about="{absence_id}",
    body=OwnAbsence,
    result=AbsenceView,
    permission="remediation:write",
    http=POST(f"{BASE}/absences", status=201),
    errors=(NotFound, Invalid, Conflict),
    summary="Say when you are away: no items are given to you then",
)
cancel_own_absence = Command(
    "tracker.absence.cancel_own",
    body=OwnAbsenceKey,
    result=AbsenceView,
    permission="remediation:write",
    http=DELETE(f"{BASE}/absences/{{absence_id}}"),
    errors=(NotFound,),
    summary="Take back an absence of yours",
)
set_absence = Command(
    "tracker.absence.set",
    about="{absence_id}",
    body=PersonAbsence,
    result=AbsenceView,
    permission="remediation:assign",
    http=POST(f"{_PERSON}/absences", status=201),
    errors=(NotFound, Invalid, Conflict),
    summary="Say when a person of the site is away",
)
cancel_absence = Command(
    "tracker.absence.cancel",
    body=AbsenceKey,
    result=AbsenceView,
    permission="remediation:assign",
    http=DELETE(f"{_PERSON}/absences/{{absence_id}}"),
    errors=(NotFound,),
    summary="Take back a person's absence",
)
limit_person = Command(
    "tracker.person.limit",
    body=PersonLimit,
    result=PersonLimited,
    permission="remediation:assign",
    http=PUT(f"{_PERSON}/limit"),
    errors=(NotFound,),
    summary="Limit how many open items a person is given",
)
absence_set = Event("tracker.absence.added", data=AbsenceView, summary="A person will be away")
absence_cancelled = Event(
    "tracker.absence.cancelled", data=AbsenceCancelled, summary="A person will not be away after all"
)
person_limited = Event("tracker.person.limited", data=PersonLimited, summary="A person's limit of open items changed")
