"""The tree against the known values of RFC 6962's first implementations, and against the naive tree."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.tlog import merkle
from libs.tlog.merkle import consistency_parts, consistent, included, inclusion_parts, leaf_hash
from tests.unit.tlog import naive

# The eight entries of Certificate Transparency's own tests (the same in the Go library of transparency.dev), and the
# root after each of them.
KNOWN_ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
F = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"


def hash_below(entries: list[bytes], part: merkle.Part) -> bytes:
    return naive.root(entries[part[0] : part[1]])


@pytest.mark.parametrize("size", range(9))
def test_the_known_roots(size: int) -> None:
    leaves = [leaf_hash(entry) for entry in KNOWN_ENTRIES[:size]]
    wanted = bytes.fromhex(KNOWN_ROOTS[size - 1]) if size else hashlib.sha256(b"").digest()
    parts = [merkle.whole_root(leaves[n << h : (n + 1) << h]) for h, n in merkle.nodes_of((0, size))]
    assert merkle.joined(parts) == naive.root(KNOWN_ENTRIES[:size]) == wanted


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, F, KNOWN_ROOTS[3]]), (2, 3, [KNOWN_ROOTS[1]]), (1, 5, [
        KNOWN_ROOTS[0], B, D])],
)  # fmt: skip
def test_the_known_inclusion_proofs(index: int, size: int, proof: list[str]) -> None:
    entries = KNOWN_ENTRIES[:size]
    made = [hash_below(entries, part) for part in inclusion_parts(index, size)]
    assert [one.hex() for one in made] == proof
    assert included(leaf_hash(entries[index]), index, size, made, bytes.fromhex(KNOWN_ROOTS[size - 1]))


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [E, F, KNOWN_ROOTS[3]]), (2, 5, [B, D])],
)
def test_the_known_consistency_proofs(old: int, new: int, proof: list[str]) -> None:
    entries = KNOWN_ENTRIES[:new]
    made = [hash_below(entries, part) for part in consistency_parts(old, new)]
    assert [one.hex() for one in made] == proof
    roots = bytes.fromhex(KNOWN_ROOTS[old - 1]), bytes.fromhex(KNOWN_ROOTS[new - 1])
    assert consistent(old, roots[0], new, roots[1], made)


def test_every_small_tree_against_the_naive_one() -> None:
    entries = [bytes([number]) for number in range(40)]
    roots = [naive.root(entries[:size]) for size in range(41)]
    for size in range(1, 41):
        held = entries[:size]
        for index in range(size):
            proof = [hash_below(held, part) for part in inclusion_parts(index, size)]
            assert proof == naive.path(index, held)
            assert included(leaf_hash(held[index]), index, size, proof, roots[size])
        for old in range(size + 1):
            proof = [hash_below(held, part) for part in consistency_parts(old, size)]
            assert proof == (naive.proof(old, held) if old else [])
            assert consistent(old, roots[old], size, roots[size], proof)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_proof_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 70))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    entries = [bytes([number]) for number in range(size)]
    root, leaf, was = naive.root(entries), leaf_hash(entries[index]), naive.root(entries[:old])
    path, proof = naive.path(index, entries), naive.proof(old, entries)
    for changed in _changed(path, data):
        assert not included(leaf, index, size, changed, root)
    assert not included(leaf_hash(b"x"), index, size, path, root)
    assert not included(leaf, (index + 1) % size, size, path, root)
    for changed in _changed(proof, data):
        assert not consistent(old, was, size, root, changed)
    if old < size:
        assert not consistent(old, root, size, root, proof)
        assert not consistent(old, was, size, was, proof)


def _changed(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    found = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, b"short"]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        found += [proof[:at] + proof[at + 1 :], [*proof[:at], bit, *proof[at + 1 :]]]
    return found


def test_what_lies_outside_a_tree_is_refused() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3), (0, 2**63)):
        with pytest.raises(ValueError, match="not in a tree"):
            inclusion_parts(index, size)
        assert not included(bytes(32), index, size, [], bytes(32))
    for old, new in ((2, 1), (-1, 3)):
        with pytest.raises(ValueError, match="does not go on"):
            consistency_parts(old, new)
        assert not consistent(old, bytes(32), new, bytes(32), [])
    assert consistent(0, merkle.EMPTY_ROOT, 5, bytes(32), [])
    assert not consistent(0, bytes(32), 5, bytes(32), [])
