"""CDEvents among the events of others: read as the kinds that rules know, or kept as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord
from libs.common.problems import Conflict, Invalid
from libs.common.service import Tx
from libs.judge.report_base import BadReport
from libs.judge.states import DEPLOYMENTS
from services.governance.domain.cdevents import PREFIX, SERVICE, Mapped, read_cdevent
from services.governance.domain.webhooks.delivery import Ignored

# What is known of one service in one environment, of each version.
SELECT_DEPLOYMENTS = """
SELECT facts.version, facts.time, signals.data->>'status' AS status FROM facts JOIN signals USING (signal_id)
WHERE facts.site = $1 AND facts.subject = $2 AND facts.kind = $3 AND facts.part = $4 AND facts.voice = ''
    AND facts.version <> ''
"""
UNDONE = frozenset({SERVICE["rolledback"], SERVICE["removed"]})


class Stored(Protocol):
    """A signal of the same request that will be stored before this one."""

    @property
    def kind(self) -> str: ...
    @property
    def part(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def data(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Read:
    """What takes the place of an event's own fields."""

    kind: str
    part: str | None
    subject: str | None
    version: str | None
    time: datetime | None
    data: Any


async def read_event(
    tx: Tx, event: OutsideEvent, defaults: SignalRecord, which: str, received: datetime, before: Sequence[Stored]
) -> Read:
    """The event as a signal: a CDEvent that rules know as their kind, anything else as it is.

    Its CloudEvents subject is a run, a service or an artifact, so ours is what ``customData.headgate``, the request
    or the artifact's purl says, in this order. Raises `Invalid` for a broken CDEvent, `Conflict` where one undoes a
    deployment that nobody told of.
    """
    own = Read(event.type, event.part, event.subject, event.version, event.time, event.data)
    if not event.type.startswith(PREFIX):
        return own
    try:
        found = read_cdevent(event.type, event.data)
        subject = found.subject or defaults.subject or found.package
        if not subject:
            raise Ignored("it names no subject; send it with ?subject=, or with customData.headgate.subject")
        part, time = event.part or found.part, min(found.time or event.time or received, received)
        known = await _deployments(tx, subject, found.kind, part, before)
        version = event.version or found.version or defaults.version or found.digest
        if found.undoes and not version:
            version = _undone(known, time, which)
        if not version:
            raise Ignored("it names no version; send it with ?version=, or with customData.headgate.version")
    except Ignored as ignored:
        return _kept(own, ignored.why)
    except BadReport as error:
        raise Invalid(f"{which}: {error.message}") from None
    data = found.data if found.undoes else _still(found, known, time)
    return Read(found.kind, part, subject, version, found.time or event.time, data)


@dataclass(frozen=True, slots=True)
class _Known:
    version: str
    time: datetime
    status: str


async def _deployments(tx: Tx, subject: str, kind: str, part: str, before: Sequence[Stored]) -> list[_Known]:
    if kind != DEPLOYMENTS:
        return []
    rows = await tx.connection.fetch(SELECT_DEPLOYMENTS, tx.site, subject, kind, part)
    beside = [one for one in before if (one.kind, one.subject, one.part) == (kind, subject, part) and one.version]
    return [
        *(_Known(row["version"], row["time"], row["status"]) for row in rows),
        *(_Known(one.version, one.time, one.data["status"]) for one in beside),
    ]


def _undone(known: Sequence[_Known], time: datetime, which: str) -> str:
    """The version that was deployed there last before ``time``."""
    there = max(
        (one for one in known if one.time <= time and one.status not in UNDONE), key=lambda one: one.time, default=None
    )
    if there is None:
        # To keep it aside would leave what it undoes in force, should that come later.
        raise Conflict(
            f"{which} says that a deployment is no more, and nobody told which version was there; send it after the "
            "deployment, or name the version in customData.headgate.version."
        )
    return there.version


def _still(found: Mapped, known: Sequence[_Known], time: datetime) -> dict[str, Any]:
    """The data; of a deployment that comes late, after the word that what was there is no more, as that says.

    Which version that was about could not be known then: to take this one for still there could be wrong.
    """
    later = [one for one in known if one.status in UNDONE and one.time > time]
    if not later:
        return dict(found.data)
    status = max(later, key=lambda one: one.time).status
    return {**found.data, "status": status, "said": f"{found.data['said']}, and {status} since"}


def _kept(event: Read, why: str) -> Read:
    """The event as it is, with the reason among its notes, where whoever sent it can read it."""
    if not isinstance(event.data, dict) or "notes" in event.data:
        return event
    data = {**event.data, "notes": [f"Not judged: {why}."]}
    return Read(event.kind, event.part, event.subject, event.version, event.time, data)
