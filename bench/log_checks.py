"""What a log that was filled by the bench is checked by, another way than it was made."""

from __future__ import annotations

import hashlib
import json
import random
import time

import asyncpg
import orjson

from bench.lab import BenchError
from libs.tlog.merkle import EMPTY_ROOT, leaf_hash, node_hash
from libs.tlog.tiles import split
from services.audit import tree
from services.audit.domain.chain import Link, check
from services.audit.verify import SELECT_ROWS

SAMPLES, STRETCH = 200, 50  # so many stretches of so many entries each
SELECT_BUNDLES = """
SELECT number, content FROM tile WHERE level = -1 AND number >= $1 AND number < $2
UNION ALL SELECT tree_size >> 8, edges[1] FROM head WHERE tree_size >> 8 >= $1 AND tree_size >> 8 < $2
ORDER BY number
"""
BUNDLES = 4_000
SELECT_HASH = "SELECT hash FROM entry WHERE seq = $1"


async def root_of(connection: asyncpg.Connection, size: int) -> bytes:
    """The root over the first ``size`` entries, made of their digests one by one (RFC 6962), and of no tile."""
    stack: list[tuple[int, bytes]] = []  # how many entries are below, and their hash; ever smaller
    count = 0
    for first in range(0, size // 256 + 1, BUNDLES):
        for row in await connection.fetch(SELECT_BUNDLES, first, first + BUNDLES):
            for digest in split(row["content"])[: size - count]:
                below, node = 1, leaf_hash(digest)
                while stack and stack[-1][0] == below:
                    node, below = node_hash(stack.pop()[1], node), below * 2
                stack.append((below, node))
                count += 1
    if count != size:
        raise BenchError(f"the log has the digests of {count} entries, not of {size}")
    if not stack:
        return EMPTY_ROOT
    node = stack.pop()[1]
    while stack:
        node = node_hash(stack.pop()[1], node)
    return node


async def check_rows(connection: asyncpg.Connection, size: int, samples: int = SAMPLES) -> None:
    """Stretches of entries anywhere: each fits its event, links to the one before, and has its digest in the tree.

    Raises `BenchError` that names the first entry that does not.
    """
    for _ in range(samples):
        first = random.randint(1, max(1, size - STRETCH))
        before = await connection.fetchval(SELECT_HASH, first - 1) if first > 1 else bytes(32)
        rows = await connection.fetch(SELECT_ROWS, first, min(first + STRETCH - 1, size))
        walk = check(rows, Link(first - 1, before), orjson.loads)
        if walk.fault is not None or not rows:
            raise BenchError(f"the filled log is wrong: {walk.fault or f'entry {first} is missing'}")
        bundles: dict[int, bytes] = {}
        for row in rows:
            number = (row["seq"] - 1) // 256
            if number not in bundles:
                bundles[number] = await tree.entry_digests(connection, number) or b""
            digest = tree.digest_of(list(row.values()), len(row["payload"]), hashlib.sha256(row["payload"]).digest())
            at = (row["seq"] - 1) % 256 * 32
            if bundles[number][at : at + 32] != digest:
                raise BenchError(f"the tree holds another digest than that of entry {row['seq']}")


async def hashing(connection: asyncpg.Connection, count: int) -> float:
    """Entries a second, by hashing alone: payload, link, what is shown, leaf, and one inner node of the tree."""
    row = await connection.fetchrow(SELECT_ROWS, count, count)
    assert row is not None
    payload = row["payload"]
    shown = json.dumps({name: value for name, value in row.items() if name != "payload"}, default=str).encode()
    link, digest = bytes(116), bytes(32)
    started = time.perf_counter()
    for _ in range(count):
        hashlib.sha256(payload).digest()
        hashlib.sha256(link).digest()
        hashlib.sha256(shown).digest()
        leaf_hash(digest)
        node_hash(digest, digest)
    return count / (time.perf_counter() - started)
