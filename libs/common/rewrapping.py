"""Stored secrets are encrypted anew by the key in use, some at a time, while the service works.

Crash here means: a batch was stored or it was not; each secret opens with the old key or the new one, and both are
there until nothing needs the old one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg

from libs.common.contracts.keys import KeyUse, Rewrapped
from libs.common.service import Connection
from libs.common.telemetry import log
from libs.common.vault import Vault, VaultError

AT_A_TIME = 200  # of one column


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of secrets. ``stale`` reads those of certain keys, ``anew`` stores them, ``count`` counts all by key.

    `sealed_sql` makes the three. ``place_of`` says to which place a row is bound, by what the row has as ``named``.
    """

    stale: str
    anew: str
    count: str
    place_of: Callable[[str], str]


def sealed_sql(table: str, key: str, column: str, named: str, key_type: str = "bigint") -> tuple[str, str, str]:
    """The statements of a `SealedColumn`; all are words of our own. Who holds a row has it to itself until later."""
    stale = f"""
SELECT {key} AS key, {column} AS sealed, {named} AS named FROM {table}
WHERE split_part({column}, '.', 2) = ANY ($1::text[]) ORDER BY {key} LIMIT $2 FOR UPDATE SKIP LOCKED
"""  # noqa: S608
    anew = f"""
UPDATE {table} SET {column} = anew.sealed FROM unnest($1::{key_type}[], $2::text[]) AS anew (key, sealed)
WHERE {table}.{key} = anew.key
"""  # noqa: S608
    count = f"""
SELECT split_part({column}, '.', 2) AS key_id, count(*) AS secret_count FROM {table}
WHERE {column} LIKE 'v1.%' GROUP BY 1
"""  # noqa: S608
    return stale, anew, count


async def uses_of(source: Connection | asyncpg.Pool, columns: Sequence[SealedColumn]) -> list[KeyUse]:
    """How many stored secrets each key has encrypted."""
    uses: Counter[str] = Counter()
    for column in columns:
        for row in await source.fetch(column.count):
            uses[row["key_id"]] += row["secret_count"]
    return [KeyUse(key_id=key_id, secret_count=count) for key_id, count in sorted(uses.items())]


async def is_stale(source: Connection | asyncpg.Pool, vault: Vault, columns: Sequence[SealedColumn]) -> bool:
    """Whether there is something to be encrypted anew, and its key is at hand."""
    older = set(vault.key_ids[1:])
    return bool(older) and any(use.key_id in older for use in await uses_of(source, columns))


async def rewrap(connection: Connection, vault: Vault, columns: Sequence[SealedColumn]) -> Rewrapped:
    """Encrypt a batch of each column anew, in the transaction of the connection. The vault has a key."""
    current, *older = vault.key_ids
    done = 0
    for column in columns:
        rows = await connection.fetch(column.stale, older, AT_A_TIME) if older else []
        anew = []
        for row in rows:
            place = column.place_of(row["named"])
            try:
                anew.append((row["key"], vault.seal(vault.open(row["sealed"], place), place)))
            except VaultError as error:  # it stays as it is: somebody may still find the key
                log.warning("a secret was not encrypted anew", place=place, error=str(error))
        if anew:
            await connection.execute(column.anew, *(list(part) for part in zip(*anew, strict=True)))
        done += len(anew)
    left = unreadable = 0
    for use in await uses_of(connection, columns):
        left += use.secret_count if use.key_id in older else 0
        unreadable += use.secret_count if use.key_id not in (current, *older) else 0
    return Rewrapped(key_id=current, rewrapped_count=done, left_count=left, unreadable_count=unreadable)
