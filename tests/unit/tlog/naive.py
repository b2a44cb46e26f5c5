"""The tree as RFC 6962 writes it down, word for word and slowly: what the fast code is compared with."""

from __future__ import annotations

import hashlib


def root(entries: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    cut = largest_power(len(entries))
    return hashlib.sha256(b"\x01" + root(entries[:cut]) + root(entries[cut:])).digest()


def path(index: int, entries: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    cut = largest_power(len(entries))
    if index < cut:
        return [*path(index, entries[:cut]), root(entries[cut:])]
    return [*path(index - cut, entries[cut:]), root(entries[:cut])]


def proof(old: int, entries: list[bytes]) -> list[bytes]:
    """PROOF(m, D[n])."""
    return _subproof(old, entries, known=True)


def _subproof(old: int, entries: list[bytes], *, known: bool) -> list[bytes]:
    if old == len(entries):
        return [] if known else [root(entries)]
    cut = largest_power(len(entries))
    if old <= cut:
        return [*_subproof(old, entries[:cut], known=known), root(entries[cut:])]
    return [*_subproof(old - cut, entries[cut:], known=False), root(entries[:cut])]


def largest_power(count: int) -> int:
    """The largest power of two below ``count``."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power
