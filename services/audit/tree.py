"""The Merkle tree in the database: it grows in the transaction of the entries, and is read tile by tile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import orjson

from libs.common.problems import NotFound
from libs.common.service import Connection
from libs.tlog.digests import LEFT_OUT
from libs.tlog.merkle import Node, Part, hashes_of
from libs.tlog.tiles import ENTRIES, Growth, node_reader, tiles_below
from services.audit.domain.chain import Link
from services.audit.domain.content import ADDED, COPIED, VERSION, Added, Copies, derived

FILL_ROWS = 2000  # some 50 ms with the head locked, so that new entries hardly wait

# The lock makes the writer the only one: a second replica waits here and then continues behind the first.
LOCK_HEAD = "SELECT seq, hash, tree_size, edges FROM head FOR UPDATE"
SELECT_SIZE = "SELECT tree_size FROM head"
SELECT_TREE = "SELECT seq, hash, tree_size, edges FROM head"
MOVE_HEAD = "UPDATE head SET seq = $1, hash = $2, tree_size = $3, edges = $4"
INSERT_TILES = """
INSERT INTO tile (level, number, content) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
"""
# The unfinished tiles are in the head's row: one statement sees each tile in the one place or the other.
SELECT_TILES = """
SELECT wanted.level, wanted.number, head.tree_size, coalesce(
    tile.content,
    CASE WHEN wanted.number = head.tree_size >> (8 * (greatest(wanted.level, 0) + 1))
    THEN head.edges[wanted.level + 2] END
) AS content
FROM unnest($1::smallint[], $2::bigint[]) AS wanted (level, number)
CROSS JOIN head LEFT JOIN tile ON tile.level = wanted.level AND tile.number = wanted.number
"""
SELECT_UNFILLED = """
SELECT seq, recorded_at, prev_hash, hash,
       coalesce(octet_length(payload), erasure.payload_bytes) AS payload_bytes,
       coalesce(sha256(payload), erasure.payload_sha256) AS payload_sha256,
       time, event_id::text, type, source, site, actor, subject, causationid::text, correlationid::text, version,
       outcome, reason, issue, trace_id, client_address, client_agent
FROM entry LEFT JOIN erasure USING (seq) WHERE seq > $1 AND seq <= $2 ORDER BY seq
"""
HEADLESS = "the table head is empty: the log was tampered with or badly restored"
NAMES = ("seq", "recorded_at", "prev_hash", "hash", "payload_bytes", "payload_sha256", *COPIED, "version", *ADDED)
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z
_sha256 = hashlib.sha256


class Head(NamedTuple):
    """Where the log and its tree stand."""

    seq: int
    hash: bytes
    tree_size: int
    edges: Sequence[bytes]

    @property
    def link(self) -> Link:
        """The end of the chain."""
        return Link(self.seq, self.hash)

    @property
    def whole(self) -> bool:
        """Whether all entries are in the tree."""
        return self.tree_size == self.seq

    def growth(self) -> Growth:
        """The tree's right edge, to go on from."""
        return Growth(self.tree_size, list(self.edges))


async def lock_head(connection: Connection) -> Head:
    """Become the only writer until the transaction ends. Raises LookupError if the row is gone."""
    return _head(await connection.fetchrow(LOCK_HEAD))


async def read_head(connection: Connection) -> Head:
    """Where the log stands now. Raises LookupError if the row is gone."""
    return _head(await connection.fetchrow(SELECT_TREE))


def _head(row: Any) -> Head:
    if row is None:
        raise LookupError(HEADLESS)
    return Head(*row)


def digest(values: Iterable[Any]) -> bytes:
    """The digest of an entry, of its `NAMES` in order: the same as `libs.tlog.digests` makes of the listed entry.

    What is shown of an entry of version 2 and follows from its copies is covered too.
    """
    shown = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in zip(NAMES, values, strict=True)
        if value is not None and name not in LEFT_OUT
    }
    if "version" in shown:
        shown |= derived(shown["type"], shown["actor"])._asdict()
    return _sha256(orjson.dumps(shown, option=_OPTIONS)).digest()


def digest_of(fields: Sequence[Any], size: int, content: bytes) -> bytes:
    """The same of the fields of `chain.Row`; ``size`` and ``content`` (SHA-256) are those of the body."""
    seq, recorded_at, prev_hash, stored_hash, _, version, *said = fields
    copies, added = said[: len(COPIED)], said[len(COPIED) :]
    return digest((seq, recorded_at, prev_hash, stored_hash, size, content, *copies, version, *added))


def digests(
    start: Link,
    links: Sequence[Link],
    payloads: Sequence[tuple[int, bytes]],
    said: Sequence[tuple[Copies, Added]],
    now: datetime,
) -> list[bytes]:
    """The digests of entries about to be stored; ``payloads`` are sizes and SHA-256. See `digest`.

    This is most of what the tree costs, so the names stand in order here and nothing is sorted.
    """
    found, before, dumps = [], start.hash.hex(), orjson.dumps
    for (seq, link), (size, content), (copies, added) in zip(links, payloads, said, strict=True):
        time, event_id, type_, source, site, actor, subject, causationid, correlationid = copies
        outcome, reason, issue, trace_id, address, agent = added
        action, resource_type, actor_kind = derived(type_, actor)
        shown: dict[str, Any] = {"action": action, "actor": actor, "actor_kind": actor_kind}
        if causationid is not None:
            shown["causationid"] = causationid
        if address is not None:
            shown["client_address"] = address
        if agent is not None:
            shown["client_agent"] = agent
        if correlationid is not None:
            shown["correlationid"] = correlationid
        shown["event_id"] = event_id
        shown["hash"] = hashed = link.hex()
        if issue is not None:
            shown["issue"] = issue
        shown["outcome"] = outcome
        shown["payload_bytes"] = size
        shown["payload_sha256"] = content.hex()
        shown["prev_hash"] = before
        if reason is not None:
            shown["reason"] = reason
        shown |= {
            "recorded_at": now,
            "resource_type": resource_type,
            "seq": seq,
            "site": site,
            "source": source,
            "subject": subject,
            "time": time,
        }
        if trace_id is not None:
            shown["trace_id"] = trace_id
        shown |= {"type": type_, "version": VERSION}
        found.append(_sha256(dumps(shown, option=orjson.OPT_UTC_Z)).digest())
        before = hashed
    return found


async def move(connection: Connection, link: Link, grown: Growth) -> None:
    """Store where the log and its tree stand now, and the tiles that were finished."""
    if grown.finished:
        await connection.execute(INSERT_TILES, *map(list, zip(*grown.finished, strict=True)))
    await connection.execute(MOVE_HEAD, link.seq, link.hash, grown.size, grown.edges)


async def fill(connection: Connection, rows: int = FILL_ROWS) -> int:
    """Take up to ``rows`` entries of before there was a tree into it; how many are still missing.

    In a transaction: cut off anywhere, it goes on where it stood.
    """
    head = await lock_head(connection)
    if head.tree_size >= head.seq:
        return 0
    end = min(head.tree_size + rows, head.seq)
    found = await connection.fetch(SELECT_UNFILLED, head.tree_size, end)
    if [row[0] for row in found] != list(range(head.tree_size + 1, end + 1)):
        raise LookupError("an entry is missing: `GET /api/audit/verify` names it; no checkpoint is signed")
    grown = head.growth()
    grown.add([digest(row) for row in found])
    await move(connection, head.link, grown)
    return head.seq - end


async def tile(connection: Any, level: int, number: int) -> bytes | None:
    """The hashes of a tile as far as the tree has it; None if it has not begun."""
    row = await connection.fetchrow(SELECT_TILES, [level], [number])
    content: bytes | None = row["content"] if row else None
    return content or None


async def tiles(connection: Any, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """The hashes of tiles, by level and number, as far as the tree has them; all as of one moment."""
    places = sorted(wanted)
    rows = await connection.fetch(SELECT_TILES, [level for level, _ in places], [number for _, number in places])
    return {(row["level"], row["number"]): row["content"] or b"" for row in rows}


def hashes_in(held: Mapping[tuple[int, int], bytes], parts: Sequence[Part]) -> list[bytes]:
    """The hash of each part of the tree, out of its tiles. Raises `NotFound` where the tree is not as large (any more).

    Parts at the right edge share subtrees, so each is hashed once.
    """
    reader = cache(node_reader(lambda level, number: held.get((level, number), b"")))
    try:
        return hashes_of(parts, reader)
    except ValueError as error:
        raise NotFound(f"The tree does not reach as far: {error}.") from None


async def hashes(connection: Any, parts: Sequence[Part]) -> list[bytes]:
    """The hash of each part of the tree. Raises `NotFound` where the tree is not as large (any more)."""
    return hashes_in(await tiles(connection, tiles_below(parts)), parts)


async def size_of(connection: Any) -> int:
    """How many entries are in the tree now: without its edges, some 30 KB. Raises LookupError if the row is gone."""
    size: int | None = await connection.fetchval(SELECT_SIZE)
    if size is None:
        raise LookupError(HEADLESS)
    return size


async def root_at(connection: Any, size: int) -> bytes:
    """The root that the tree had at this size. Raises `NotFound` if it is smaller."""
    (found,) = await hashes(connection, [(0, size)])
    return found


async def entry_digests(connection: Any, number: int) -> bytes | None:
    """The digests of a bundle, one behind the other; None if it has not begun."""
    return await tile(connection, ENTRIES, number)


__all__ = [
    "Head", "Node", "digest", "digest_of", "digests", "fill", "hashes", "hashes_in", "lock_head", "move", "read_head",
    "root_at", "size_of", "tile", "tiles",
]  # fmt: skip
