"""Assignment: who should do what, the run that gives items out, and the policy that it goes by."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Model, Nothing, Open, Query, Time
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.tracker.items import BASE, ItemStatus
from libs.common.contracts.tracker.people import Limit
from libs.common.contracts.versions import Document
from libs.common.problems import Conflict, NotFound

JOB = "ops_governance_remediation_auto_assign"
MAX_ASSIGNED = 500  # in one run


class AssignmentPolicy(Model):
    """How items find their person at a site."""

    enabled: bool = Field(True, description="Whether runs give items out at all")
    max_items: int = Field(30, ge=1, le=MAX_ASSIGNED, description="How many items a run gives out if it is not told")
    max_open_items: Limit | None = Field(
        None, description="How many open items a person is given who has no limit of their own; null: any number"
    )


ASSIGNMENT: Document[AssignmentPolicy] = Document(
    "tracker",
    "assignment",
    content=AssignmentPolicy,
    default=AssignmentPolicy(),
    path=f"{BASE}/auto-assign/policy",
    what="the assignment policy",
)


class WorkloadFilter(Model):
    include_inactive: bool = Field(False, description="Count resolved and done items, too")
    max_suggestions: int = Field(20, ge=1, le=100, description="How many suggestions at the most")


class Candidates(Open):
    owner: list[str]
    manager: list[str]
    operator: list[str]


class Suggestion(Open):
    """An item without an assignee, and who should get it; ``reason`` says why, or why nobody can."""

    id: int
    item_id: str
    rule_id: str
    owner_role: str
    priority: int
    due_at: Time | None
    recommended_assignee: str | None
    reason: str


class Workload(Open):
    """The open items of a site by person and by owner role. Those without an assignee count as ``unassigned``.

    ``unknown_assignees`` are names that items carry and that are no active user of the site.
    """

    generated_at: Time
    include_inactive: bool
    total_open_items: int
    unassigned_open_count: int
    assignee_open_counts: dict[str, int]
    owner_role_open_counts: dict[str, int]
    candidate_usernames_by_role: Candidates
    suggestions: list[Suggestion]
    unknown_assignees: list[str]


class AutoAssign(Model):
    dry_run: bool = Field(False, description="Only say what would be given to whom")
    limit: int | None = Field(
        None, ge=1, le=MAX_ASSIGNED, description="How many items at the most (else as the assignment policy says: 30)"
    )


class Assignment(Open):
    id: int
    assignee: str
    status: ItemStatus
    reason: str


class AutoAssigned(Open):
    """A run that gives items out. ``workload`` is as it was before, its suggestions are the run's candidates.

    ``skipped_count``: items that somebody else changed at that moment; the next run looks at them.
    """

    run_id: int
    job_name: Literal["ops_governance_remediation_auto_assign"] = "ops_governance_remediation_auto_assign"
    trigger: JobTrigger
    status: JobStatus
    started_at: Time
    finished_at: Time
    enabled: bool
    dry_run: bool
    limit: int
    workload: Workload
    candidate_count: int
    assigned_count: int
    skipped_count: int
    no_candidate_count: int
    updated_ids: list[int]
    assignments: list[Assignment]


get_workload = Query(
    "tracker.workload.get",
    params=WorkloadFilter,
    result=Workload,
    permission="remediation:read",
    http=GET(f"{BASE}/workload"),
    errors=(Conflict,),
    summary="Who has how much to do, and who should get what nobody has",
)
run_auto_assign = Command(
    "tracker.auto_assign.run",
    about="{site}",
    body=AutoAssign,
    result=AutoAssigned,
    permission="remediation:assign",
    http=POST(f"{BASE}/auto-assign/run", query=("dry_run", "limit")),
    errors=(Conflict,),
    summary="Give items without an assignee to those who should do them",
    job=JOB,
)
latest_auto_assign = Query(
    "tracker.auto_assign.latest",
    params=Nothing,
    result=AutoAssigned,
    permission="remediation:read",
    http=GET(f"{BASE}/auto-assign/latest"),
    errors=(NotFound,),
    summary="The newest run that gave items out",
)
