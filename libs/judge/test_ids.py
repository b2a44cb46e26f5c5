"""Sets of test ids: as they are, or for very large reports as short fingerprints, so that a verdict stays quick.

A fingerprint is 8 letters: 6 bytes of the SHA-256 of the id in base64url. Among 500,000 tests two share one with a
probability of 0.04 percent; all that happens then is that the absence of one of them isn't seen.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

MAX_LISTED_TESTS = 50_000
MAX_LISTED_BYTES = 4 * 1024 * 1024  # of one list, as JSON
PRINT_CHARS = 8
UNNAMED = "?"  # stands for a test of which only the fingerprint is kept
_NAMELESS = "(nameless test "


def nameless_id(owner: str, position: int) -> str:
    """The id of a test without a name: its class or suite and its position there, from 1."""
    return f"{owner}::{_NAMELESS}{position})" if owner else f"{_NAMELESS}{position})"


def is_nameless(test_id: str) -> bool:
    """Whether ``nameless_id`` made this id: such a test may never be seen passing (a class that could not start)."""
    return test_id.rpartition("::")[2].startswith(_NAMELESS)


def owner_of(test_id: str) -> str:
    """The class, file or suite that an id begins with, "" if it has none. A test's own name may hold ``::``, too."""
    if is_nameless(test_id):
        return test_id.rpartition(_NAMELESS)[0].removesuffix("::")
    return test_id.partition("::")[0]


def fingerprint(test_id: str) -> str:
    """The fingerprint of an id."""
    return urlsafe_b64encode(sha256(test_id.encode()).digest()[:6]).decode()


def can_list(test_ids: Sequence[str], max_bytes: int = MAX_LISTED_BYTES) -> bool:
    """Whether so many ids, of so many bytes of JSON, are kept as they are."""
    return len(test_ids) <= MAX_LISTED_TESTS and listed_bytes(test_ids) <= max_bytes


def listed_bytes(test_ids: Sequence[str]) -> int:
    """How long the ids are as JSON in UTF-8."""
    return len(json.dumps(test_ids, ensure_ascii=False, separators=(",", ":")).encode())


def pack(test_ids: Iterable[str]) -> str:
    """The fingerprints of the ids, sorted, one after the other."""
    return "".join(sorted({fingerprint(test_id) for test_id in test_ids}))


def unpack(packed: str) -> set[str]:
    """The fingerprints that `pack` put together."""
    return {packed[start : start + PRINT_CHARS] for start in range(0, len(packed), PRINT_CHARS)}


def prints(data: Mapping[str, Any]) -> set[str]:
    """The fingerprints of the tests that ran in a report."""
    packed = data.get("tests_packed")
    if packed:
        return unpack(packed)
    return {fingerprint(test_id) for test_id in data["tests"]}


def vanished(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> list[str]:
    """The sorted tests that ran in the report ``before`` and not in ``now``; ``UNNAMED`` for a name that isn't kept."""
    if now is None:
        now = {"tests": []}
    if not before.get("tests_packed") and not now.get("tests_packed"):
        return sorted(set(before["tests"]) - set(now["tests"]))
    gone = prints(before) - prints(now)
    if before.get("tests_packed"):
        return [UNNAMED] * len(gone)
    return sorted(test_id for test_id in set(before["tests"]) if fingerprint(test_id) in gone)
