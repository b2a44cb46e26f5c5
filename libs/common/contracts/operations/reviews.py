"""The monthly review: where the runbook's word and a deployment's test did not agree, and what a person says of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.problems import Invalid, NotFound

JOB = "ops_runbook_critical_review"
SAMPLES = 8
Month = Annotated[str, StringConstraints(pattern=r"^(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])$")]
Kind = Literal["false_positive", "false_negative"]
Decision = Literal["confirmed", "dismissed"]


class ReviewWanted(Model):
    month: Month | None = Field(None, description="Which month, such as 2026-03 (else: the one before this one)")


class Candidate(Open):
    """A deployment that the runbook may have judged wrongly; ``run_id`` is its run.

    ``kind``: `false_negative` if the runbook's gate was passed and the test was not a success, `false_positive` if the
    gate was not passed and no check of the test found anything. ``decision`` is null until a person has decided.
    """

    run_id: int
    kind: Kind
    month: str
    status: JobStatus
    finished_at: Time
    deploy_id: str
    environment: str
    checklist_version: str
    runbook_gate_passed: bool
    problem_check_ids: list[str]
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: Time | None = None
    reason: str | None = None


class Review(Open):
    """A review of a month's deployments, and what has been decided since.

    ``review_completed``: the month is over and no candidate is undecided; ``review_completed_at`` is the last decision,
    or the review itself. At most ``sample_limit`` candidates of each kind are shown; the others are listed.
    """

    run_id: int
    job_name: str = JOB
    status: JobStatus = "success"
    trigger: JobTrigger
    started_at: Time
    finished_at: Time
    month: str
    window_start: Time
    window_end: Time
    lookback_days: int
    deploy_smoke_count: int
    false_positive_candidate_count: int
    false_negative_candidate_count: int
    candidate_count: int
    undecided_count: int
    confirmed_count: int
    dismissed_count: int
    false_positive_candidates: list[Candidate]
    false_negative_candidates: list[Candidate]
    sample_limit: int = SAMPLES
    review_completed: bool
    review_completed_at: Time | None
    review_notes: str


class CandidateFilter(Model):
    month: Month | None = Field(None, description="Only of this month")
    undecided: bool = Field(False, description="Only those that nobody has decided")
    limit: int = Field(100, ge=1, le=500, description="How many of the newest")


class CandidateDecision(Model):
    deployment_id: int = Field(ge=1, le=2**63 - 1, description="The number of the deployment's run")
    decision: Decision = Field(description="Whether the runbook was wrong there (confirmed), or was not (dismissed)")
    reason: str = Field(min_length=3, max_length=1000, description="Why")


class CandidateDecided(Candidate, Changed):
    """A candidate after what a person decided of it; a later word replaces it."""


run_review = Command(
    "operations.review.run",
    about="{month}",
    body=ReviewWanted,
    result=Review,
    permission="operations:run",
    http=POST("/api/ops/runbook/review/run", query=("month",)),
    errors=(Invalid,),
    summary="Find the deployments of a month where the runbook and the test did not agree",
    sited=False,
    job=JOB,
)
decide_candidate = Command(
    "operations.candidate.decide",
    body=CandidateDecision,
    result=Candidate,
    permission="operations:review",
    http=POST("/api/ops/runbook/review/candidates/{deployment_id}/decide"),
    errors=(NotFound, Invalid),
    summary="Say whether the runbook was wrong about a deployment",
    sited=False,
)
latest_review = Query(
    "operations.reviews.latest",
    result=Review,
    permission="operations:read",
    http=GET("/api/ops/runbook/review/latest"),
    errors=(NotFound,),
    summary="The newest review, with what has been decided since",
    sited=False,
)
list_candidates = Query(
    "operations.candidates.list",
    params=CandidateFilter,
    result=list[Candidate],
    permission="operations:read",
    http=GET("/api/ops/runbook/review/candidates"),
    summary="Deployments that reviews have found, newest first, with what was decided",
    sited=False,
)
review_finished = Event("operations.review.finished", data=Review, summary="The deployments of a month were reviewed")
candidate_decided = Event(
    "operations.candidate.decided", data=CandidateDecided, summary="A person said whether the runbook was wrong"
)
