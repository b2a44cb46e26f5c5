"""Tiles: how C2SP tlog-tiles cuts a tree into files of 256 hashes, their paths and contents, and how they grow.

Level 0 holds the hashes of entries, level L those of whole subtrees of 256**L entries. `ENTRIES` is the level of the
bundles, which hold the entries themselves; ours are digests of 32 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from libs.tlog.merkle import HASH_BYTES, Node, Part, joined, leaf_hash, nodes_of, whole_root

WIDTH = 256
HEIGHT = 8
TOP_LEVEL = 7  # 256**8 entries are more than there will ever be
ENTRIES = -1
TILE_BYTES = WIDTH * HASH_BYTES

_PATH = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[0-9]+))?"
)


class BadPath(ValueError):
    """A path that names no tile; the message says how one reads."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile's place, and how many hashes (or entries) of it are wanted: `WIDTH` of a whole one."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's prefix, such as ``tile/0/x001/067.p/12``."""
        parts = [f"{self.number % 1000:03d}"]
        rest = self.number // 1000
        while rest:
            parts.append(f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(parts))}{partial}"

    @classmethod
    def read(cls, path: str) -> Tile:
        """The tile of a path behind ``tile/``. Raises `BadPath` for anything but the one right spelling."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise BadPath("A tile's path reads <level>/<number>[.p/<width>], such as 0/x001/067 or entries/000.p/12.")
        level = ENTRIES if match["level"] == "entries" else int(match["level"])
        width = WIDTH if match["width"] is None else int(match["width"])
        number = int(match["number"].replace("x", "").replace("/", ""))
        tile = cls(level, number, width)
        if not 0 < width <= WIDTH or tile.path != f"tile/{path}":
            raise BadPath("A tile's number comes in groups of three digits, as few as do; its width is 1 to 255.")
        return tile

    def in_tree(self, size: int) -> bool:
        """Whether a tree of this size has all of it."""
        return self.number * WIDTH + self.width <= width_at(self.level, size)


def width_at(level: int, size: int) -> int:
    """How many hashes a level holds in a tree of ``size`` entries."""
    return size >> (HEIGHT * max(level, 0))


def tiles_of(size: int) -> Iterable[Tile]:
    """All tiles of a tree, bundles first, then level by level."""
    for level in range(ENTRIES, TOP_LEVEL + 1):
        count = width_at(level, size)
        for number in range(count // WIDTH):
            yield Tile(level, number)
        if count % WIDTH:
            yield Tile(level, count // WIDTH, count % WIDTH)


def bundle(digests: bytes) -> bytes:
    """The content of a bundle: each entry (32 bytes) behind its length in two bytes, big-endian."""
    cut = range(0, len(digests), HASH_BYTES)
    return b"".join(b"\0\x20" + digests[at : at + HASH_BYTES] for at in cut)


def entries_of(content: bytes) -> list[bytes]:
    """The entries in a bundle. Raises ValueError if it ends in the middle of one."""
    found, at = [], 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 2], "big")
        entry = content[at + 2 : at + 2 + length]
        if len(content) < at + 2 or len(entry) != length:
            raise ValueError("the bundle ends in the middle of an entry")
        found.append(entry)
        at += 2 + length
    return found


def split(hashes: bytes) -> list[bytes]:
    """The hashes in a tile."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


@dataclass(slots=True)
class Growth:
    """The right edge of a growing tree: all that must be known to add entries and to tell the root.

    ``edges`` holds the unfinished tile of each level from `ENTRIES` on: never more than 8 KB each, and one level for
    each factor of 256, whatever the size. ``finished``: the tiles that `add` has completed, never to change again.
    """

    size: int = 0
    edges: list[bytes] = field(default_factory=list)
    finished: list[tuple[int, int, bytes]] = field(default_factory=list)

    def add(self, digests: Sequence[bytes]) -> None:
        """Append entries (32 bytes each)."""
        self._grow(ENTRIES, self.size, b"".join(digests))
        self._grow(0, self.size, b"".join(map(leaf_hash, digests)))
        self.size += len(digests)

    def _grow(self, level: int, count: int, hashes: bytes) -> None:
        """Append hashes to a level that holds ``count``, and the roots of the tiles they fill to the next one."""
        place = level - ENTRIES
        while len(self.edges) <= place:
            self.edges.append(b"")
        content = self.edges[place] + hashes
        number, roots, at = count // WIDTH, [], 0
        while len(content) - at >= TILE_BYTES:
            tile = content[at : at + TILE_BYTES]
            self.finished.append((level, number, tile))
            roots.append(whole_root(split(tile)))
            number, at = number + 1, at + TILE_BYTES
        self.edges[place] = content[at:]
        if roots and level >= 0:
            self._grow(level + 1, count // WIDTH, b"".join(roots))

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        subtrees: list[bytes] = []
        for edge in self.edges[:0:-1]:  # the highest level first; not the bundles
            hashes = split(edge)
            subtrees += [whole_root(hashes[at : at + (1 << height)]) for height, at in _runs(len(hashes))]
        return joined(subtrees)


def _runs(count: int) -> Iterable[tuple[int, int]]:
    """The whole subtrees in ``count`` hashes of a tile: height, and where each begins."""
    for height, number in nodes_of((0, count)):
        yield height, number << height


def tile_of(node: Node) -> tuple[int, int]:
    """The level and number of the tile that holds the hashes below a whole subtree."""
    height, number = node
    return height // HEIGHT, (number << (height % HEIGHT)) // WIDTH


def tiles_below(parts: Iterable[Part]) -> set[tuple[int, int]]:
    """The tiles from which the hashes of these parts are computed, by level and number."""
    return {tile_of(node) for part in parts for node in nodes_of(part)}


def node_reader(tile_content: Callable[[int, int], bytes]) -> Callable[[Node], bytes]:
    """What tells the hash of a whole subtree from the tiles. It raises ValueError where a tile is too short."""

    def read(node: Node) -> bytes:
        height, number = node
        level, tile_number = tile_of(node)
        first = (number << (height % HEIGHT)) % WIDTH
        count = 1 << (height % HEIGHT)
        content = tile_content(level, tile_number)[first * HASH_BYTES : (first + count) * HASH_BYTES]
        if len(content) != count * HASH_BYTES:
            raise ValueError(f"the tile {Tile(level, tile_number).path} is too short")
        return whole_root(split(content))

    return read
