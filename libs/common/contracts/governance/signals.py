"""Signals: what other systems say, as CloudEvents, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time
from libs.common.contracts.names import ArtifactDigest, Part, Subject, Version
from libs.common.problems import Conflict, Invalid, NotFound, TooLarge

Kind = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]
MAX_SIGNALS = 500
MAX_KEY_BYTES = 2_600  # with the site in one entry of an index, and PostgreSQL's may have 2,704 bytes


class OutsideEvent(Model):
    """A CloudEvent as another system sent it. Its id is unique with its source, and never an id of ours."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    type: Kind
    subject: Subject | None = None
    version: Version | None = None
    artifactdigest: ArtifactDigest | None = None
    part: Part | None = None
    time: Time | None = None
    data: Any = None

    @model_validator(mode="after")
    def _key_fits(self) -> OutsideEvent:
        if len(self.id.encode()) + len(self.source.encode()) > MAX_KEY_BYTES:
            raise PydanticCustomError(
                "key_too_long", "id and source may have {max} bytes together in UTF-8", {"max": MAX_KEY_BYTES}
            )
        return self


class SignalRecord(Model):
    """``subject``, ``version`` and ``artifact_digest`` count for events that don't say their own."""

    subject: Subject | None = None
    version: Version | None = None
    artifact_digest: ArtifactDigest | None = None
    signals: list[OutsideEvent] = Field(min_length=1, max_length=MAX_SIGNALS)


class SignalReceipt(Open):
    """What became of one signal. ``judged`` false: no policy knows the kind. ``valid`` false: ``problems`` say why.

    Of a tool's report: ``summary`` says in a sentence what was read, ``notes`` what was odd. ``incomplete``: it
    announces more than it holds, so the rule that reads it fails.
    """

    signal_id: int
    kind: str
    part: str
    subject: str
    version: str
    artifact_digest: str = ""
    judged: bool
    valid: bool
    duplicate: bool
    problems: list[str] = []
    summary: str = ""
    notes: list[str] = []
    incomplete: bool = False
    signer: str = Field("", description="Whose signature beside it was verified")


class SignalReceipts(Open):
    count: int
    recorded: int
    items: list[SignalReceipt]


class SignalFilter(Model):
    kind: Kind | None = Field(None, description="Only this kind, such as test.junit")
    subject: Subject | None = None
    version: Version | None = None
    judged: bool | None = Field(None, description="Only signals that a policy judges, or only others")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class Signal(Open):
    signal_id: int
    site: str
    source: str
    event_id: str
    kind: str
    part: str
    subject: str
    version: str
    artifact_digest: str = ""
    time: Time
    received_at: Time
    actor: str | None = Field(None, description="Who recorded it; null for one from before this was noted")
    signer: str | None = Field(None, description="Whose signature beside it was verified when it came")
    judged: bool
    valid: bool
    problems: list[str]
    summary: str = Field("", description="What was read of a report; only where the data are shown, too")
    notes: list[str] = Field([], description="What was odd in a report; only where the data are shown, too")
    data: Any = None


class SignalKey(Model):
    signal_id: int = Field(ge=1, le=2**63 - 1, description="The signal's number")


class SignalRecorded(Open):
    signal_id: int
    kind: str
    part: str
    subject: str
    version: str
    artifact_digest: str = ""
    source: str
    event_id: str
    time: Time
    judged: bool
    valid: bool
    problems: list[str] = []
    summary: str = ""
    incomplete: bool = False
    signer: str = ""


class SignalsRepeated(Open):
    """``signal_ids`` are those under which the repeated signals were first recorded."""

    count: int
    signal_ids: list[int]


record_signals = Command(
    "governance.signal.record",
    about="{items.0.signal_id}",
    body=SignalRecord,
    result=SignalReceipts,
    permission="signal:write",
    http=POST("/api/signals", query=("subject", "version", "artifact_digest"), status=201, reader="cloudevents"),
    errors=(Invalid, Conflict, TooLarge),
    summary="Record CloudEvents (binary, structured or batched) as signals",
)
list_signals = Query(
    "governance.signals.list",
    params=SignalFilter,
    result=Page[Signal],
    permission="signal:read",
    http=GET("/api/signals"),
    errors=(Invalid,),
    summary="List signals, newest first (without data)",
)
get_signal = Query(
    "governance.signals.get",
    params=SignalKey,
    result=Signal,
    permission="signal:read",
    http=GET("/api/signals/{signal_id}"),
    errors=(NotFound,),
    summary="Show a signal with its data",
)
signal_recorded = Event("governance.signal.recorded", data=SignalRecorded, summary="A signal was stored")
signal_repeated = Event(
    "governance.signal.repeated", data=SignalsRepeated, summary="Signals came again that were recorded before"
)
