"""Whoever changes how somebody else comes in could come in as them: only who holds all that they hold may.

Managers do so below themselves; equals are left to who may write identity.
"""

from __future__ import annotations

from libs.common.contracts.granting import Granter
from libs.common.problems import NotFound
from libs.common.service import Tx
from services.gateway.domain.granting import Reach
from services.gateway.identity.guard import reach_of, require_above, require_below
from services.gateway.identity.powers import powers_of
from services.gateway.identity.users import granter

LOCK_HOLDER = """
SELECT role, own_permissions, sites FROM users WHERE username = $1 AND owner IS NULL FOR NO KEY UPDATE
"""


async def lock_lesser(tx: Tx, username: str, said: Granter) -> str:
    """The role of a user, locked, who holds no more than the caller, also by grants. Raises `NotFound`, `Forbidden`."""
    row = await tx.connection.fetchrow(LOCK_HOLDER, username)
    if row is None:
        raise NotFound(f"There is no user {username}.")
    caller = await granter(tx, said)
    theirs = reach_of(row["role"], row["own_permissions"], row["sites"])
    require_above(caller, theirs, username)
    require_below(caller, theirs, username)
    for power in await powers_of(tx.connection, username, tx.now):
        require_above(caller, Reach(power.permissions, power.sites), username)
    return str(row["role"])
