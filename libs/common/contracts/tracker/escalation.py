"""Escalation: what is due and not done is told, level by level, to those whom a chain names."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Json, Model, Nothing, Open, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.governance.runs import CountedStatus
from libs.common.contracts.notifier.escalations import EscalationDelivery
from libs.common.contracts.tracker.items import BASE, Item, ItemKey, ItemStatus
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound

JOB = "ops_governance_remediation_escalation"
_ONE = f"{BASE}/items/{{item_id}}"


class EscalateBody(Model):
    dry_run: bool = Field(False, description="Only say what would be told")
    include_due_soon_hours: int | None = Field(
        None, ge=0, le=168, description="Items due within so many hours count too (else as the chains say: 12)"
    )
    notify: bool | None = Field(None, description="Whether anybody is told (else as the chains say)")


class Candidate(Open):
    """An item that is due soon or overdue, and how far its escalation is (level 0: not begun)."""

    id: int
    item_id: str
    gate: str
    subject: str
    line: str = ""
    rule_id: str
    rule_status: CountedStatus
    required: bool
    priority: int
    owner_role: str
    assignee: str | None
    status: ItemStatus
    due_at: Time
    minutes_until_due: int
    level: int
    acknowledged_by: str | None
    snoozed_until: Time | None


class ChannelTold(Open):
    """A channel by its name. ``success``: it took all of which the end is known; ``error`` is one that it gave."""

    target: str
    success: bool
    error: str | None
    delivered_count: int = 0
    failed_count: int = 0
    pending_count: int = 0


class Escalated(Open):
    """A run of the escalation. ``notify_*`` tell whom the notifier reached: a run ends before that is known, so the
    answer to `run` says how many outcomes follow (``notify_pending_count``), and `latest` has those that came.
    ``cause`` is the message that had it run, which its steps name as well.

    ``started_count`` and ``started_ids``: items whose escalation began. ``raised_count``: events
    `tracker.escalation.raised`; a dry run raises none and says in ``would_raise_count`` how many a real one would now.
    ``skipped_count``: levels that nobody was there for; ``waiting_count``: items whose level waits for somebody.
    ``unmatched_count``: candidates that no chain is for. ``left_over_count``: candidates that the next run takes up,
    since one run begins 500 at the most.
    """

    run_id: int
    job_name: str
    trigger: str
    status: Literal["success", "warning", "critical", "failed"]
    started_at: Time
    finished_at: Time
    enabled: bool
    due_soon_hours: int
    notify_enabled: bool
    dry_run: bool
    snapshot: Json
    candidate_count: int
    critical_count: int
    notify_attempted: bool
    notify_dispatched: bool
    notify_error: str | None
    notify_channels: list[ChannelTold]
    notify_pending_count: int = 0
    cause: UUID | None = None
    items: list[Candidate]
    started_count: int
    raised_count: int
    would_raise_count: int
    skipped_count: int
    waiting_count: int
    unmatched_count: int
    left_over_count: int
    started_ids: list[int] = []
    chains_source: str
    chains_version: int


class LateStep(Open):
    """A step that did not run when it was due; ``level`` 0: an escalation that did not begin."""

    item_id: int
    rule_id: str
    chain: str | None
    level: int
    due_at: Time
    minutes_late: int


class Unreached(Open):
    """An item of which nobody could be told, and why; no further level follows that might."""

    item_id: int
    rule_id: str
    chain: str | None
    level: int
    since: Time
    error: str


class EscalationCheck(Open):
    """``status``: critical with the first 50 steps that are late, latest first, or 50 items of which nobody was told;
    else success.

    A ``calendar_problem`` makes it a warning at least: the site's calendar can't be read as it was published. It says
    why, what to do, and what holds until then.
    """

    generated_at: Time
    status: Literal["success", "warning", "critical"]
    enabled: bool
    late_count: int
    late: list[LateStep]
    unreached_count: int = 0
    unreached: list[Unreached] = []
    calendar_problem: str | None = None


class TargetTold(Open):
    """``people`` are those that it stood for, where that is known."""

    kind: Literal["assignee", "owner_role", "role", "user", "channel"]
    name: str
    people: list[str]


class StepTaken(Open):
    """A level's turn, ``repeat`` 0 the first. Nobody was there for a level that was skipped.

    ``dispatched`` is null until the notifier has answered: at the first channel that was told (the others may be
    ``pending`` then), or when none can be any more, with an ``error``.
    """

    key: UUID
    level: int
    repeat: int
    outcome: Literal["raised", "skipped"]
    due_at: Time
    at: Time
    targets: list[TargetTold]
    dispatched: bool | None = None
    answered_at: Time | None = None
    deliveries: list[EscalationDelivery] = []
    error: str | None = None


class Escalation(Open):
    """Of an item's present episode. A chain is frozen when the escalation begins: ``chain_digest`` is of its content.

    ``reached``: somebody of the level was there, and was told as far as is known.
    ``state``: ``none`` (nothing has been told), ``running``, ``acknowledged``, ``snoozed``, ``waiting`` (nobody of its
    level is there), ``resting`` (the item is done or no candidate any more) or ``exhausted`` (its chain has ended).
    """

    item_id: int
    episode: int
    state: Literal["none", "running", "acknowledged", "snoozed", "waiting", "resting", "exhausted"]
    chain: str | None = None
    chain_digest: str | None = None
    chains_source: str | None = None
    chains_version: int | None = None
    started_at: Time | None = None
    level: int = 0
    repeat: int = 0
    reached: bool = False
    next_at: Time | None = None
    acknowledged_by: str | None = None
    acknowledged_at: Time | None = None
    snoozed_by: str | None = None
    snoozed_until: Time | None = None
    reason: str | None = None
    steps: list[StepTaken] = []


class Acknowledge(ItemKey):
    reason: Reason | None = Field(None, description="What is known or done about it")


class Snooze(ItemKey):
    until: Time = Field(description="When it goes on; 30 days from now at the latest")
    reason: Reason | None = Field(None, description="Why it may wait")


class EscalationRaised(Open):
    """Tell the targets. ``key`` is the same for the same item, episode, level and repeat: deliver it once."""

    key: UUID
    item: Item
    level: int
    levels: int
    repeat: int
    chain: str
    targets: list[TargetTold]
    why: str


class EscalationUnreached(Open):
    """The last level of an item's chain reached nobody. ``error`` says why."""

    key: UUID
    item_id: int
    episode: int
    rule_id: str
    level: int
    chain: str | None
    error: str


class EscalationChanged(Changed):
    """``by_link``: with the link of a message; who holds it speaks as who was told, or as ``link:<channel>``."""

    item_id: int
    episode: int
    reason: str | None
    until: Time | None = None
    by_link: bool = False


run_escalation = Command(
    "tracker.escalation.run",
    about="{site}",
    body=EscalateBody,
    result=Escalated,
    permission="remediation:write",
    http=POST(f"{BASE}/escalate/run", query=("dry_run", "include_due_soon_hours", "notify")),
    errors=(Conflict,),
    summary="Tell of what is due soon or overdue, as the chains say",
    job=JOB,
)
latest_escalation = Query(
    "tracker.escalation.latest",
    params=Nothing,
    result=Escalated,
    permission="remediation:read",
    http=GET(f"{BASE}/escalate/latest"),
    errors=(NotFound,),
    summary="Show the newest run of the escalation",
)
check_escalation = Query(
    "tracker.escalation.check",
    params=Nothing,
    result=EscalationCheck,
    permission="remediation:read",
    http=GET(f"{BASE}/escalate/check"),
    errors=(Conflict,),
    summary="Show steps that did not run when they were due",
)
get_escalation = Query(
    "tracker.escalation.get",
    params=ItemKey,
    result=Escalation,
    permission="remediation:read",
    http=GET(f"{_ONE}/escalation"),
    errors=(NotFound,),
    summary="Show how far an item's escalation is, and whom it told",
)
acknowledge = Command(
    "tracker.escalation.acknowledge",
    body=Acknowledge,
    result=Escalation,
    permission="remediation:write",
    http=POST(f"{_ONE}/acknowledge"),
    errors=(NotFound, Conflict),
    summary="Stop an item's escalation until it is un-acknowledged or opens again",
)
unacknowledge = Command(
    "tracker.escalation.unacknowledge",
    body=Acknowledge,
    result=Escalation,
    permission="remediation:write",
    http=POST(f"{_ONE}/unacknowledge"),
    errors=(NotFound, Conflict),
    summary="Let an acknowledged item's escalation go on",
)
snooze = Command(
    "tracker.escalation.snooze",
    body=Snooze,
    result=Escalation,
    permission="remediation:write",
    http=POST(f"{_ONE}/snooze"),
    errors=(NotFound, Conflict, Invalid),
    summary="Let an item's escalation rest until a time",
)
wake = Command(
    "tracker.escalation.wake",
    body=Acknowledge,
    result=Escalation,
    permission="remediation:write",
    http=POST(f"{_ONE}/wake"),
    errors=(NotFound, Conflict),
    summary="End an item's snooze",
)
escalation_raised = Event(
    "tracker.escalation.raised", data=EscalationRaised, summary="Somebody must be told of an item that is due"
)
escalation_unreached = Event(
    "tracker.escalation.unreached",
    data=EscalationUnreached,
    summary="Nobody could be told of an item that is due, and no further level follows",
)
escalation_acknowledged = Event(
    "tracker.escalation.acknowledged", data=EscalationChanged, summary="A person stopped an item's escalation"
)
escalation_unacknowledged = Event(
    "tracker.escalation.unacknowledged", data=EscalationChanged, summary="A person let an item's escalation go on"
)
escalation_snoozed = Event(
    "tracker.escalation.snoozed", data=EscalationChanged, summary="A person let an item's escalation rest"
)
escalation_woken = Event("tracker.escalation.woken", data=EscalationChanged, summary="A person ended a snooze")
