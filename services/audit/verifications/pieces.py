"""Recomputes a piece of the log: chain and copies, digests, tree, tiles, and what was signed of it.

All in one snapshot of the database and in bounded memory: some hundred entries at a time, and the tree's right edge.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from libs.common.service import Connection
from libs.tlog.cosignatures import WitnessKey
from libs.tlog.merkle import leaf_hash
from libs.tlog.notes import Checkpoint, NoteProblem, Verifier, read_checkpoint, read_note
from libs.tlog.tiles import ENTRIES, HEIGHT, WIDTH, Growth, Tile, split
from services.audit import tree
from services.audit.covers import Covers
from services.audit.domain.chain import GENESIS, Fault, Link, Row, Walk, check, check_end, check_link
from services.audit.guard import SELECT_HASH, problem_of
from services.audit.signed import noted_keys
from services.audit.verify import SELECT_ERASED, SELECT_HEAD, SELECT_LAST, SELECT_PAYLOAD, SELECT_ROWS

CHUNK_ROWS = 256  # some 10 ms of work between two turns of the event loop

# Shown as removed, with its body there.
SELECT_NOT_ERASED = """
SELECT seq FROM erasure JOIN entry USING (seq) WHERE seq > $1 AND seq <= $2 AND payload IS NOT NULL ORDER BY seq LIMIT 1
"""
# All that was signed of trees of these sizes, as far as it was not lost and accepted as lost.
SELECT_SIGNED = """
SELECT DISTINCT size, root, note FROM generate_series(0, (SELECT count(*) FROM rollover)) AS times (rollover)
CROSS JOIN LATERAL (
    SELECT size, root, note FROM checkpoint WHERE checkpoint.rollover = times.rollover AND size > $1 AND size <= $2
    UNION ALL
    SELECT size, root, note FROM cosignature WHERE cosignature.rollover = times.rollover AND size > $1 AND size <= $2
) AS kept
WHERE size <= ALL (SELECT kept_size FROM rollover WHERE number > times.rollover)
ORDER BY size
"""
LARGEST = 2**62

SELECT_COSIGNED = """
SELECT size, verifier, note, line FROM cosignature WHERE size > $1 AND size <= $2 ORDER BY size, verifier
"""

_PAYLOAD = 4  # its place in SELECT_ROWS
_sha256 = hashlib.sha256


class Signed(NamedTuple):
    """What the database says that was signed."""

    size: int
    root: bytes
    note: str


@dataclass(slots=True)
class Piece:
    """Where a verification stands behind a piece: the chain's end, the tree, and what did not fit, if anything."""

    end: Link
    grown: Growth
    checkpoint_count: int = 0
    fault: Fault | None = None
    blamed: bool = True

    @property
    def first_bad_seq(self) -> int | None:
        """The entry that is to blame, if one is."""
        return self.fault.seq if self.fault and self.blamed else None

    def fail(self, fault: Fault, *, blamed: bool = True) -> Piece:
        """The same, with what does not fit."""
        self.fault, self.blamed = fault, blamed
        return self


async def verify_piece(
    connection: Connection, start: Piece, to_seq: int, keys: Sequence[Verifier], stop: Callable[[], bool]
) -> Piece:
    """Check entries behind ``start`` up to ``to_seq``, or fewer when ``stop`` says so; in a repeatable-read snapshot.

    ``keys`` are believed beside those that the log has noted. Raises `StillOnItsWay`.
    """
    begun = start.end.seq
    if await connection.fetchrow(SELECT_HEAD) is None:
        return start.fail(Fault(begun + 1, "the row that says where the log ends is gone"), blamed=False)
    if begun and await connection.fetchval(SELECT_HASH, begun) != start.end.hash:
        return start.fail(Fault(begun, f"entry {begun} is another one than was verified before, or is missing"))
    noted, altered = await noted_keys(connection, begun + 1)
    if altered is not None:
        return start.fail(altered, blamed=False)
    known = {*noted, *keys}
    signed = [Signed(*row) for row in await connection.fetch(SELECT_SIGNED, begun or -1, to_seq)]
    found = Piece(start.end, start.grown, start.checkpoint_count)
    wrong = await _walk(connection, found, to_seq, signed, sorted(known, key=lambda one: one.text), stop)
    # What is wrong in the tree lies before what ended the walk.
    if (fault := await _tile_fault(connection, found.grown)) is not None:
        return found.fail(fault[0], blamed=fault[1])
    if wrong is not None:
        return found.fail(wrong[0], blamed=wrong[1])
    if (forged := await _cosigned_fault(connection, begun or -1, found.end.seq)) is not None:
        return found.fail(forged, blamed=False)
    if (seq := await connection.fetchval(SELECT_NOT_ERASED, begun, found.end.seq)) is not None:
        return found.fail(Fault(seq, f"entry {seq} has its body, though it is noted as removed"))
    return found


async def _walk(
    connection: Connection,
    found: Piece,
    to_seq: int,
    signed: list[Signed],
    keys: Sequence[Verifier],
    stop: Callable[[], bool],
) -> tuple[Fault, bool] | None:
    """Chain and digests, chunk by chunk; what ended it, and whether an entry is to blame."""
    good, covers = found.grown.size, Covers(connection)
    cursor = await connection.cursor(SELECT_ROWS, found.end.seq + 1, to_seq)
    rows = await cursor.fetch(CHUNK_ROWS)
    while rows:
        ahead = (
            asyncio.create_task(cursor.fetch(CHUNK_ROWS)) if all(row[_PAYLOAD] is not None for row in rows) else None
        )
        await asyncio.sleep(0)  # Postgres reads the next chunk while this one is hashed
        walk, digests = (
            _check_plain(rows, found.end) if ahead else await _check_others(connection, covers, rows, found.end)
        )
        following = await (ahead or cursor.fetch(CHUNK_ROWS))
        found.end = walk.end
        for point in _due(signed, found.grown.size, walk.end.seq):
            cut = point.size - found.grown.size
            found.grown.add(digests[:cut])
            digests = digests[cut:]
            if (wrong := _signed_fault(point, found.grown, keys, good)) is not None:
                return wrong
            found.checkpoint_count += 1
            good = point.size
        found.grown.add(digests)
        if walk.fault is not None:
            return walk.fault, True
        if stop():
            return None
        rows = following
    if found.end.seq < to_seq:
        return Fault(found.end.seq + 1, f"entry {found.end.seq + 1} is missing"), True
    return None


def _due(signed: list[Signed], size: int, end: int) -> list[Signed]:
    """What was signed of trees from ``size`` to ``end``; it is taken off the list."""
    count = next((at for at, one in enumerate(signed) if one.size > end), len(signed))
    due = [one for one in signed[:count] if one.size >= size]
    del signed[:count]
    return due


def _check_plain(rows: Sequence[Any], start: Link) -> tuple[Walk, list[bytes]]:
    """Entries whose payloads are all at hand: how the chain goes on, and the digests of those that fit."""
    walk = check(rows, start, orjson.loads)
    return walk, [
        tree.digest_of(row, len(row[_PAYLOAD]), _sha256(row[_PAYLOAD]).digest()) for row in rows[: walk.checked_count]
    ]


async def _check_others(
    connection: Connection, covers: Covers, rows: Sequence[Any], start: Link
) -> tuple[Walk, list[bytes]]:
    """The same entry by entry: large payloads are fetched one at a time, of removed ones size and hash were kept.

    What is shown of an entry without its body can't be read out of that again; its digest must be the tree's, and a
    later entry must say that the body has gone. Raises `StillOnItsWay`.
    """
    walk = Walk(start, 0)
    digests: list[bytes] = []
    erased = {row["seq"]: row for row in await connection.fetch(SELECT_ERASED, rows[0][0], rows[-1][0])}
    for row in rows:
        fields, seq = list(row), row[0]
        if fields[_PAYLOAD] is None:
            fields[_PAYLOAD] = await connection.fetchval(SELECT_PAYLOAD, seq)
        if (payload := fields[_PAYLOAD]) is not None:
            size, content = len(payload), _sha256(payload).digest()
            step = check((fields,), walk.end, orjson.loads)
        elif seq in erased:
            size, content = erased[seq]["payload_bytes"], erased[seq]["payload_sha256"]
            step = check_link(Row(*fields), content, walk.end)
            if step.fault is None and (fault := await covers.fault(fields, erased[seq]["erased_at"])) is not None:
                step = Walk(walk.end, 0, fault)
        else:
            fault = Fault(seq, f"entry {seq} has no body, and nothing says that it was removed")
            return Walk(walk.end, walk.checked_count, fault), digests
        walk = Walk(step.end, walk.checked_count + step.checked_count, step.fault)
        if walk.fault is not None:
            break
        digests.append(tree.digest_of(fields, size, content))
    return walk, digests


async def _cosigned_fault(connection: Connection, after_size: int, to_size: int) -> Fault | None:
    """Whether each line of a witness is its cosignature of the checkpoint that it is kept with."""
    for row in await connection.fetch(SELECT_COSIGNED, after_size, to_size):
        try:
            key = WitnessKey.read(row["verifier"])
            if key.line_of(read_note(row["note"] + row["line"])) == row["line"]:
                continue
            said = "it is none of that witness"
        except NoteProblem as error:
            said = str(error)
        name = row["verifier"].partition("+")[0][:100]
        return Fault(row["size"], f"the cosignature of {name} of {row['size']} entries was changed: {said}")
    return None


def _signed_fault(point: Signed, grown: Growth, keys: Sequence[Verifier], good: int) -> tuple[Fault, bool] | None:
    """Whether a checkpoint is one that a key of the log has signed, and is of this very tree."""
    try:
        said = read_checkpoint(point.note, keys)
    except NoteProblem as error:
        return Fault(point.size, f"the checkpoint over {point.size} entries was changed: {error}"), False
    if (said.size, said.root) != (point.size, point.root):
        return Fault(point.size, f"the checkpoint over {point.size} entries was changed: its note says others"), False
    if said.root != grown.root():
        span = f"entries {good + 1} to {point.size}" if good + 1 < point.size else f"entry {point.size}"
        return Fault(good + 1, f"{span}: others were signed than are in the log, which was rewritten"), True
    return None


async def _tile_fault(connection: Connection, grown: Growth) -> tuple[Fault, bool] | None:
    """The first entry that is not the one in the tree, else the first tile that is not what the entries give."""
    mine = {(level, number): content for level, number, content in grown.finished}
    for place, edge in enumerate(grown.edges):
        if edge:
            level = place + ENTRIES
            mine[level, (grown.size >> (HEIGHT * max(level, 0))) // WIDTH] = edge
    grown.finished.clear()
    if not mine:
        return None
    rows = await connection.fetch(tree.SELECT_TILES, [level for level, _ in mine], [number for _, number in mine])
    held = {(row["level"], row["number"]): row["content"] or b"" for row in rows}
    wrong = sorted(place for place, content in mine.items() if held.get(place, b"")[: len(content)] != content)
    for level, number in wrong:
        if level == ENTRIES and (0, number) in wrong:
            stored = split(held.get((level, number), b"")), split(held.get((0, number), b""))
            for at, digest in enumerate(split(mine[level, number])):
                if digest not in stored[0][at : at + 1] and leaf_hash(digest) not in stored[1][at : at + 1]:
                    seq = number * WIDTH + at + 1
                    said = f"entry {seq} is another one than was signed: its digest is not that of the tree"
                    return Fault(seq, said), True
    if not wrong:
        return None
    level, number = wrong[0]
    stored_hashes = split(held.get((level, number), b""))
    at = next(n for n, one in enumerate(split(mine[level, number])) if one not in stored_hashes[n : n + 1])
    said = f"{Tile(level, number).path} was altered: its hash {at} is not what the entries give"
    return Fault((number * WIDTH + at) * WIDTH ** max(level, 0) + 1, said), False


async def verify_end(connection: Connection, piece: Piece, keys: Sequence[Verifier], outside: str) -> Piece:
    """When all entries are checked: does the log end where its head says, and is all there that was signed?

    ``outside`` is the note that is kept outside the database; it must have been read before the snapshot was taken.
    """
    head, last = _link(await connection.fetchrow(SELECT_HEAD)), _link(await connection.fetchrow(SELECT_LAST))
    if (fault := check_end(last, head)) is not None:
        return piece.fail(fault)
    noted, altered = await noted_keys(connection, piece.end.seq)
    if altered is not None:
        return piece.fail(altered, blamed=False)
    known = [*noted, *keys]
    for row in await connection.fetch(SELECT_SIGNED, head.seq, LARGEST):
        try:
            size = read_checkpoint(row["note"], known).size
        except NoteProblem as error:
            said = f"the checkpoint over {row['size']} entries was changed: {error}"
            return piece.fail(Fault(row["size"], said), blamed=False)
        return piece.fail(_cut(size, head.seq))
    if outside:
        try:
            kept = read_checkpoint(outside, known)
        except NoteProblem as error:
            return piece.fail(Fault(0, f"the checkpoint that is kept in NATS was changed: {error}"), blamed=False)
        if problem := await problem_of(connection, await tree.read_head(connection), outside):
            return piece.fail(_cut(kept.size, head.seq) if kept.size > head.seq else _rewritten(kept, problem))
        piece.checkpoint_count += 1
    elif problem := await problem_of(connection, await tree.read_head(connection), outside):
        return piece.fail(Fault(head.seq, problem), blamed=False)
    return piece


def _link(row: Any) -> Link:
    """An empty log, or a head row that is gone, reads as the genesis; `check_end` then finds the contradiction."""
    return Link(row["seq"], row["hash"]) if row else Link(0, GENESIS)


def _cut(size: int, end: int) -> Fault:
    return Fault(end + 1, f"entries are missing: {size} were signed, the last {size - end} of them are not there")


def _rewritten(kept: Checkpoint, problem: str) -> Fault:
    return Fault(kept.size, problem)
