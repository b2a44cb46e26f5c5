"""The guard: what fails is left alone for a while, held back and not lost, and tried with one delivery."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.contracts.notifier.deliveries import EventName
from libs.common.problems import Conflict, Invalid, NotFound

BASE = "/api/ops/alerts"
MAX_COUNTED = 10_000
MAX_TARGETS = 500

MAX_NUMBER = 2**63 - 1
Target = Annotated[int, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
GuardState = Literal["quarantined", "warning"]
Wanted = Literal["quarantined", "warning", "all"]
ProbeState = Literal["probing", "recovered", "failed", "skipped"]


class GuardFilter(Model):
    state: GuardState | None = Field(
        None, description="Only what is held back (quarantined), or has failed and is still sent (warning)"
    )
    target: Target | None = Field(None, description="Only of this target")
    event_type: EventName | None = Field(None, description="Only of events of this name")
    cursor: str | None = Field(None, max_length=400, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class Guarded(Open):
    """A target that fails at one type of event. What is not listed is healthy.

    ``target`` is a subscription's number, or that of a channel below zero, and ``name`` what people call it.
    ``circuit``: ``closed`` (failures are counted), ``open`` (held back), ``half_open`` (a probe is sent) or
    ``releasing`` (a probe went well; what was held back is being sent). ``quarantined_until``: when a probe is sent at
    the latest. ``suppressed_count`` counts what is held back, up to 10,000.
    """

    target: int
    name: str
    event_type: str
    state: GuardState
    circuit: Literal["closed", "open", "half_open", "releasing"]
    consecutive_failures: int
    last_failure_at: Time
    error: str
    opened_at: Time | None
    quarantined_until: Time | None
    probe_delivery_id: int | None
    suppressed_count: int


class Guard(Open):
    """``failure_threshold`` failures in a row open a circuit, for at most ``quarantine_minutes`` at a time."""

    generated_at: Time
    failure_threshold: int
    quarantine_minutes: float
    items: list[Guarded]
    next_cursor: str | None = None


class Recover(Model):
    target: Target = Field(description="Which target: a subscription's number, or a channel's below zero")
    event_type: EventName | None = Field(None, description="Only for events of this name; else for all that fail there")


class RecoverBatch(Model):
    state: Wanted = Field("quarantined", description="Which: what is held back, what has begun to fail, or both")
    max_targets: int = Field(30, ge=1, le=MAX_TARGETS, description="How many targets at the most, in their order")


class Probe(Open):
    """One real request, for one circuit. ``probing`` until it has an answer; ``recovered`` only with a 2xx.

    ``sample``: nothing was held back, so a sample is sent. ``skipped``: nothing can be sent, and ``error`` says why.
    """

    target: int
    name: str
    event_type: str
    state: ProbeState
    delivery_id: int | None
    sample: bool
    http_status: int | None = None
    error: str | None = None


class Recovery(Open):
    """Probes that somebody asked for, as they stand now. ``GET …/guard/recover/latest`` shows them again."""

    recovery_id: int
    site: str
    asked_by: str
    asked_at: Time
    target_count: int
    probing_count: int
    recovered_count: int
    failed_count: int
    skipped_count: int
    probes: list[Probe]


class RecoveryAsked(Open):
    """``targets``: those that are probed."""

    recovery_id: int
    targets: list[int]
    probe_count: int


class CircuitProbed(Open):
    """A sample for a target at which nothing was held back."""

    target: int
    event_types: list[str]
    asked_by: str


class CircuitTold(Open):
    """``failure_count``: attempts that failed one after the other. ``error``: what the last one said."""

    target: int
    name: str
    event_name: str
    failure_count: int
    error: str
    opened_at: Time | None
    probe_at: Time | None


show_guard = Query(
    "notifier.guard.show",
    params=GuardFilter,
    result=Guard,
    permission="subscription:read",
    http=GET(f"{BASE}/channels/guard"),
    errors=(Invalid, NotFound),
    summary="Show which targets fail at which events, and what is held back for them",
)
recover_target = Command(
    "notifier.guard.recover",
    about="{recovery_id}",
    kind="notifier.recovery",
    body=Recover,
    result=Recovery,
    permission="subscription:write",
    http=POST(f"{BASE}/channels/guard/recover"),
    errors=(NotFound, Conflict),
    summary="Probe a target now: the oldest delivery that is held back is sent, else a sample; a 2xx releases the rest",
)
recover_batch = Command(
    "notifier.guard.recover_batch",
    about="{recovery_id}",
    kind="notifier.recovery",
    body=RecoverBatch,
    result=Recovery,
    permission="subscription:write",
    http=POST(f"{BASE}/channels/guard/recover-batch"),
    summary="Probe many targets now",
)
latest_recovery = Query(
    "notifier.guard.latest",
    result=Recovery,
    permission="subscription:read",
    http=GET(f"{BASE}/channels/guard/recover/latest"),
    errors=(NotFound,),
    summary="Show the probes that were last asked for, and what became of them",
)
circuit_opened = Event(
    "notifier.circuit.opened", data=CircuitTold, summary="A target keeps failing: its deliveries are held back"
)
circuit_closed = Event(
    "notifier.circuit.closed", data=CircuitTold, summary="A target is well again: what was held back is sent"
)
circuit_probed = Event("notifier.circuit.probed", data=CircuitProbed, summary="A sample for a target that failed")
recovery_asked = Event("notifier.recovery.asked", data=RecoveryAsked, summary="Somebody had targets probed")
