"""Verifies stored archives of any size in the background, one at a time, in bounded memory (a scratch file holds it).

Crash anywhere: nothing is kept of it but how far it was; another process, or the next one, begins it anew. Who works
holds a lock of the database's session, which it gives back, and which goes with the session.

Where this machine has no room for the file, a verification ends as unable: nothing is said of the archive.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Literal, NamedTuple

import asyncpg

from libs.common import outbox
from libs.common.bus import NATS_ERRORS
from libs.common.columns import listed, names_of
from libs.common.contracts.audit import CONTRACT
from libs.common.contracts.audit import archive_verifications as contract
from libs.common.contracts.audit.archive_verifications import ArchiveVerification, Stage, archive_verified
from libs.common.contracts.audit.archives import Archive, ArchiveMonth
from libs.common.contracts.audit.verifications import VerificationFilter, VerificationNumber
from libs.common.contracts.base import Page
from libs.common.objects import Bucket, ObjectGone
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Conflict, NotFound
from libs.common.service import Clock, Connection, Read, Table, Tx
from libs.common.telemetry import log
from libs.common.unasked import unasked
from services.audit.archives.reading import SELECT_ARCHIVE, judged
from services.audit.archives.scratch import NoScratch, fetched, local

LOOK_EVERY_S, TOLD_EVERY_S = 5.0, 0.5
MOST_FAILURES = 3  # in a row: what is stored can't be read, now or later

_COLUMNS = listed(names_of(ArchiveVerification))
LOCK_NUMBERS = "SELECT pg_advisory_xact_lock(hashtext('audit archive verification'))"
SELECT_RUNNING = "SELECT number, month FROM archive_verification WHERE status = 'running'"
INSERT_ONE = f"""
INSERT INTO archive_verification (number, month, sha256, stage_total, started_by, started_at, updated_at)
SELECT coalesce((SELECT number FROM archive_verification ORDER BY number DESC LIMIT 1), 0) + 1, $1, $2, $3, $4, $5, $5
RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own
SELECT_PAGE = f"""
SELECT {_COLUMNS} FROM archive_verification WHERE number < $1 ORDER BY number DESC LIMIT $2
"""  # noqa: S608 - names of our own
SELECT_ONE = f"SELECT {_COLUMNS} FROM archive_verification WHERE number = $1"  # noqa: S608 - names of our own
TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext('audit archive verification at work'))"
UNLOCK = "SELECT pg_advisory_unlock(hashtext('audit archive verification at work'))"
SAVE_PLACE = """
UPDATE archive_verification SET sha256 = $2, stage = $3, stage_done = $4, stage_total = $5, updated_at = $6
WHERE number = $1
"""
SAVE_END = """
UPDATE archive_verification SET status = $2, problem = $3, file_count = $4, entry_count = $5, updated_at = $6,
    finished_at = $6
WHERE number = $1
"""


async def start(tx: Tx, body: ArchiveMonth) -> ArchiveVerification:
    """Begin one. Raises `NotFound` where there is no archive, `Conflict` while another runs."""
    await tx.connection.execute(LOCK_NUMBERS)
    if (running := await tx.connection.fetchrow(SELECT_RUNNING)) is not None:
        number, month = running
        raise Conflict(
            f"Verification {number} of the archive of {month} is running; "
            f"GET /api/audit/archive-verifications/{number} says how far it is."
        )
    row = await tx.connection.fetchrow(SELECT_ARCHIVE, body.month)
    if row is None:
        raise NotFound(f"{body.month} has no archive; `headgate audit archive make {body.month}` makes it.")
    return _view(
        await tx.connection.fetchrow(INSERT_ONE, body.month, row["sha256"], row["size_bytes"], tx.actor, tx.now)
    )


def _view(row: Any) -> ArchiveVerification:
    return ArchiveVerification(**row)


async def list_verifications(read: Read, wanted: VerificationFilter) -> Page[ArchiveVerification]:
    """A page, newest first."""
    rows = await read.pool.fetch(SELECT_PAGE, wanted.cursor or 2**62 + 1, wanted.limit + 1)
    shown = [_view(row) for row in rows[: wanted.limit]]
    more = len(rows) > wanted.limit
    return Page[ArchiveVerification](items=shown, next_cursor=str(shown[-1].number) if more else None)


async def get_verification(read: Read, wanted: VerificationNumber) -> ArchiveVerification:
    """One of them. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_ONE, wanted.number)
    if row is None:
        raise NotFound(f"There is no verification {wanted.number}; GET /api/audit/archive-verifications lists them.")
    return _view(row)


class Stopping(Exception):
    """The process ends: the verification stays as it is, and begins anew elsewhere."""


class _Seen(NamedTuple):
    """What came of one: ``problem`` says what does not hold, or what kept it from being checked."""

    status: Literal["valid", "broken", "unable"]
    problem: str | None
    file_count: int = 0
    entry_count: int = 0


class _Place(NamedTuple):
    """How far it is."""

    stage: Stage
    done: int
    total: int


class Checking:
    """The worker. It does nothing while no verification is open."""

    def __init__(self, bucket: Bucket, pool: asyncpg.Pool, clock: Clock, nudge: Callable[[], None]) -> None:
        self._bucket, self._pool, self._clock, self._nudge = bucket, pool, clock, nudge
        self._wake, self._stopping, self._failures = asyncio.Event(), False, 0
        self._place = self._saved = _Place("reading", 0, 0)

    def wake(self) -> None:
        """Something was committed, perhaps a verification."""
        self._wake.set()

    def stop(self) -> None:
        """End; what was begun begins anew."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until stopped. While a server is away the verification waits; it never counts as valid for that."""
        while not self._stopping:
            self._wake.clear()
            if not await self.turn() and not self._stopping:
                try:
                    await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
                except TimeoutError:
                    continue

    async def turn(self) -> bool:
        """Do the one that is open, to its end; whether there was one and it has ended."""
        try:
            if await self._pool.fetchval(SELECT_RUNNING) is None:
                return False
            async with self._pool.acquire() as connection:
                if not await connection.fetchval(TRY_LOCK):
                    return False  # another replica is at it
                try:
                    running = await connection.fetchrow(SELECT_RUNNING)
                    if running is None:
                        return False
                    await self._verify(connection, *running)
                finally:
                    await _unlock(connection)
        except Stopping:
            return False
        except (*UNREACHABLE, *NATS_ERRORS) as error:
            log.warning("verifying an archive waits", error=repr(error))
            return False
        self._nudge()
        return True

    async def _verify(self, connection: Connection, number: int, month: str) -> None:
        row = await connection.fetchrow(SELECT_ARCHIVE, month)
        if row is None:
            await self._end(connection, number, _Seen("broken", "Its archive is not listed any more."))
            return
        found = Archive(**row)  # an open one may have been replaced since: what is there now is looked at
        try:
            seen = await self._look(connection, number, found)
        except ObjectGone:
            seen = _Seen(
                "broken", "The file is not in the store, or is not what was stored: its SHA-256 is another one."
            )
        except NoScratch as error:
            seen = _Seen("unable", str(error))
        except Stopping:
            raise
        except (*UNREACHABLE, *NATS_ERRORS):
            raise
        except Exception as error:
            self._failures += 1
            log.exception("an archive can't be verified", month=month, failures=self._failures)
            if self._failures < MOST_FAILURES:
                raise Stopping from error
            seen = _Seen("broken", f"What is stored can't be checked: {error!r}"[:500])
        self._failures = 0
        await self._end(connection, number, seen)

    async def _look(self, connection: Connection, number: int, found: Archive) -> _Seen:
        """Read the file out of the store and check it. Raises `ObjectGone`, `NoScratch`, NATS errors, `Stopping`."""

        loop = asyncio.get_running_loop()
        told_at = loop.time()

        async def told(size: int) -> None:
            nonlocal told_at
            self._place = _Place("reading", size, found.size_bytes)
            if self._stopping:
                raise Stopping
            if loop.time() - told_at > TOLD_EVERY_S:
                told_at = loop.time()
                await self._save(connection, number, found.sha256)

        async with fetched(self._bucket, found.sha256, told) as file:
            return await self._check(connection, number, found, file)

    async def _check(self, connection: Connection, number: int, found: Archive, file: IO[bytes]) -> _Seen:
        """What came of looking at all of it; in a thread, followed from here."""
        halted = threading.Event()

        def told(stage: Stage, done: int, total: int) -> None:  # heard in the thread
            if self._stopping or halted.is_set():
                raise Stopping
            self._place = _Place(stage, done, total)

        work = asyncio.create_task(asyncio.to_thread(local, judged, file, found, told))
        try:
            while not (await asyncio.wait({work}, timeout=TOLD_EVERY_S))[0]:
                await self._save(connection, number, found.sha256)
            problem, files, entries = work.result()
            return _Seen("valid" if problem is None else "broken", problem, files, entries)
        finally:
            if not work.done():  # a server is away: the thread must end before its file does
                halted.set()
                await asyncio.gather(work, return_exceptions=True)

    async def _save(self, connection: Connection, number: int, sha256: str) -> None:
        if (place := self._place) != self._saved:
            await connection.execute(SAVE_PLACE, number, sha256, *place, self._clock())
            self._saved = place

    async def _end(self, connection: Connection, number: int, seen: _Seen) -> None:
        """Its end, and the event of it."""
        if seen.problem is not None:
            log.error("a stored archive does not hold, or can't be checked", verification=number, problem=seen.problem)
        now = self._clock()
        async with connection.transaction():
            await connection.execute(SAVE_END, number, *seen, now)
            tx = unasked(CONTRACT.service, connection, now, about="archive_verification.run")
            done = _view(await connection.fetchrow(SELECT_ONE, number))
            tx.emit(archive_verified, done, subject=str(number), site="global")
            await outbox.stage(connection, tx.staged)


async def _unlock(connection: Connection) -> None:
    """The pool resets nothing: who takes this connection next would keep the lock, and nobody would verify any more."""
    try:
        await connection.execute(UNLOCK)
    except BaseException as error:
        connection.terminate()  # the lock goes with the session
        if not isinstance(error, UNREACHABLE):
            raise


def table(bucket: Bucket) -> Table:
    """What this module answers."""
    return Table(
        commands={contract.start_archive_verification: start},
        queries={
            contract.list_archive_verifications: list_verifications,
            contract.get_archive_verification: get_verification,
        },
        workers=(partial(Checking, bucket),),
        buckets=(bucket,),
    )
