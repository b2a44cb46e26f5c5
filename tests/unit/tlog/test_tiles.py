"""Tiles: paths as C2SP writes them, growth in any batches, proofs out of tiles."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.tlog import tiles
from libs.tlog.merkle import consistency_parts, hashes_of, inclusion_parts, leaf_hash
from libs.tlog.tiles import ENTRIES, BadPath, Growth, Tile, tiles_of
from tests.unit.tlog import naive

PATHS = [
    (Tile(0, 0), "0/000"),
    (Tile(0, 1234067), "0/x001/x234/067"),
    (Tile(0, 1234067, 8), "0/x001/x234/067.p/8"),
    (Tile(ENTRIES, 273, 112), "entries/273.p/112"),
    (Tile(1, 1000), "1/x001/000"),
    (Tile(63, 999, 255), "63/999.p/255"),
]


@pytest.mark.parametrize(("tile", "path"), PATHS)
def test_paths(tile: Tile, path: str) -> None:
    assert (tile.path, Tile.read(path)) == (f"tile/{path}", tile)


@pytest.mark.parametrize(
    "path",
    ["", "0", "0/0", "0/0000", "00/000", "0/x000/001", "0/001/002", "0/x01/002", "0/000.p/0", "0/000.p/256",
     "0/000.p/01", "0/000.p/", "0/000/", "-1/000", "data/000", "0/000.p/1/2", "0/00\u0661", "100/000", "0/000.p/99999"],
)  # fmt: skip
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(BadPath):
        Tile.read(path)


def test_the_tiles_of_the_tree_in_the_specification() -> None:
    """The sizes that C2SP tlog-tiles gives as examples."""
    found = [one for one in tiles_of(70_000) if one.level >= 0]
    assert [(one.level, one.number, one.width) for one in found if one.width < 256] == [
        (0, 273, 112), (1, 1, 17), (2, 0, 1),
    ]  # fmt: skip
    assert sum(one.width == 256 for one in found) == 273 + 1
    assert [one.path for one in tiles_of(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    assert all(one.in_tree(70_000) for one in tiles_of(70_000))
    assert not Tile(0, 273, 113).in_tree(70_000)
    assert not Tile(2, 0, 2).in_tree(70_000)


def digest(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4, "big")).digest()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=6), st.data())
def test_growth_in_any_batches(batches: list[int], data: st.DataObject) -> None:
    """Whatever the batches: the naive root, the tiles of the specification, and proofs as RFC 6962 has them."""
    grown, held = Growth(), {}
    for count in batches:
        grown = Growth(grown.size, list(grown.edges))  # as it is read back from where it was kept
        grown.add([digest(number) for number in range(grown.size, grown.size + count)])
        for level, number, content in grown.finished:
            assert (level, number) not in held
            held[level, number] = content
    entries = [digest(number) for number in range(grown.size)]
    assert grown.root() == naive.root(entries)
    held |= {(place + ENTRIES, tiles.width_at(place + ENTRIES, grown.size) // 256): edge
             for place, edge in enumerate(grown.edges) if edge}  # fmt: skip
    assert {(one.level, one.number): one.width * 32 for one in tiles_of(grown.size)} == {
        place: len(content) for place, content in held.items()
    }
    if not entries:
        return
    reader = tiles.node_reader(lambda level, number: held[level, number])
    index, old = data.draw(st.integers(0, grown.size - 1)), data.draw(st.integers(1, grown.size))
    for parts, wanted in (
        (inclusion_parts(index, grown.size), naive.path(index, entries)),
        (consistency_parts(old, grown.size), naive.proof(old, entries)),
        ([(0, old)], [naive.root(entries[:old])]),
    ):
        assert hashes_of(parts, reader) == wanted
        assert tiles.tiles_below(parts) <= held.keys()


def test_the_edge_stays_small() -> None:
    """What is kept to go on grows with the logarithm of the size, never with the size."""
    grown = Growth()
    for start in range(0, 200_000, 500):
        grown.finished.clear()
        grown.add([start.to_bytes(32, "big")] * 500)
    assert grown.size == 200_000
    assert len(grown.edges) == 4
    assert all(len(edge) < 8192 for edge in grown.edges)


def test_bundles() -> None:
    digests = [digest(1), digest(2)]
    content = tiles.bundle(b"".join(digests))
    assert content == b"\x00\x20" + digests[0] + b"\x00\x20" + digests[1]
    assert tiles.entries_of(content) == digests
    assert tiles.entries_of(b"\x00\x01a\x00\x00\x00\x02bc") == [b"a", b"", b"bc"]
    for broken in (content[:-1], content + b"\x00", b"\x00\x05abc"):
        with pytest.raises(ValueError, match="in the middle"):
            tiles.entries_of(broken)
    assert leaf_hash(b"") == hashlib.sha256(b"\x00").digest()
