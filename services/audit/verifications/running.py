"""The worker that verifies: a piece in a transaction, whose end is stored with it.

Crash anywhere: the piece in hand is lost and made again; what was stored is never taken back (a trigger sees to it).
Several replicas take turns: who holds the row does a piece, the others skip it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import asyncpg

from libs.common import outbox
from libs.common.bus import NATS_ERRORS
from libs.common.contracts.audit import CONTRACT
from libs.common.contracts.audit.verifications import verification_finished
from libs.common.postgres import LOST_RACES, UNREACHABLE
from libs.common.service import Clock, Connection, Staged, Table
from libs.common.telemetry import log
from libs.common.unasked import unasked
from libs.tlog.notes import Signer
from libs.tlog.tiles import Growth
from services.audit.covers import StillOnItsWay
from services.audit.domain.chain import Link
from services.audit.outside import Outside
from services.audit.signed import own_keys
from services.audit.verifications.asking import SELECT_ONE, SELECT_RUNNING, view
from services.audit.verifications.pieces import Piece, verify_end, verify_piece

PIECE_ROWS = 10_000
PIECE_S = 3.0  # entries can be large: a piece ends then, too, so that it is seen how far it is
LOOK_EVERY_S, REST_S = 5.0, 0.25
MOST_FAILURES = 3  # of one piece in a row: what is stored can't be read, now or later

TAKE = """
SELECT number, total, checked, last_hash, edges, checkpoint_count FROM verification
WHERE status = 'running' FOR UPDATE SKIP LOCKED
"""
SAVE = """
UPDATE verification SET checked = $2, last_hash = $3, edges = $4, checkpoint_count = $5, status = $6,
    first_bad_seq = $7, problem = $8, updated_at = $9, finished_at = $10
WHERE number = $1
"""


class Verifying:
    """The worker. It does nothing while no verification is open."""

    def __init__(
        self, signer: Signer | None, outside: Outside, pool: asyncpg.Pool, clock: Clock, nudge: Callable[[], None]
    ) -> None:
        self._signer, self._outside = signer, outside
        self._pool, self._clock, self._nudge = pool, clock, nudge
        self._wake, self._stopping, self._failures = asyncio.Event(), False, 0

    def wake(self) -> None:
        """Something was committed, perhaps a verification."""
        self._wake.set()

    def stop(self) -> None:
        """End with what was checked so far."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until stopped. While a server is away the verification waits; it never counts as valid for that."""
        while not self._stopping:
            self._wake.clear()
            if not await self.turn():
                await self._rest()

    async def _rest(self) -> None:
        """Until something was committed, which on a busy log is all the time: hence a moment more."""
        if self._stopping:
            return
        try:
            await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
        except TimeoutError:
            return
        await asyncio.sleep(REST_S)

    async def turn(self) -> bool:
        """Do a piece; whether there is more to do."""
        staged: Sequence[Staged] = ()
        try:
            if await self._pool.fetchval(SELECT_RUNNING) is None:
                return False
            outside = (await self._outside.read()).note  # before the snapshot, which then holds all that it names
            async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
                row = await connection.fetchrow(TAKE)
                if row is None:
                    return False
                if not outside and (await self._outside.read()).note:
                    return True  # the first checkpoint was signed between the two: the snapshot may hold it
                staged = await self._piece(connection, row, outside)
                await outbox.stage(connection, staged)
        except LOST_RACES:
            return True
        except StillOnItsWay as error:
            log.info("verifying the audit log waits", reason=str(error))
            return False
        except (*UNREACHABLE, *NATS_ERRORS) as error:
            log.warning("verifying the audit log waits", error=repr(error))
            return False
        except Exception as error:
            self._failures += 1
            log.exception("a piece of the audit log can't be verified", failures=self._failures)
            if self._failures < MOST_FAILURES:
                return False
            staged = await self._give_up(error)
        self._failures = 0
        if staged:
            self._nudge()
        return not staged

    async def _give_up(self, error: Exception) -> Sequence[Staged]:
        """End it as broken: what is stored is such that it can't be checked, which nothing of ours ever is."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(TAKE)
            if row is None:
                return ()
            problem = f"what is stored behind entry {row['checked']} can't be checked: {error!r}"[:500]
            now = self._clock()
            await connection.execute(
                SAVE, row["number"], row["checked"], row["last_hash"], row["edges"], row["checkpoint_count"], "broken",
                None, problem, now, now,
            )  # fmt: skip
            staged = await _told(connection, row["number"], now)
            await outbox.stage(connection, staged)
        return staged

    async def _piece(self, connection: Connection, row: Any, outside: str) -> Sequence[Staged]:
        """A piece, stored; the event of the end, if this was it."""
        loop, keys = asyncio.get_running_loop(), await own_keys(connection, self._signer)
        until = loop.time() + PIECE_S
        start = Piece(
            Link(row["checked"], row["last_hash"]), Growth(row["checked"], list(row["edges"])), row["checkpoint_count"]
        )
        to_seq = min(row["checked"] + PIECE_ROWS, row["total"])
        piece = await verify_piece(connection, start, to_seq, keys, lambda: self._stopping or loop.time() > until)
        if piece.fault is None and piece.end.seq == row["total"]:
            piece = await verify_end(connection, piece, keys, outside)
        ended = piece.fault is not None or piece.end.seq == row["total"]
        status = "broken" if piece.fault else "valid" if ended else "running"
        checked = piece.end.seq
        if piece.first_bad_seq is not None:
            checked = max(row["checked"], min(checked, piece.first_bad_seq - 1))
        problem = piece.fault.problem if piece.fault else None
        now = self._clock()
        await connection.execute(
            SAVE, row["number"], checked, piece.end.hash, piece.grown.edges, piece.checkpoint_count, status,
            piece.first_bad_seq, problem, now, now if ended else None,
        )  # fmt: skip
        if not ended:
            return []
        if problem is not None:
            log.error("the audit log is broken", verification=row["number"], problem=problem)
        return await _told(connection, row["number"], now)


async def _told(connection: Connection, number: int, now: datetime) -> Sequence[Staged]:
    """The event of the end."""
    tx = unasked(CONTRACT.service, connection, now, about="verification.run")
    done = view(await connection.fetchrow(SELECT_ONE, number))
    tx.emit(verification_finished, done, subject=str(done.number), site="global")
    return tx.staged


def table(signer: Signer | None, outside: Outside) -> Table:
    """What this module answers: nothing; it works."""
    return Table(workers=(partial(Verifying, signer, outside),), buckets=(outside,))
