"""The Merkle tree of RFC 6962: hashes, and what a proof consists of and proves. Nothing here reads anything.

A tree over n entries is cut as RFC 6962 cuts it: left of the largest power of two below n. Parts of it are named by
the entries below them, ``(first, end)`` with ``end`` behind the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
MAX_SIZE = 2**62
"""Far above what any log will hold; what claims more is refused before anything is counted."""

Part = tuple[int, int]
Node = tuple[int, int]
"""A whole subtree: its height and its number, so that it covers 2**height entries from number * 2**height on."""

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry."""
    return _sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash above two hashes."""
    return _sha256(b"\1" + left + right).digest()


def whole_root(hashes: Sequence[bytes]) -> bytes:
    """The root above a power of two of hashes."""
    level = list(hashes)
    while len(level) > 1:  # `node_hash` written out: nearly all that a proof and the growing of a tree take is here
        level = [_sha256(b"\1" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def nodes_of(part: Part) -> Iterator[Node]:
    """The whole subtrees that a part of a tree consists of, from left to right: one, or ever smaller ones.

    The part begins where a subtree at least as large as itself begins, as all parts of a tree do.
    """
    first, end = part
    while first < end:
        height = (end - first).bit_length() - 1
        yield height, first >> height
        first += 1 << height


def joined(hashes: Sequence[bytes]) -> bytes:
    """The hash above ever smaller subtrees, given from left to right (`nodes_of`); of none that of an empty tree."""
    if not hashes:
        return EMPTY_ROOT
    *others, right = hashes
    for left in reversed(others):
        right = node_hash(left, right)
    return right


def inclusion_parts(index: int, size: int) -> list[Part]:
    """The parts whose hashes prove that entry ``index`` (from 0) is in a tree, from the entry up.

    Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ValueError(f"entry {index} is not in a tree of size {size}")
    found: list[Part] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _cut(end - first)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((first, middle))
            first = middle
    return found[::-1]


def consistency_parts(old: int, new: int) -> list[Part]:
    """The parts whose hashes prove that a tree of size ``new`` goes on from one of size ``old``; none if ``old`` is 0
    or ``new``. Raises ValueError unless 0 <= old <= new.
    """
    if not 0 <= old <= new <= MAX_SIZE:
        raise ValueError(f"a tree of size {new} does not go on from one of size {old}")
    if old in (0, new):
        return []
    found: list[Part] = []
    first, end = 0, new
    while end != old:
        middle = first + _cut(end - first)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((first, middle))
            first = middle
    if first > 0:  # else the old tree is that subtree, and its root is known
        found.append((first, end))
    return found[::-1]


def _cut(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def included(entry_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the entry with this leaf hash has place ``index`` in the tree with this root."""
    if not 0 <= index < size <= MAX_SIZE or any(len(one) != HASH_BYTES for one in (entry_hash, root, *proof)):
        return False
    place, last, found = index, size - 1, entry_hash
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while place & 1 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the newer tree begins with the whole older one."""
    if not 0 <= old <= new <= MAX_SIZE or any(len(one) != HASH_BYTES for one in (old_root, new_root, *proof)):
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    hashes = list(proof) if old & (old - 1) else [old_root, *proof]
    if not hashes:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    was = now = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while place & 1 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


def hashes_of(parts: Iterable[Part], hash_of: Callable[[Node], bytes]) -> list[bytes]:
    """The hash of each part, put together of whole subtrees that ``hash_of`` knows."""
    return [joined([hash_of(node) for node in nodes_of(part)]) for part in parts]
