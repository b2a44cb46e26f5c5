"""Asks the witnesses to cosign the newest checkpoint, each by itself, outside of every transaction.

Crash anywhere: a cosignature that was given and not stored is asked for again; the witness has the size by then and
gives it anew.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg

from libs.common import outbox
from libs.common.bus import NATS_ERRORS
from libs.common.contracts.audit import CONTRACT
from libs.common.contracts.audit.witnesses import ForkSeen, Witnessed, WitnessState, checkpoint_witnessed, fork_seen
from libs.common.outbound import Outbound, OutboundError
from libs.common.postgres import LOST_RACES, UNREACHABLE
from libs.common.problems import NotFound
from libs.common.service import Clock, Connection, Staged, Table
from libs.common.telemetry import log
from libs.common.unasked import unasked
from libs.tlog.merkle import consistency_parts
from libs.tlog.notes import Checkpoint, NoteProblem, Verifier, read_checkpoint, read_note
from libs.tlog.witnessing import SIZE_TYPE, read_size, write_request
from services.audit import checkpoints, tree
from services.audit.checkpoints import Signed
from services.audit.guard import StillFilling, look
from services.audit.outside import Outside
from services.audit.witnesses import WitnessAt, origin_of

LOOK_EVERY_S = 1.0
ASK_EVERY = timedelta(seconds=15)  # while the log grows
ASK_AGAIN = timedelta(minutes=5)  # while it does not: that somebody still sees it has an age, too (`_is_all`)
AFTER_FAILURE = timedelta(seconds=60)
# What a witness has seen is not unseen while it is away: only that it cosigns again ends a fork.
FORGETS_NOTHING = ("unreachable", "refused")
MOST_TURNS = 3  # of one asking: 409 tells the size, and it may grow once more meanwhile

CLAIM = """
INSERT INTO witness (verifier, asked_at, since) VALUES ($1, $2, $2)
ON CONFLICT (verifier) DO UPDATE SET asked_at = EXCLUDED.asked_at
WHERE witness.asked_at IS NULL OR witness.asked_at > EXCLUDED.asked_at
   OR witness.asked_at <= EXCLUDED.asked_at - CASE
        WHEN witness.state <> 'cosigned' THEN $5::interval
        WHEN (witness.rollover, witness.size) = ($6, $7) THEN $4::interval ELSE $3::interval END
RETURNING CASE WHEN rollover = $6 THEN size ELSE 0 END AS size,
    cosigned_at IS NOT NULL AND (rollover, size) = ($6, $7) AS again
"""
LOCK_WITNESS = "SELECT state, since FROM witness WHERE verifier = $1 FOR UPDATE"
UPDATE_STATE = "UPDATE witness SET state = $2, problem = $3, since = $4 WHERE verifier = $1"
UPDATE_COSIGNED = """
UPDATE witness SET state = 'cosigned', problem = NULL, since = $2, rollover = $3, size = $4, cosigned_at = $5
WHERE verifier = $1
"""
UPSERT_COSIGNATURE = """
INSERT INTO cosignature (rollover, verifier, hour, size, root, note, line, signed_at, cosigned_at)
VALUES ($1, $2, date_trunc('hour', $8::timestamptz, 'UTC'), $3, $4, $5, $6, $7, $8)
ON CONFLICT (rollover, verifier, hour) DO UPDATE SET size = EXCLUDED.size, root = EXCLUDED.root, note = EXCLUDED.note,
    line = EXCLUDED.line, signed_at = EXCLUDED.signed_at, cosigned_at = EXCLUDED.cosigned_at
WHERE cosignature.size <= EXCLUDED.size
"""
SELECT_KEYS = "SELECT verifier FROM log_key"


@dataclass(frozen=True, slots=True)
class Said:
    """What became of asking a witness once."""

    state: WitnessState
    problem: str | None = None
    line: str = ""
    cosigned_at: datetime | None = None
    seen_size: int | None = None
    seen_note: str | None = None


class Cosigning:
    """The worker that asks. Without witnesses there is nothing to do."""

    def __init__(
        self,
        asked: Sequence[WitnessAt],
        outbound: Outbound,
        outside: Outside,
        pool: asyncpg.Pool,
        clock: Clock,
        nudge: Callable[[], None],
    ) -> None:
        self._asked, self._outbound, self._outside = asked, outbound, outside
        self._pool, self._clock, self._nudge = pool, clock, nudge
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Entries are signed a moment after they were committed: the next look sees it."""

    def stop(self) -> None:
        """Ask nobody any more."""
        self._stopping.set()

    async def run(self) -> None:
        """Until stopped. One witness that hangs holds up no other."""
        try:
            async with asyncio.TaskGroup() as group:
                for one in self._asked:
                    group.create_task(self._follow(one))
        finally:
            await self._outbound.close()

    async def _follow(self, one: WitnessAt) -> None:
        while not self._stopping.is_set():
            try:
                await self._turn(one)
            except LOST_RACES:
                continue
            except (*UNREACHABLE, *NATS_ERRORS) as error:
                log.warning("asking a witness waits", witness=one.key.name, error=repr(error))
            except (NotFound, NoteProblem, LookupError) as error:
                log.error("a witness can't be asked", witness=one.key.name, error=str(error))
            try:
                await asyncio.wait_for(self._stopping.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue

    async def _turn(self, one: WitnessAt) -> None:
        """Ask once if it is time to; the connection is not held while the witness thinks."""
        async with self._pool.acquire() as connection:
            signed = await checkpoints.newest(connection)
            if signed is None:
                return
            now = self._clock()
            claimed = await connection.fetchrow(
                CLAIM, one.key.text, now, ASK_EVERY, ASK_AGAIN, AFTER_FAILURE, signed.rollover, signed.size
            )
            if claimed is None:
                return
            stuck = claimed["again"] and not await self._is_all(connection, signed)
        said = await self._ask(one, signed, min(claimed["size"], signed.size))
        if said is None or (stuck and said.cosigned_at is not None):
            return  # seen once more, while newer entries are not signed: the log as it is now was not seen
        async with self._pool.acquire() as connection, connection.transaction():
            staged = await _store(connection, one, signed, said, self._clock())
            await outbox.stage(connection, staged)
        if staged:
            self._nudge()

    async def _is_all(self, connection: Connection, signed: Signed) -> bool:
        """Whether this checkpoint says all there is: no entry is behind it, and it is the log's that is kept outside.

        Only then its cosignature is made younger. A witness that is asked for the same size again says nothing of a log
        that is not signed any more, and that must not pass for a fresh look at it.
        """
        head = await tree.read_head(connection)
        if head.seq != signed.size or signed.rollover != await checkpoints.rollover_count(connection):
            return False
        try:
            _, problem = await look(connection, head, self._outside)
        except StillFilling:
            return False
        return problem is None

    async def _ask(self, one: WitnessAt, signed: Signed, old: int) -> Said | None:
        """What the witness says; None: another replica showed it a newer checkpoint meanwhile."""
        for _ in range(MOST_TURNS):
            async with self._pool.acquire() as connection:
                proof = await tree.hashes(connection, consistency_parts(old, signed.size))
            try:
                answer = await self._outbound.post(
                    f"{one.url}/add-checkpoint", {"Content-Type": "text/plain"}, write_request(old, proof, signed.note)
                )
            except OutboundError as error:
                return Said("unreachable", f"{one.key.name} can't be reached: {error.sentence}")
            if answer.status == 200:
                return _cosigned(one, signed, answer.head, self._clock())
            if answer.status == 422:
                return await self._contradicted(one, signed, old)
            if answer.status != 409 or answer.headers.get("content-type", "").partition(";")[0] != SIZE_TYPE:
                return _refused(one, signed, answer.status, answer.head)
            try:
                seen = read_size(answer.head)
            except ValueError as error:
                return Said("refused", f"{one.key.name}: {error}.")
            if seen > signed.size:
                return await self._ahead(one, signed, seen)
            old = seen
        return Said("refused", f"{one.key.name} names another size each time it is asked.")

    async def _ahead(self, one: WitnessAt, signed: Signed, seen: int) -> Said | None:
        """It saw more entries than we have signed as far as we know: another replica's, or of another history."""
        try:
            kept = Checkpoint.read(read_note((await self._outside.read()).note).text)
        except NoteProblem:
            kept = Checkpoint("", 0, b"")
        if kept.origin == origin_of(signed.note) and kept.size >= seen:
            return None
        note = await self._evidence(one, signed)
        said = f"{one.key.name} saw {seen} entries, this log has signed only {signed.size}"
        return _fork(said, seen, note)

    async def _contradicted(self, one: WitnessAt, signed: Signed, old: int) -> Said:
        note = await self._evidence(one, signed)
        said = f"{one.key.name} saw {old} entries that are not the first {old} of this log"
        return _fork(said, old, note)

    async def _evidence(self, one: WitnessAt, signed: Signed) -> str | None:
        """The checkpoint that the witness has, if a key of ours has signed it: it proves what was shown to others."""
        name_hash = hashlib.sha256(origin_of(signed.note).encode()).hexdigest()
        try:
            answer = await self._outbound.get(f"{one.url}/{name_hash}/checkpoint", {})
            note = answer.head.decode()
            async with self._pool.acquire() as connection:
                keys = Verifier.read_known(row["verifier"] for row in await connection.fetch(SELECT_KEYS))
            read_checkpoint(note, keys)
        except (OutboundError, UnicodeDecodeError, NoteProblem):
            return None
        return note if answer.status == 200 else None


def _fork(said: str, seen: int, note: str | None) -> Said:
    proof = "a checkpoint that our key has signed proves it" if note else "it shows no checkpoint that proves it"
    todo = "Compare with `headgate audit verify --witness`, and find out who was shown what."
    return Said(
        "forked", f"{said}: the log was set back or rewritten ({proof}). {todo}", seen_size=seen, seen_note=note
    )


def _refused(one: WitnessAt, signed: Signed, status: int, head: bytes) -> Said:
    words = " ".join(head.decode("utf-8", "replace").split())[:200]
    todo = {
        404: f" Give its operator this log's key: {signed.verifier}",
        403: f" Give its operator the key that signs now: {signed.verifier}",
    }.get(status, "")
    return Said("refused", f"{one.key.name} answered {status}: {words}.{todo}")


def _cosigned(one: WitnessAt, signed: Signed, head: bytes, now: datetime) -> Said:
    """Its line, if it is a cosignature of this checkpoint by its key; a time ahead of ours counts as now."""
    try:
        note = read_note(signed.note + head.decode())
        line, time_s = one.key.line_of(note), one.key.time_of(note)
        if note.text != read_note(signed.note).text:
            raise NoteProblem("its answer is no line of a signature")
    except (NoteProblem, UnicodeDecodeError) as error:
        return Said("refused", f"{one.key.name} answered what is no cosignature: {error}.")
    if line is None or time_s is None:
        return Said("refused", f"{one.key.name} answered without a cosignature by the key that the settings name.")
    at = now if time_s >= now.timestamp() else datetime.fromtimestamp(time_s, UTC)
    return Said("cosigned", line=line, cosigned_at=at)


async def _store(connection: Connection, one: WitnessAt, signed: Signed, said: Said, now: datetime) -> list[Staged]:
    """Keep what was said; returns the events of a state that is new."""
    was = await connection.fetchrow(LOCK_WITNESS, one.key.text)
    if was is not None and was["state"] == "forked" and said.state in FORGETS_NOTHING:
        log.warning("a witness that saw a fork says nothing now", witness=one.key.name, problem=said.problem)
        return []
    entered = was is None or was["state"] != said.state
    since = now if entered or was is None else was["since"]
    key = one.key.text
    if said.cosigned_at is None:
        await connection.execute(UPDATE_STATE, key, said.state, said.problem, since)
        if entered:
            log.error("a witness does not cosign", witness=one.key.name, state=said.state, problem=said.problem)
        return _told(one, signed, said, now) if entered and said.state == "forked" else []
    await connection.execute(UPDATE_COSIGNED, key, since, signed.rollover, signed.size, said.cosigned_at)
    await connection.execute(
        UPSERT_COSIGNATURE, signed.rollover, key, signed.size, signed.root, signed.note, said.line, signed.signed_at,
        said.cosigned_at,
    )  # fmt: skip
    return _told(one, signed, said, now) if entered else []


def _told(one: WitnessAt, signed: Signed, said: Said, now: datetime) -> list[Staged]:
    tx = unasked(CONTRACT.service, None, now, about="checkpoint.cosigned")
    if said.cosigned_at is not None:
        seen = Witnessed(
            witness=one.key.name,
            size=signed.size,
            root_hash=signed.root.hex(),
            checkpoint=signed.note + said.line,
            cosigned_at=said.cosigned_at,
        )
        tx.emit(checkpoint_witnessed, seen, subject=one.key.name)
    else:
        fork = ForkSeen(
            witness=one.key.name,
            problem=said.problem or "",
            size=signed.size,
            checkpoint=signed.note,
            seen_size=said.seen_size,
            seen_checkpoint=said.seen_note,
        )
        tx.emit(fork_seen, fork, subject=one.key.name)
    return list(tx.staged)


def table(asked: Sequence[WitnessAt], outbound: Outbound | None, outside: Outside) -> Table:
    """What this module answers: nothing; it asks, if there is anybody to ask."""
    if not asked or outbound is None:
        return Table()
    return Table(workers=(partial(Cosigning, asked, outbound, outside),))
