"""An independent check of the audit log's signed tree: from the entries to the signature, naming what does not fit.

The chain is checked by `libs.client.verify`; here the entries' digests are put together to the root that was signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from libs.tlog.digests import entry_digest
from libs.tlog.merkle import HASH_BYTES
from libs.tlog.notes import Checkpoint
from libs.tlog.tiles import ENTRIES, WIDTH, Growth, Tile, entries_of, split, tiles_of

ReadTile = Callable[[str], bytes | None]


class Differs(Exception):
    """Something does not fit: the entry where it shows (0: none), and a sentence.

    ``older``: the checkpoint of before that the log does not go on from.
    """

    def __init__(self, seq: int, problem: str, older: Checkpoint | None = None) -> None:
        super().__init__(problem)
        self.seq, self.problem, self.older = seq, problem, older


@dataclass(slots=True)
class Digests:
    """The digests of a log's entries, whichever way round they come. ``size``: how many the checkpoint promises;
    ``start``: how many of them were verified before and do not come again.
    """

    size: int
    start: int = 0
    held: bytearray = field(default_factory=bytearray)
    count: int = 0

    def __post_init__(self) -> None:
        self.held = bytearray((self.size - self.start) * HASH_BYTES)

    def passing(self, entries: Iterable[Any]) -> Iterator[Any]:
        """The same entries; those below the checkpoint are noted. What is no entry is left for who reads on."""
        for entry in entries:
            seq = entry.get("seq") if isinstance(entry, Mapping) else None
            if isinstance(seq, int) and self.start < seq <= self.size:
                at = (seq - self.start) * HASH_BYTES
                self.held[at - HASH_BYTES : at] = digest_of(entry)
                self.count += 1
            yield entry

    def of(self, first: int, end: int) -> list[bytes]:
        """The digests of the leaves from ``first`` (from 0) on, before ``end``."""
        return split(bytes(self.held[(first - self.start) * HASH_BYTES : (end - self.start) * HASH_BYTES]))


def digest_of(entry: Mapping[str, Any]) -> bytes:
    """An entry's digest; of one that can't be written as JSON a hash that fits nothing."""
    try:
        return entry_digest(entry)
    except (UnicodeEncodeError, TypeError, ValueError):
        return bytes(HASH_BYTES)


def check_root(
    digests: Digests,
    checkpoint: Checkpoint,
    older: Sequence[Checkpoint],
    tile: ReadTile,
    grown: Growth | None = None,
) -> Growth:
    """Compare the root above the entries with the signed one, and with older signed ones; the tree's right edge.

    ``grown`` is the edge of what was verified before. ``tile`` is asked only when the root is another one, to say which
    entry is to blame. Raises `Differs`.
    """
    if digests.count < checkpoint.size - digests.start:
        missing = checkpoint.size - digests.start - digests.count
        raise Differs(
            checkpoint.size, f"entries are missing: {checkpoint.size} were signed, {missing} of them are not there"
        )
    grown, at = grown or Growth(), digests.start
    for point in sorted((*older, checkpoint), key=lambda one: one.size):
        if point.size > checkpoint.size:
            raise Differs(
                point.size,
                f"the log was cut: {point.size} entries were signed before, now only {checkpoint.size}",
                point,
            )
        for first in range(at, point.size, WIDTH):
            grown.add(digests.of(first, min(first + WIDTH, point.size)))
            grown.finished.clear()
        at = point.size
        if grown.root() == point.root:
            continue
        if point is not checkpoint:
            raise Differs(
                point.size,
                f"the first {point.size} entries are others than were signed before: the log was rewritten",
                point,
            )
        raise blame(digests, checkpoint, tile)
    return grown


def blame(digests: Digests, checkpoint: Checkpoint, tile: ReadTile) -> Differs:
    """Which entry is not the one that was signed, by the bundles; if they agree with the entries, nobody can say."""
    for one in tiles_of(checkpoint.size):
        if one.level != ENTRIES:
            break
        first = one.number * WIDTH
        if first + one.width <= digests.start:
            continue
        signed, skipped = _bundle(one, tile), max(digests.start - first, 0)
        signed, first = signed[skipped:], first + skipped
        for place, (mine, theirs) in enumerate(
            zip(digests.of(first, one.number * WIDTH + one.width), signed, strict=False)
        ):
            if mine != theirs:
                seq = first + place + 1
                return Differs(seq, f"entry {seq} is another one than was signed: its digest is not that of the tree")
    return Differs(0, "the entries give another root than was signed: entries, tiles or checkpoint are of another log")


def check_tiles(digests: Digests, checkpoint: Checkpoint, tile: ReadTile, progress: Callable[[int], None]) -> int:
    """Compare each tile with the one that the entries give, whose root was signed; how many there are.

    Raises `Differs` for the first that is missing or altered.
    """
    grown = Growth()
    made: dict[tuple[int, int], bytes] = {}
    for first in range(0, checkpoint.size, WIDTH):
        grown.add(digests.of(first, min(first + WIDTH, checkpoint.size)))
    made |= {(level, number): content for level, number, content in grown.finished}
    count = 0
    for one in tiles_of(checkpoint.size):
        wanted = made.get((one.level, one.number)) or grown.edges[one.level - ENTRIES]
        found = b"".join(_bundle(one, tile)) if one.level == ENTRIES else tile(one.path)
        if not found:
            raise Differs(0, f"{one.path} is missing")
        if found != wanted:
            place = next(
                (at for at, (a, b) in enumerate(zip(split(found), split(wanted), strict=False)) if a != b),
                min(len(found), len(wanted)) // HASH_BYTES,
            )
            raise Differs(0, f"{one.path} was altered: its hash {place} is not what the signed entries give")
        count += 1
        progress(count)
    return count


def _bundle(one: Tile, tile: ReadTile) -> list[bytes]:
    content = tile(one.path)
    try:
        return entries_of(content or b"")
    except ValueError:
        return []
