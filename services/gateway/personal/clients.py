"""Seals from where each command comes by a key of its person, and opens that again for who may read it.

Crash here means: nothing is lost. A key is stored before anything is sealed by it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

import asyncpg

from libs.common.contracts.clients import Client
from libs.common.contracts.gateway import clients as contract
from libs.common.contracts.gateway.clients import ClientsSealed
from libs.common.personal import KEY_BYTES, may_read, seal, unseal
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Forbidden, Unavailable
from libs.common.service import Clock, Read, Table

FRESH_S = 60.0  # so long a gateway may go on with a key that another one has destroyed: what it seals is lost, no more
MAX_KNOWN = 10_000
# Users' names, and accounts. Whoever else acts, such as a webhook, is no person that we know.
_HOLDER = re.compile(r"(account:)?[a-z0-9-]{1,40}")
# In whose name no person acts: a provider that lets somebody in for the first time, or turns somebody away, and a link
# in a mail. Behind each is a person, and no key of theirs to be destroyed: it is not noted at all from where they came.
_UNKNOWN = ("sign-in:", "link:")

SELECT_KEY = "SELECT key FROM personal_key WHERE holder = $1"
INSERT_KEY = "INSERT INTO personal_key (holder, key, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
SELECT_KEYS = "SELECT holder, key FROM personal_key WHERE holder = ANY ($1::text[])"


def holder_of(actor: str) -> str:
    """Whose key seals what this actor sends; empty: that of nobody known."""
    return actor if _HOLDER.fullmatch(actor) else ""


class Clients:
    """The sealing, with the keys that were used last. ``monotonic`` is a clock in seconds that never steps back."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[str, tuple[bytes, float]] = {}

    async def seal(self, actor: str, address: str, agent: str) -> tuple[str, str]:
        """Address and agent as they may stand in a log for ever. Raises `Unavailable` while no key can be had.

        Both are empty of a person who has no key of their own.
        """
        if actor.startswith(_UNKNOWN):
            return "", ""
        key = await self._key(holder_of(actor))
        return seal(key, "address", address) if address else "", seal(key, "agent", agent) if agent else ""

    async def _key(self, holder: str) -> bytes:
        known = self._known.get(holder)
        now_s = self._monotonic()
        if known is not None and known[1] > now_s:
            return known[0]
        try:
            found = await self._stored(holder)
        except UNREACHABLE as error:
            if known is not None:
                return known[0]
            raise Unavailable(
                "From where your request comes can't be noted now: the database can't be reached. Try again."
            ) from error
        self._known.pop(holder, None)
        while len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[holder] = found, now_s + FRESH_S
        return found

    async def _stored(self, holder: str) -> bytes:
        found: bytes | None = await self._pool.fetchval(SELECT_KEY, holder, timeout=5)
        if found is None:
            await self._pool.execute(INSERT_KEY, holder, os.urandom(KEY_BYTES), self._clock(), timeout=5)
            found = await self._pool.fetchval(SELECT_KEY, holder, timeout=5)  # another gateway's may have been first
        if found is None:  # it was erased at this very moment
            raise Unavailable("From where your request comes can't be noted now. Try again.")
        return found


async def open_clients(read: Read, wanted: ClientsSealed) -> list[Client]:
    """The texts again, as far as their keys are there. Raises `Forbidden` for who may not read all that is asked."""
    if not all(may_read(read.permissions, read.actor, one.actor) for one in wanted.items):
        raise Forbidden("From where others came is for those with the permission personal:read.")
    holders = sorted({holder_of(one.actor) for one in wanted.items})
    rows: list[Any] = await read.pool.fetch(SELECT_KEYS, holders)
    keys: dict[str, bytes] = {row["holder"]: row["key"] for row in rows}
    return [_opened(keys.get(holder_of(one.actor)), one.address, one.agent) for one in wanted.items]


def _opened(key: bytes | None, address: str | None, agent: str | None) -> Client:
    if key is None:
        return Client(address=None, agent=None)
    return Client(
        address=None if address is None else unseal(key, "address", address),
        agent=None if agent is None else unseal(key, "agent", agent),
    )


TABLE = Table(queries={contract.open_clients: open_clients})
