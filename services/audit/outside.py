"""The last signed checkpoint, kept outside the database: a restored old database can't fork the log unseen."""

from __future__ import annotations

from dataclasses import dataclass

import nats.js.errors

from libs.common import buckets
from libs.common.bus import Bus

KEY = "checkpoint"
WRONG_LAST = 10071  # JetStream: another message came in between


class Overtaken(Exception):
    """Another writer has stored a checkpoint meanwhile."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept there: the note, and the revision that must still be there to replace it; none: ("", 0)."""

    note: str
    revision: int


class Outside:
    """One value in NATS that is replaced by compare-and-swap. Bound to the service's connection before use.

    ``alarmed``: it was found not to fit the database, so nothing is appended before it was compared anew.
    """

    def __init__(self) -> None:
        self._bus: Bus | None = None
        self.alarmed = False

    def bind(self, bus: Bus) -> Outside:
        """Use this connection."""
        self._bus = bus
        return self

    async def read(self) -> Kept:
        """What is kept now. Raises NATS errors."""
        bus = self._bound()
        stream, subject = buckets.register_place(bus.topology.namespace, buckets.AUDIT, KEY)
        try:
            message = await bus.js.get_msg(stream, subject=subject)
        except nats.js.errors.NotFoundError:
            return Kept("", 0)
        return Kept((message.data or b"").decode(errors="replace"), message.seq or 0)

    async def swap(self, note: str, revision: int) -> None:
        """Replace what has this revision (0: nothing is there). Raises `Overtaken`, or NATS errors; a time-out says
        nothing: read again.
        """
        bus = self._bound()
        stream, subject = buckets.register_place(bus.topology.namespace, buckets.AUDIT, KEY)
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        try:
            async with bus.storing():
                await bus.js.publish(subject, note.encode(), timeout=5, stream=stream, headers=headers)
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST:
                raise Overtaken from None
            raise

    def _bound(self) -> Bus:
        if self._bus is None:
            raise RuntimeError("the checkpoint's place is not bound to a connection")
        return self._bus
