"""Which keys encrypt stored secrets, over all services that store any; and the gateway's own, encrypted anew.

Crash here means: a batch was stored or it was not, and both keys open.
"""

from __future__ import annotations

import asyncio

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway import keys as contract
from libs.common.contracts.gateway.keys import Keys, KeysAsked, KeyView
from libs.common.contracts.keys import KeysOf
from libs.common.contracts.notifier.keys import show_keys
from libs.common.postgres import UNREACHABLE
from libs.common.rewrapping import SealedColumn, is_stale, rewrap, sealed_sql, uses_of
from libs.common.service import Read, Table
from libs.common.telemetry import log
from libs.common.vault import Vault
from services.gateway.passwords.checking import place_of_password
from services.gateway.second_factors.checking import place_of_factor

LOOK_S = 30.0
PASSWORD_STALE, PASSWORD_ANEW, PASSWORD_COUNT = sealed_sql("password", "username", "sealed", "username", "text")
FACTOR_STALE, FACTOR_ANEW, FACTOR_COUNT = sealed_sql("second_factor", "username", "sealed", "username", "text")
COLUMNS = (
    SealedColumn(PASSWORD_STALE, PASSWORD_ANEW, PASSWORD_COUNT, place_of_password),
    SealedColumn(FACTOR_STALE, FACTOR_ANEW, FACTOR_COUNT, place_of_factor),
)


async def get_keys(read: Read, params: KeysAsked) -> Keys:
    """Asked of all: a key that one service still needs is not removable. Raises `Unavailable` if one does not say."""
    told: KeysOf = await read.ask(show_keys, Nothing())
    return summed([KeysOf(service="gateway", known=params.known, uses=await uses_of(read.pool, COLUMNS)), told])


def summed(told: list[KeysOf]) -> Keys:
    """What the services say, together; the key in use first, then as they have them."""
    used = {one.known[0] for one in told if one.known}
    agreed = len(used) == 1 and all(one.known for one in told)
    every = [*(key for one in told for key in one.known), *(use.key_id for one in told for use in one.uses)]
    views = []
    for key_id in sorted(dict.fromkeys(every), key=lambda key: key not in used):
        needing = {one.service: use.secret_count for one in told for use in one.uses if use.key_id == key_id}
        known_to = [one.service for one in told if key_id in one.known]
        views.append(
            KeyView(
                key_id=key_id,
                in_use=key_id in used,
                known_to=known_to,
                missing_in=sorted(set(needing) - set(known_to)),
                secret_count=sum(needing.values()),
                removable=agreed and key_id not in used and not needing,
            )
        )
    waiting = sum(view.secret_count for view in views if not view.in_use)
    return Keys(agreed=agreed, waiting_count=waiting, keys=views)


async def keep_rewrapping(pool: asyncpg.Pool, vault: Vault) -> None:
    """Encrypt the gateway's secrets anew, a batch each half minute while there is something, until cancelled.

    Here and not in a job, since the keys are the edge's. Gateways that do it at once leave each other's rows alone.
    """
    while True:
        await rewrap_once(pool, vault)
        await asyncio.sleep(LOOK_S)


async def rewrap_once(pool: asyncpg.Pool, vault: Vault) -> None:
    """One batch, if there is anything; while the database is away nothing is done."""
    try:
        if await is_stale(pool, vault, COLUMNS):
            async with pool.acquire() as connection, connection.transaction():
                done = await rewrap(connection, vault, COLUMNS)
            log.info("secrets encrypted anew", **done.model_dump())
    except UNREACHABLE as error:
        log.warning("secrets not encrypted anew", error=repr(error))


TABLE = Table(queries={contract.get_keys: get_keys})
