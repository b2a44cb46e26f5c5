"""Reads stored evidence again, hashes it, and says what is not what was stored."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from libs.common.bus import NATS_ERRORS
from libs.common.contracts.integrity import IntegrityIssue, Problem, SampleWanted, TableIntegrity
from libs.common.objects import Bucket, ObjectAltered, ObjectGone

Pieces = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is kept: its name, the SHA-256 that was noted for it (hex), and its size, where that is known."""

    id: str
    sha256: str | None
    size: int | None
    read: Callable[[], Pieces]


def in_bucket(bucket: Bucket, sha256: str) -> Callable[[], Pieces]:
    """How to read an object; what is read raises as `Bucket.read` does."""

    async def read() -> Pieces:
        async for piece in bucket.read(await bucket.find(sha256)):
            yield piece

    return read


def in_row(fetch: Callable[[], Awaitable[bytes | None]], *, packed: bool = False) -> Callable[[], Pieces]:
    """How to read what a row holds, packed by zlib or as it is; None: it is gone."""

    async def read() -> Pieces:
        found = await fetch()
        if found is None:
            raise ObjectGone
        yield zlib.decompress(found) if packed else found

    return read


def chosen(newest: Sequence[Kept], anywhere: Sequence[Kept], count: int) -> list[Kept]:
    """So many: the newest half, then those from anywhere, then further newest ones; each once."""
    half = (count + 1) // 2
    order = [*newest[:half], *anywhere[: count - half], *newest[half:], *anywhere[count - half :]]
    return list({one.id: one for one in order}.values())[:count]


async def rehash(table: str, sample: Sequence[Kept], wanted: SampleWanted) -> TableIntegrity:
    """Hash each of the sample. Raises nothing that a store does; at most ``max_issues`` are named, all are counted."""
    room, checked_count, skipped_count = wanted.max_bytes, 0, 0
    counts, issues = dict.fromkeys(_COUNTERS, 0), list[IntegrityIssue]()
    for one in sample:
        if checked_count and one.size is not None and one.size > room:
            skipped_count += 1
            continue
        room -= one.size or 0
        checked_count += 1
        problem, detail = await _problem(one)
        if problem is None:
            continue
        counts[problem] += 1
        if len(issues) < wanted.max_issues:
            issues.append(IntegrityIssue(table=table, id=one.id, problem=problem, detail=detail))
    said = {_COUNTERS[problem]: count for problem, count in counts.items()}
    return TableIntegrity(table=table, checked_count=checked_count, skipped_count=skipped_count, issues=issues, **said)


_COUNTERS: dict[Problem, str] = {
    "missing_blob": "missing_blob_count",
    "missing_sha256": "missing_hash_count",
    "sha256_mismatch": "digest_mismatch_count",
    "read_error": "read_error_count",
}


async def _problem(one: Kept) -> tuple[Problem | None, str]:
    if one.sha256 is None:
        return "missing_sha256", "no SHA-256 was noted when it was stored"
    digest, size = hashlib.sha256(), 0
    try:
        async for piece in one.read():
            digest.update(piece)
            size += len(piece)
    except ObjectAltered as error:
        return "sha256_mismatch", f"what lies there is not what was stored: {error.how}"
    except ObjectGone:
        return "missing_blob", "its content is not there"
    except zlib.error as error:
        return "read_error", f"it can't be unpacked: {error}"
    except NATS_ERRORS as error:
        return "read_error", f"the store can't be read: {error!r}"[:500]
    if digest.hexdigest() != one.sha256:
        return "sha256_mismatch", f"its SHA-256 is {digest.hexdigest()}, stored was {one.sha256}"
    if one.size is not None and size != one.size:
        return "sha256_mismatch", f"it has {size} bytes, noted are {one.size}"
    return None, ""
