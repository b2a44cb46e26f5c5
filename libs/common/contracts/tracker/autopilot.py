"""The autopilot: what it would do and why, a plan that a person approves, the run, and the ways to stop and undo it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Model, Nothing, Open, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.tracker.assignment import AutoAssigned
from libs.common.contracts.tracker.autopilot_policy import AUTOPILOT, AutopilotChange, AutopilotPolicy
from libs.common.contracts.tracker.escalation import Escalated
from libs.common.contracts.tracker.kpi import KpiFacts, KpiMetrics
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound

JOB = "ops_governance_remediation_autopilot"
PlanHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Action = Literal["auto_assign", "escalation"]
SkipReason = Literal["stopped", "disabled", "cooldown_active", "no_triggered_actions"]


class Force(Model):
    force: bool = Field(False, description="Plan every action, and mind no cooldown; a stop still holds")


class Evaluation(Open):
    """What the boards look like, and which actions that sets off. ``planned_actions`` is empty while it is disabled."""

    checked_at: Time
    force: bool
    policy: AutopilotPolicy
    metrics: KpiMetrics
    should_run_auto_assign: bool
    should_run_escalation: bool
    planned_actions: list[Action]
    kpi_snapshot: KpiFacts


class Guard(Open):
    """Whether a run may act now. ``blocked`` is the opposite of ``ready``.

    The cooldown counts from the newest run that really did something: not from dry, shadow, skipped or blocked ones.
    """

    checked_at: Time
    force: bool
    cooldown_minutes: int
    ready: bool
    blocked: bool
    reason: Literal["stopped", "force_override", "no_recent_run", "cooldown_active", "cooldown_passed"]
    last_run_id: int | None
    last_run_at: Time | None
    next_allowed_at: Time | None
    minutes_until_ready: int


class Switch(Open):
    """Whether the autopilot is stopped at the site, and by whom. ``scope`` says where it was stopped."""

    stopped: bool
    scope: Literal["own", "global"] | None = None
    stopped_at: Time | None = None
    stopped_by: str | None = None
    reason: str | None = None


class GuardShown(Open):
    policy_key: str
    policy_updated_at: Time | None
    policy: AutopilotPolicy
    evaluation: Evaluation
    guard: Guard
    switch: Switch


class PlanStep(Open):
    """One action on one item, as it is at ``revision`` in ``episode``.

    ``auto_assign`` gives it to ``assignee``. ``escalation`` begins its escalation, and tells ``targets`` of ``level``;
    level 0 tells nobody yet. ``key`` is that of what is told.
    """

    action: Action
    item_id: int
    episode: int
    revision: int
    gate: str
    subject: str
    line: str = ""
    rule_id: str
    priority: int
    due_at: Time | None
    assignee: str | None = None
    level: int | None = None
    key: UUID | None = None
    targets: list[str] = []
    why: str


class Plan(Open):
    """What a run does, step by step. ``left_out_count``: steps that its limits leave to a later run.

    ``no_candidate_count``: items that nobody can take now.
    """

    actions: list[Action]
    steps: list[PlanStep]
    touched_count: int
    left_out_count: int
    no_candidate_count: int = 0


class PreviewBody(Force):
    policy: AutopilotChange | None = Field(None, description="Try these settings without saving them")


class Preview(Evaluation):
    """``plan_hash`` (SHA-256, hex) names the plan for `run` until ``ends_at``; both are null for settings not saved.

    ``errors`` say which action can't be planned, and why; it is not part of the plan.
    """

    policy_key: str
    guard: Guard
    switch: Switch
    plan: Plan
    plan_hash: str | None
    ends_at: Time | None
    errors: list[str]


class RunBody(Force):
    dry_run: bool = Field(False, description="Do nothing, and say what would be done")
    plan_hash: PlanHash | None = Field(
        None, description="Do exactly the plan that a preview returned, or refuse (409) and say what differs"
    )


class Check(Open):
    """Whether what an action wanted to move has moved, read back after it. ``not_moved`` are items, 50 at the most."""

    action: Action
    wanted_count: int
    moved_count: int
    ok: bool
    not_moved: list[int]


class AutopilotRun(Open):
    """A run. ``metrics`` are from before the actions, ``metrics_after`` from after them (the same if nothing was done).

    ``actions`` are those that were carried out, each with its own run, whose parent this one is (in a dry run each a
    dry run); ``errors`` say what failed.
    ``planned_steps`` are the first 50 of ``plan_hash``.
    """

    run_id: int
    job_name: str
    trigger: JobTrigger
    status: JobStatus
    started_at: Time
    finished_at: Time
    enabled: bool
    dry_run: bool
    force: bool
    shadow: bool
    approved: bool
    policy_key: str
    policy_updated_at: Time | None
    policy: AutopilotPolicy
    metrics: KpiMetrics
    metrics_after: KpiMetrics
    guard: Guard
    switch: Switch
    skipped: bool
    skip_reason: SkipReason | None
    planned_actions: list[Action]
    actions: list[Action]
    should_run_auto_assign: bool
    should_run_escalation: bool
    plan_hash: str
    planned_steps: list[PlanStep]
    touched_count: int
    left_out_count: int
    no_candidate_count: int = 0
    auto_assign: AutoAssigned | None
    escalation: Escalated | None
    checks: list[Check]
    errors: list[str]


class StopBody(Model):
    reason: Reason = Field(description="Why, in a line")


class RunKey(Model):
    run_id: int = Field(ge=1, le=2**63 - 1, description="A run of the autopilot")


class UndoBody(RunKey):
    reason: Reason = Field(description="Why, in a line")


class Undone(Changed):
    """``released_ids``: items that nobody has again. ``snoozed_ids``: items whose escalation rests for a day.

    ``left_ids``: items that somebody has worked on since; they stay as they are.
    """

    run_id: int
    undone_at: Time
    undone_by: str
    reason: str
    released_ids: list[int]
    snoozed_ids: list[int]
    left_ids: list[int]


class AutopilotPreviewed(Open):
    plan_hash: str | None
    ends_at: Time | None
    planned_actions: list[Action]
    step_count: int


class AutopilotSwitched(Changed):
    site: str
    stopped: bool
    reason: str


get_guard = Query(
    "tracker.autopilot.guard",
    params=Force,
    result=GuardShown,
    permission="remediation:read",
    http=GET(f"{AUTOPILOT}/guard"),
    errors=(Conflict,),
    summary="Whether the autopilot may act now, and what it sees",
)
preview = Command(
    "tracker.autopilot.preview",
    about="{site}",
    body=PreviewBody,
    result=Preview,
    permission="remediation:write",
    http=POST(f"{AUTOPILOT}/preview"),
    errors=(Conflict,),
    summary="Plan what a run would do now, item by item, and keep the plan for approval",
)
run_autopilot = Command(
    "tracker.autopilot.run",
    about="{run_id}",
    body=RunBody,
    result=AutopilotRun,
    permission="remediation:assign",
    http=POST(f"{AUTOPILOT}/run", query=("dry_run", "force", "plan_hash")),
    errors=(Conflict, Invalid),
    summary="Assign and escalate what the policy says, or exactly what a plan says",
    job=JOB,
)
latest_autopilot = Query(
    "tracker.autopilot.latest",
    params=Nothing,
    result=AutopilotRun,
    permission="remediation:read",
    http=GET(f"{AUTOPILOT}/latest"),
    errors=(NotFound,),
    summary="The newest run of the autopilot",
)
stop_autopilot = Command(
    "tracker.autopilot.stop",
    about="{site}",
    body=StopBody,
    result=Switch,
    permission="remediation:write",
    http=POST(f"{AUTOPILOT}/stop"),
    errors=(Conflict,),
    summary="Stop the autopilot of a site at once; in the site global: of every site",
)
resume_autopilot = Command(
    "tracker.autopilot.resume",
    about="{site}",
    body=StopBody,
    result=Switch,
    permission="remediation:assign",
    http=POST(f"{AUTOPILOT}/resume"),
    errors=(Conflict,),
    summary="Let a stopped autopilot act again",
)
undo_run = Command(
    "tracker.autopilot.undo",
    body=UndoBody,
    result=Undone,
    permission="remediation:assign",
    http=POST(f"{AUTOPILOT}/runs/{{run_id}}/undo"),
    errors=(NotFound, Conflict),
    summary="Take back what a run of the autopilot did, where nobody has worked on it since",
)
autopilot_previewed = Event(
    "tracker.autopilot.previewed", data=AutopilotPreviewed, summary="A plan of the autopilot was made for approval"
)
autopilot_switched = Event(
    "tracker.autopilot.switched", data=AutopilotSwitched, summary="The autopilot was stopped, or may act again"
)
autopilot_undone = Event("tracker.autopilot.undone", data=Undone, summary="A run of the autopilot was taken back")
