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
    """Something does not fit: the entry where it shows (0: none), and a sentence."""

    def __init__(self, seq: int, problem: str) -> None:
        super().__init__(problem)
        self.seq, self.problem = seq, problem


@dataclass(slots=True)
class Digests:
    """The digests of a log's entries, whichever way round they come. ``size``: how many the checkpoint promises."""

    size: int
    held: bytearray = field(default_factory=bytearray)
    count: int = 0

    def __post_init__(self) -> None:
        self.held = bytearray(self.size * HASH_BYTES)

    def passing(self, entries: Iterable[Any]) -> Iterator[Any]:
        """The same entries; those below the checkpoint are noted. What is no entry is left for who reads on."""
        for entry in entries:
            seq = entry.get("seq") if isinstance(entry, Mapping) else None
            if isinstance(seq, int) and 0 < seq <= self.size:
                self.held[(seq - 1) * HASH_BYTES : seq * HASH_BYTES] = digest_of(entry)
                self.count += 1
            yield entry

    def of(self, first: int, end: int) -> list[bytes]:
        """The digests of the leaves from ``first`` (from 0) on, before ``end``."""
        return split(bytes(self.held[first * HASH_BYTES : end * HASH_BYTES]))


def digest_of(entry: Mapping[str, Any]) -> bytes:
    """An entry's digest; of one that can't be written as JSON a hash that fits nothing."""
    try:
        return entry_digest(entry)
    except (UnicodeEncodeError, TypeError, ValueError):
        return bytes(HASH_BYTES)


def check_root(digests: Digests, checkpoint: Checkpoint, older: Sequence[Checkpoint], tile: ReadTile) -> None:
    """Compare the root above the entries with the signed one, and with older signed ones.

    Raises `Differs`. ``tile`` is asked only when the root is another one, to say which entry is to blame.
    """
    if digests.count < checkpoint.size:
        missing = checkpoint.size - digests.count
        raise Differs(
            checkpoint.size, f"entries are missing: {checkpoint.size} were signed, {missing} of them are not there"
        )
    grown, at = Growth(), 0
    for point in sorted((*older, checkpoint), key=lambda one: one.size):
        if point.size > checkpoint.size:
            raise Differs(
                point.size, f"the log was cut: {point.size} entries were signed before, now only {checkpoint.size}"
            )
        for first in range(at, point.size, WIDTH):
            grown.add(digests.of(first, min(first + WIDTH, point.size)))
            grown.finished.clear()
        at = point.size
        if grown.root() == point.root:
            continue
        if point is not checkpoint:
            raise Differs(
                point.size, f"the first {point.size} entries are others than were signed before: the log was rewritten"
            )
        raise blame(digests, checkpoint, tile)


def blame(digests: Digests, checkpoint: Checkpoint, tile: ReadTile) -> Differs:
    """Which entry is not the one that was signed, by the bundles; if they agree with the entries, nobody can say."""
    for one in tiles_of(checkpoint.size):
        if one.level != ENTRIES:
            break
        signed, first = _bundle(one, tile), one.number * WIDTH
        for place, (mine, theirs) in enumerate(zip(digests.of(first, first + one.width), signed, strict=False)):
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
