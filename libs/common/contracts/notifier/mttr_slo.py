"""The MTTR SLO: how long outages of targets may last in the mean, what a check says, and what a breach does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Json, Model, Nothing, Open, Query, Time
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.notifier.deliveries import State
from libs.common.contracts.notifier.outages import ALERTS, MttrFigures, TargetMttr
from libs.common.contracts.notifier.policies import Policy
from libs.common.contracts.versions import Document
from libs.common.problems import Conflict, NotFound

MTTR_JOB = "alert_mttr_slo_check"
_PATH = f"{ALERTS}/mttr-slo"

EventType = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9_.:-]+$")]
BreachReason = Literal["mttr", "open_outage"]


class MttrSloPolicy(Model):
    """When the mean time to recovery of a site's targets is too long, and what is done then."""

    enabled: bool = Field(True, description="Whether it is judged at all")
    window_days: int = Field(30, ge=1, le=90, description="How far back outages count")
    threshold_minutes: int = Field(45, ge=1, le=10_080, description="How long recovery may take in the mean")
    min_incidents: int = Field(5, ge=1, le=100_000, description="From how many outages on the mean is judged")
    auto_recover_enabled: bool = Field(True, description="Whether a breach has the targets that fail probed")
    recover_state: Literal["quarantined", "warning", "all"] = Field(
        "quarantined", description="Which targets are probed: those held back, those that begin to fail, or both"
    )
    recover_max_targets: int = Field(30, ge=1, le=500, description="How many targets are probed at the most")
    notify_enabled: bool = Field(True, description="Whether a breach is told")
    notify_event_type: EventType = Field("mttr_slo_breach", description="What the message calls it")
    notify_cooldown_minutes: int = Field(
        120, ge=0, le=10_080, description="How long after a breach was told the next one is not"
    )
    top_channels: int = Field(15, ge=1, le=50, description="How many targets a check lists")


class MttrSloBody(Model):
    force_notify: bool = Field(False, description="Tell a breach whatever the cooldown says")


class MttrSloWindow(MttrFigures):
    days: int


class Told(Open):
    """Who is told of a breach, and how that stands: ``target`` is a subscription, or below zero a channel."""

    target: int
    name: str
    state: State
    error: str | None


class MttrSloActions(Open):
    """What a breach led to.

    ``auto_recover_attempted``: targets were probed, and ``auto_recover_result`` is what was asked; what has become of
    the probes says `…/channels/guard/recover/latest`.
    ``notify_attempted``: the breach was told. ``notify_dispatched``: at least one of ``notify_channels`` has taken it;
    right after a check none has, `latest` says how it stands. ``notify_error`` says how many can't be told any more.
    The cooldown counts from ``last_notified_at``; ``last_breach_at`` is the check before that found a breach.
    """

    auto_recover_attempted: bool
    auto_recover_result: Json | None
    notify_attempted: bool
    notify_dispatched: bool
    notify_error: str | None
    notify_channels: list[Told]
    force_notify: bool
    cooldown_minutes: int
    cooldown_active: bool
    cooldown_remaining_minutes: float
    last_breach_at: Time | None
    last_notified_at: Time | None


class MttrSloCheck(Open):
    """A check. ``breach_reasons``: ``mttr``: the mean of enough outages is above the threshold; ``open_outage``: one

    lasts longer than that, however many there were.
    """

    run_id: int
    job_name: str
    trigger: JobTrigger
    status: JobStatus
    started_at: Time
    finished_at: Time
    policy: MttrSloPolicy
    window: MttrSloWindow
    breach: bool
    breach_reasons: list[BreachReason]
    top_channels: list[TargetMttr]
    actions: MttrSloActions


class MttrSloBreached(Open):
    event_type: str
    site: str
    threshold_minutes: int
    window: MttrSloWindow
    breach_reasons: list[BreachReason]
    top_channels: list[TargetMttr]


MTTR_DOCUMENT: Document[MttrSloPolicy] = Document(
    "notifier",
    "mttr_slo_policy",
    content=MttrSloPolicy,
    default=MttrSloPolicy(),
    path=f"{_PATH}/policy/document",
    what="the MTTR SLO policy",
)
MTTR_SLO: Policy[MttrSloPolicy] = Policy(
    MTTR_DOCUMENT, f"{_PATH}/policy", key="alert_mttr_slo_default", scope="ops.alerts.mttr_slo"
)
get_policy = MTTR_SLO.get
set_policy = MTTR_SLO.configure
run_check = Command(
    "notifier.mttr_slo.check",
    about="{site}",
    body=MttrSloBody,
    result=MttrSloCheck,
    permission="subscription:write",
    http=POST(f"{_PATH}/check/run", query=("force_notify",)),
    errors=(Conflict,),
    summary="Check the mean time to recovery; a breach probes what fails and is told",
    job=MTTR_JOB,
)
latest_check = Query(
    "notifier.mttr_slo.latest",
    params=Nothing,
    result=MttrSloCheck,
    permission="subscription:read",
    http=GET(f"{_PATH}/check/latest"),
    errors=(NotFound,),
    summary="The newest check of the MTTR SLO, and who has been told",
)
mttr_slo_breached = Event(
    "notifier.mttr_slo.breached", data=MttrSloBreached, summary="Targets take too long to recover, or one does not"
)
