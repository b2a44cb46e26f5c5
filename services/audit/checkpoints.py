"""Signs the tree: a checkpoint at most once a second, kept outside the database before anybody is shown it.

Crash anywhere: a checkpoint that was kept outside and is not in the table yet is put there by the next turn, of this
process or of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from libs.common import outbox
from libs.common.bus import NATS_ERRORS
from libs.common.contracts.audit import CONTRACT
from libs.common.contracts.audit.rollovers import name_after
from libs.common.contracts.audit.tree import LogKeyAdded, log_key_added
from libs.common.postgres import LOST_RACES, UNREACHABLE
from libs.common.problems import NotFound
from libs.common.service import Clock, Connection, Staged
from libs.common.telemetry import log
from libs.common.unasked import unasked
from libs.tlog.notes import Checkpoint, NoteProblem, Signer, Verifier, read_note
from services.audit import tree
from services.audit.guard import LogForked, StillFilling, require_held
from services.audit.outside import Kept, Outside, Overtaken
from services.audit.tree import Head

EVERY_S = 1.0
SELECT_ROLLOVERS = "SELECT count(*) FROM rollover"
SELECT_NEWEST = """
SELECT note, size, root, verifier, signed_at, rollover FROM checkpoint ORDER BY rollover DESC, size DESC LIMIT 1
"""
# Of each hour the last one stays.
UPSERT_CHECKPOINT = """
INSERT INTO checkpoint (rollover, hour, size, root, note, verifier, signed_at)
VALUES ($1, date_trunc('hour', $2::timestamptz, 'UTC'), $3, $4, $5, $6, $2)
ON CONFLICT (rollover, hour) DO UPDATE SET size = EXCLUDED.size, root = EXCLUDED.root, note = EXCLUDED.note,
    verifier = EXCLUDED.verifier, signed_at = EXCLUDED.signed_at
WHERE checkpoint.size <= EXCLUDED.size
"""
INSERT_KEY = """
INSERT INTO log_key (verifier, first_used_at, first_size)
SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM log_key WHERE verifier = $1) ON CONFLICT DO NOTHING RETURNING verifier
"""
SELECT_OTHER_KEYS = "SELECT verifier FROM log_key WHERE verifier <> $1 ORDER BY first_used_at, verifier"


class Signed(NamedTuple):
    """The newest checkpoint that anybody was shown."""

    note: str
    size: int
    root: bytes
    verifier: str
    signed_at: datetime
    rollover: int


async def newest(connection: Any) -> Signed | None:
    """The last checkpoint that is shown, if there is one."""
    row = await connection.fetchrow(SELECT_NEWEST)
    return None if row is None else Signed(*row)


async def rollover_count(connection: Any) -> int:
    """How often the log has gone on from an older copy of itself."""
    count: int = await connection.fetchval(SELECT_ROLLOVERS)
    return count


class Keeper:
    """The worker that takes older entries into the tree and signs it."""

    def __init__(
        self,
        signer: Signer | None,
        outside: Outside,
        pool: asyncpg.Pool,
        clock: Clock,
        nudge: Callable[[], None],
    ) -> None:
        self._signer, self._outside, self._pool, self._clock = signer, outside, pool, clock
        self._nudge = nudge
        self._wake, self._stopping = asyncio.Event(), False
        self._done: tuple[int, str] | None = None

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def stop(self) -> None:
        """Sign nothing more."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until stopped. While a server is away, or the log forked, entries wait for their checkpoint."""
        if self._signer is None:
            log.warning("the audit log is not signed: set HEADGATE_AUDIT_KEY_FILE (or HEADGATE_AUDIT_SECRET)")
        while not self._stopping:
            self._wake.clear()
            more = await self._turn()
            if more or self._stopping:
                continue
            await self._rest()

    async def _rest(self) -> None:
        """At most a checkpoint a second; at once after a quiet time."""
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self._wake.wait(), 5 * EVERY_S)
        except TimeoutError:
            return
        left = EVERY_S - (asyncio.get_running_loop().time() - began)
        if left > 0 and not self._stopping:
            await asyncio.sleep(left)

    async def _turn(self) -> bool:
        """Fill or sign; True: there is more to fill."""
        try:
            async with self._pool.acquire() as connection:
                head = await tree.read_head(connection)
                if head.tree_size < head.seq:
                    async with connection.transaction():
                        return await tree.fill(connection) > 0
                if self._signer is not None and head.whole:
                    await self._sign(connection, self._signer, head)
        except (LogForked, StillFilling):
            pass  # told by the guard
        except (*LOST_RACES, Overtaken):
            return True
        except (*UNREACHABLE, *NATS_ERRORS) as error:
            log.warning("signing the audit log waits", error=repr(error))
        except (LookupError, NotFound) as error:
            log.error("the audit log can't be signed", error=str(error))
        return False

    async def _sign(self, connection: Connection, signer: Signer, head: Head) -> None:
        rollovers = await rollover_count(connection)
        origin = name_after(signer.verifier.name, rollovers)
        if self._done == (head.seq, origin):
            return
        signer = signer.named(origin)
        point = Checkpoint(origin, head.tree_size, head.growth().root())
        now, kept = self._clock(), await require_held(connection, head, self._outside)
        # Signatures of ML-DSA-44 differ each time: what is kept already is not signed anew.
        note = kept.note if signer.has_signed(kept.note, point) else signer.sign_checkpoint(point, int(now.timestamp()))
        if kept.note != note:
            if _is_newer(kept, point):
                return  # another replica has signed more than we have read
            await self._outside.swap(note, kept.revision)
        async with connection.transaction():
            staged = await _note_keys(connection, signer, now, point.size)
            await outbox.stage(connection, staged)
            await connection.execute(
                UPSERT_CHECKPOINT, rollovers, now, point.size, point.root, note, signer.verifier.text
            )
        self._done = head.seq, origin
        if staged:
            self._nudge()


async def _note_keys(connection: Connection, signer: Signer, now: datetime, size: int) -> list[Staged]:
    """Keep which keys sign; the events of those that are others than before, so that the log itself tells of them.

    A log's first key is none, nor is the same key under the name after a rollover, which has an event of its own.
    """
    tx = unasked(CONTRACT.service, None, now, about="log_key.used")
    for verifier in signer.verifiers:
        if await connection.fetchval(INSERT_KEY, verifier.text, now, size) is None:
            continue
        known = Verifier.read_known(row["verifier"] for row in await connection.fetch(SELECT_OTHER_KEYS, verifier.text))
        if any(one.public_key == verifier.public_key for one in known):
            continue
        beside = [one.text for one in known if one.kind == verifier.kind]
        if beside:
            added = LogKeyAdded(verifier=verifier.text, algorithm=verifier.algorithm, size=size, beside=beside)
            tx.emit(log_key_added, added, subject=verifier.key_id.hex())
    return list(tx.staged)


def _is_newer(kept: Kept, point: Checkpoint) -> bool:
    try:
        found = Checkpoint.read(read_note(kept.note).text)
    except NoteProblem:
        return False
    return found.origin == point.origin and found.size > point.size
