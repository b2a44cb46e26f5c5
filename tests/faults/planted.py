"""Runs a service with one bug planted in it: ``python -m tests.faults.planted BUG SERVICE``.

The checker must find each (I7): a checker that is blind makes every fault test green.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from libs.common import inbox, loop, outcomes
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.tracker.items import patch_item
from libs.common.dispatch import Applied, Dispatcher
from libs.common.problems import NotFound
from libs.common.service import Connection, Delivered, Refused, Staged, Tx
from services.audit import log as audit_log
from services.tracker import service as tracker_service

IN_HAND_PATH = "HEADGATE_PLANTED_IN_HAND_PATH"  # a file that stands while messages can be lost
ADMIN_URL = "HEADGATE_PLANTED_DATABASE_URL"  # for the bug that does what the audit's own login can't
NOTE_ANYWAY = "UPDATE tracker.item SET completion_note = $1 WHERE id = (SELECT min(id) FROM tracker.item)"
CUT = "DELETE FROM audit.entry WHERE seq > (SELECT max(seq) - 40 FROM audit.entry)"
HEAD_BACK = "UPDATE audit.head SET (seq, hash) = (SELECT seq, hash FROM audit.entry ORDER BY seq DESC LIMIT 1)"


def ack_before_commit() -> None:
    """What is in hand at a kill -9 is gone from the stream, and from nowhere else.

    A file stands while that is so: on a busy machine three kills at a venture can all miss those moments.
    """
    right = loop.Consumer._transaction
    in_hand = Path(os.environ[IN_HAND_PATH])

    def mark(stands: bool) -> None:
        in_hand.touch() if stands else in_hand.unlink(missing_ok=True)

    async def wrong(self: loop.Consumer, messages: list[loop.Message]) -> None:
        for message in messages:
            await self.puller.ack(message.delivery)
        await asyncio.sleep(0.05)  # the acknowledgements leave the process
        mark(True)
        await asyncio.sleep(0.25)  # whoever waits for the file has this long
        mark(False)
        await right(self, messages)

    loop.Consumer._transaction = wrong  # type: ignore[method-assign]


def inbox_skipped() -> None:
    """Every message looks new."""

    async def wrong(connection: Connection, consumer: str, ids: Sequence[Any], digests: Sequence[str]) -> set[Any]:
        return set(ids)

    inbox.claim = wrong


def outbox_row_lost() -> None:
    """Every tenth row is not written."""
    right, count = outcomes.store, itertools.count(1)

    async def wrong(
        connection: Connection, ended: Sequence[outcomes.Ended], now: Any, staged: Sequence[Staged] = (), *more: Any
    ) -> None:
        await right(connection, ended, now, [row for row in staged if next(count) % 10], *more)

    outcomes.store = wrong  # type: ignore[assignment]  # whatever else is handed on


def sequence_reused() -> None:
    """A batch begins with the number of the last entry, once there are some."""
    module: Any = audit_log  # which imports the function and does not export it
    right = module.extend

    def wrong(start: Any, payloads: Sequence[bytes], now: Any) -> Any:
        return right(start._replace(seq=start.seq - 1) if start.seq > 20 else start, payloads, now)

    module.extend = wrong


def applied_twice() -> None:
    """Each gate run is done twice in its transaction."""
    right = Dispatcher.command

    async def wrong(self: Dispatcher, connection: Connection, message: CloudEvent, now: Any, into: Applied) -> None:
        await right(self, connection, message, now, into)
        if message.name == "governance.gate.run":
            twice = Applied()
            await right(self, connection, message, now, twice)
            into.staged += twice.staged

    Dispatcher.command = wrong  # type: ignore[method-assign]


def refused_applied() -> None:
    """A PATCH that is refused changes an item all the same."""
    commands: Any = tracker_service.SERVICE.commands
    right = commands[patch_item]

    async def wrong(tx: Tx, body: Any) -> Any:
        try:
            return await right(tx, body)
        except NotFound:
            connection = await asyncpg.connect(os.environ["HEADGATE_DATABASE_URL"])
            await connection.execute(NOTE_ANYWAY, body.completion_note)
            await connection.close()
            raise

    commands[patch_item] = wrong


def kept_forgotten() -> None:
    """What a handler refuses and yet keeps is rolled back like any other refusal."""
    right = Dispatcher._ended

    def wrong(declared: Any, message: CloudEvent, result: Any) -> Any:
        if isinstance(result, Refused):
            raise result.refusal
        return right(declared, message, result)

    Dispatcher._ended = staticmethod(wrong)  # type: ignore[method-assign]


def tail_cut() -> None:
    """The last entries vanish and the head is set back, so that the chain fits again."""
    right, count = audit_log.append, itertools.count(1)

    async def wrong(connection: Connection, messages: Sequence[Delivered], now: Any, **_guard: Any) -> Sequence[Staged]:
        if next(count) % 8 == 0:
            admin = await asyncpg.connect(os.environ[ADMIN_URL])
            async with admin.transaction():
                await admin.execute(CUT)
                await admin.execute(HEAD_BACK)
            await admin.close()
        return await right(connection, messages, now)  # without the guard, which would see it

    audit_log.append = wrong  # type: ignore[assignment]  # the service's table is made later, and names it then


def duplicate_outcome() -> None:
    """Outcomes are stored twice."""
    right = outcomes.store
    plain = outcomes.INSERT.partition("ON CONFLICT")[0]
    outcomes.INSERT_BOTH = outcomes.INSERT_BOTH.replace(outcomes.INSERT, plain)
    outcomes.INSERT = plain

    async def wrong(
        connection: Connection, ended: Sequence[outcomes.Ended], now: Any, staged: Sequence[Staged] = (), *more: Any
    ) -> None:
        await right(connection, [*ended, *ended], now, staged, *more)

    outcomes.store = wrong  # type: ignore[assignment]  # whatever else is handed on


def wrong_site() -> None:
    """Every seventh signal goes to another site."""
    right, count = Dispatcher.command, itertools.count(1)

    async def wrong(self: Dispatcher, connection: Connection, message: CloudEvent, now: Any, into: Applied) -> None:
        if message.name == "governance.signal.record" and next(count) % 7 == 0:
            message.site = "elsewhere"
        await right(self, connection, message, now, into)

    Dispatcher.command = wrong  # type: ignore[method-assign]


def poison_swallowed() -> None:
    """What can't be applied is taken off the stream and kept nowhere."""

    async def wrong(self: loop.Consumer, *_: object) -> None:
        await asyncio.sleep(0)

    consumer: Any = loop.Consumer
    consumer._bury = wrong


@dataclass(frozen=True)
class Bug:
    """A bug: in which service, what shows it, which invariant it breaks, and what of the database it needs away."""

    plant: Callable[[], None]
    service: str
    shown_by: str
    breaks: str
    without: str = ""


BUGS: dict[str, Bug] = {
    "ack before commit": Bug(ack_before_commit, "governance", "kill", "is there 0 times"),
    "inbox skipped": Bug(inbox_skipped, "governance", "replay", "is there 2 times"),
    "outbox row lost": Bug(outbox_row_lost, "governance", "", "1 effects, 0 audit entries"),
    "sequence reused": Bug(
        sequence_reused, "audit", "", "I3 entry", "ALTER TABLE audit.entry DROP CONSTRAINT entry_pkey CASCADE"
    ),
    "handler applied twice": Bug(applied_twice, "governance", "", "is there 2 times"),
    "refused command applied": Bug(refused_applied, "tracker", "", "was refused but is there 1 times"),
    "kept refusal forgotten": Bug(kept_forgotten, "governance", "", "was refused but is there 0 times"),
    "tail cut": Bug(tail_cut, "audit", "", "handed out is not in the log"),
    "duplicate outcome": Bug(
        duplicate_outcome, "governance", "", "has 2 outcomes",
        "ALTER TABLE governance.outcomes DROP CONSTRAINT outcomes_pkey",
    ),
    "wrong site": Bug(wrong_site, "governance", "", "is in the site elsewhere"),
    "swallowed poison": Bug(poison_swallowed, "governance", "poison", "is not among the dead letters"),
}  # fmt: skip


if __name__ == "__main__":
    BUGS[sys.argv[1]].plant()
    runpy.run_module(f"services.{sys.argv[2]}", run_name="__main__")
