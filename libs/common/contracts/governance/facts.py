"""Facts: what counts now of a subject, and ending what no signal would ever end."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.governance.signals import Kind
from libs.common.contracts.issues import IssueId
from libs.common.contracts.names import Subject, Version
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

RetiredWhat = Literal["part", "sender", "test"]
FactState = Literal["good", "broken", "unreadable", "firing", "failing", "missing", "retired"]
MAX_RETIREMENTS = 500  # in force of one subject
MAX_FACTS = 500  # in one answer
MAX_TESTS_SHOWN = 20


class Retirement(Open):
    """``what``: a part, a sender whose report can't be read, or a ``test`` of a part. It ends what was said up to the
    signal ``signal_id``, whose effective time is ``seen_at``; ``in_force`` false: it was taken back.
    """

    retirement_id: int
    site: str
    subject: str
    version: str
    kind: str
    part: str
    what: RetiredWhat
    test: str
    signal_id: int
    seen_at: Time
    reason: str
    issue: str
    retired_by: str
    retired_at: Time
    approved_by: str
    approved_at: Time | None = None
    approval_reason: str | None = None
    ended_by: str | None = None
    ended_at: Time | None = None
    end_reason: str | None = None


class FactShown(Open):
    """A part that counts, or what is wanted of it. ``state`` ``missing``: the last GO had it, nothing newer is there;
    ``unreadable``: a sender's newest report; ``failing``: tests of it are not shown passing (``open_tests``, at most 20
    of ``open_test_count``); ``firing``: alerts of it fire. ``read_by``: gates and rules that read its kind, such as
    ``release/tests_passed``; ``stale_for``: those of them for which it is too old.
    """

    signal_id: int
    kind: str
    part: str
    subject: str
    version: str
    state: FactState
    time: Time
    age_hours: float
    source: str
    actor: str
    problem: str = ""
    firing_count: int = 0
    open_test_count: int = 0
    open_tests: list[str] = []
    read_by: list[str] = []
    stale_for: list[str] = []
    retirement_id: int | None = None


class FactList(Open):
    """``left_out``: how many more there are; name the version or the kind to see them."""

    items: list[FactShown]
    left_out: int


class FactFilter(Model):
    subject: Subject | None = Field(None, description="Of which subject; else of the whole site")
    version: Version | None = Field(None, description="Of this version and of the subject itself; else of all versions")
    kind: Kind | None = Field(None, description="Only this kind, such as test.junit")


class FactRetire(Model):
    signal_id: int = Field(ge=1, le=2**63 - 1, description="The signal that headgate facts list shows")
    subject: Subject | None = Field(None, description="Of which subject, where one unreadable report is about several")
    test: str | None = Field(
        None, min_length=1, max_length=1000, description="Only this test's failure, by its full id"
    )
    reason: Reason = Field(description="Why it is over though nothing says so, in a line; verdicts show it")
    issue: IssueId | None = Field(None, description="The issue about it, such as OPS-12 or #12")


class RetirementKey(Model):
    retirement_id: int = Field(ge=1, le=2**63 - 1, description="The retirement's number")


class RetirementWord(RetirementKey):
    reason: Reason = Field(description="Why, in a line; it stays with the retirement")


class RetirementFilter(Model):
    subject: Subject | None = None
    kind: Kind | None = Field(None, description="Only this kind, such as test.junit")
    in_force: bool | None = Field(None, description="Only those in force, or only those that were taken back")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class RetirementChanged(Retirement, Changed):
    """A retirement that was approved, or taken back."""


list_facts = Query(
    "governance.facts.list",
    params=FactFilter,
    result=FactList,
    permission="gate:read",
    http=GET("/api/facts"),
    errors=(Invalid,),
    summary="List what counts now of a subject: newest first, also what is unreadable, missing or retired",
)
retire_fact = Command(
    "governance.fact.retire",
    about="{retirement_id}",
    body=FactRetire,
    result=Retirement,
    permission="fact:retire",
    http=POST("/api/facts/{signal_id}/retire", status=201),
    errors=(NotFound, Conflict, Invalid),
    summary="End a fact, an unreadable sender, a missing part or a test's failure that nothing else would end",
)
approve_retirement = Command(
    "governance.retirement.approve",
    body=RetirementWord,
    result=Retirement,
    permission="fact:retire",
    http=POST("/api/retirements/{retirement_id}/approve"),
    errors=(NotFound, Conflict, Forbidden),
    summary="Approve, as a second person, that a fact was retired",
)
revoke_retirement = Command(
    "governance.retirement.revoke",
    body=RetirementWord,
    result=Retirement,
    permission="fact:retire",
    http=POST("/api/retirements/{retirement_id}/revoke"),
    errors=(NotFound, Conflict),
    summary="Take a retirement back: the fact counts again",
)
list_retirements = Query(
    "governance.retirements.list",
    params=RetirementFilter,
    result=Page[Retirement],
    permission="gate:read",
    http=GET("/api/retirements"),
    errors=(Invalid,),
    summary="List retirements, newest first",
)
fact_retired = Event("governance.fact.retired", data=Retirement, summary="Somebody ended a fact")
retirement_approved = Event(
    "governance.retirement.approved", data=RetirementChanged, summary="A second person approved it"
)
retirement_revoked = Event(
    "governance.retirement.revoked", data=RetirementChanged, summary="A retirement was taken back"
)
