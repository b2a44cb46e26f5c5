"""Refuses to append to a database that does not hold what was signed: a restored copy would fork the log. Where nobody
can tell any more what was signed, it refuses as well.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import Gauge

from libs.common.service import Connection
from libs.common.telemetry import log
from libs.tlog.notes import Checkpoint, NoteProblem, read_note
from services.audit import tree
from services.audit.domain.chain import Link
from services.audit.outside import Kept, Outside
from services.audit.tree import Head

SELECT_HASH = "SELECT hash FROM entry WHERE seq = $1"
SELECT_SIGNED = "SELECT size, root, note FROM checkpoint ORDER BY rollover DESC, size DESC LIMIT 1"
SELECT_ACCEPTED = "SELECT EXISTS (SELECT FROM rollover WHERE lost_size = $1 AND lost_root = $2)"

FORKED = Gauge(
    "headgate_audit_forked", "1 while the audit log refuses to append: what was signed is not there, or not known"
)


class LogForked(ConnectionError):
    """The database does not hold what was signed, or it can't be told. A `ConnectionError`: events wait, none counts as
    failed.
    """


class StillFilling(ConnectionError):
    """Whether the log was forked is known once all entries are in the tree; events wait so long."""


class Guard:
    """One process's knowledge of where the log stands. Compares at the first append, and whenever it is surprised."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._last: Link | None = None  # where the log must stand: what was compared, or our last append

    def expect(self, link: Link) -> None:
        """Where the log stands if the transaction in hand commits; if it does not, the next append compares anew."""
        self._last = link

    async def admit(self, connection: Connection, head: Head) -> None:
        """Return if it may be appended behind this head, which is locked. Raises `LogForked`, or NATS errors."""
        at = head.link
        if self._outside.alarmed or (at != self._last and not await self._went_on(connection, at)):
            await self.compare(connection, head)
            self._last = at

    async def _went_on(self, connection: Connection, at: Link) -> bool:
        """Whether another writer has appended behind what we know."""
        last = self._last
        return (
            last is not None and at.seq > last.seq > 0 and await connection.fetchval(SELECT_HASH, last.seq) == last.hash
        )

    async def compare(self, connection: Any, head: Head) -> None:
        """Raise `LogForked` unless the tree begins with what was signed last, or its loss was accepted."""
        await require_held(connection, head, self._outside)


async def require_held(connection: Any, head: Head, outside: Outside) -> Kept:
    """What is kept outside. Raises `LogForked` if `look` finds a problem, and says so loudly; or `StillFilling`."""
    kept, problem = await look(connection, head, outside)
    outside.alarmed = problem is not None
    if problem is not None:
        FORKED.set(1)
        log.error("the audit log refuses to append", problem=problem)
        raise LogForked(problem)
    FORKED.set(0)
    return kept


async def look(connection: Any, head: Head, outside: Outside) -> tuple[Kept, str | None]:
    """What is kept outside the database, and what is wrong with the database beside it. Raises as `problem_of` does."""
    kept = await outside.read()
    problem = await problem_of(connection, head, kept.note)
    if problem is not None and not kept.note:  # the very first checkpoint may have been signed between the two
        kept = await outside.read()
        problem = await problem_of(connection, head, kept.note)
    return kept, problem


async def problem_of(connection: Any, head: Head, note: str) -> str | None:
    """What is wrong with the database beside the last checkpoint, as a sentence for the operator; None: nothing.

    No note is right as long as nothing was signed. Raises `StillFilling` while it can't be told.
    """
    if not note:
        return await _disarmed(connection)
    try:
        signed = Checkpoint.read(read_note(note).text)
    except NoteProblem as error:
        return f"The checkpoint kept in NATS can't be read ({error}). Restore that bucket, or remove its value by hand."
    if await connection.fetchval(SELECT_ACCEPTED, signed.size, signed.root):
        return None
    if head.seq < signed.size:
        found = f"the database ends at entry {head.seq}"
    elif head.tree_size < signed.size:
        raise StillFilling(f"{signed.size - head.tree_size} entries are not in the tree yet")
    elif await tree.root_at(connection, signed.size) == signed.root:
        return None
    else:
        found = f"the first {signed.size} entries in the database are others"
    return (
        f"Entries up to {signed.size} were signed, but {found}: an older copy was restored, or entries were changed. "
        "Nothing is appended, and new events wait on the bus. Restore the newest copy of the database; if there is no "
        f"newer one, accept the loss: headgate audit accept-loss --lost-size {signed.size} --reason '…'."
    )


async def _disarmed(connection: Any) -> str | None:
    """What it means that nothing is kept outside: all is new, or somebody emptied the place, or its server was lost."""
    signed = await connection.fetchrow(SELECT_SIGNED)
    if signed is None or await connection.fetchval(SELECT_ACCEPTED, signed["size"], signed["root"]):
        return None
    return (
        f"{signed['size']} entries were signed, but NATS does not hold the last checkpoint any more: its place was "
        "emptied or lost, so whether an older copy of the database was restored can't be told. Nothing is appended, "
        "and new events wait on the bus. Put back the newest checkpoint that anybody keeps, such as a mirror or a "
        "witness; if there is none, let the log go on under another name: "
        f"headgate audit accept-loss --lost-size {signed['size']} --reason '…'."
    )
