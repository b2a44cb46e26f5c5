"""Erases what is kept of a person, here at once and elsewhere by the event, and says what is left.

Crash here means: all of it in this database is gone, or nothing is. The event leaves with the transaction, so the other
services hear of it sooner or later; each lets go of what it has as often as it hears it.
"""

from __future__ import annotations

from libs.common import outcomes
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Command
from libs.common.contracts.gateway import personal as contract
from libs.common.contracts.gateway.personal import Erasure, State, UserErased, UserEraseSealed, user_erased
from libs.common.contracts.gateway.users import UserKey
from libs.common.contracts.notifier.personal import PersonWanted, own_places
from libs.common.problems import Conflict, NotFound, TimedOut, Unavailable
from libs.common.service import Read, Table, Tx
from services.gateway.identity.guard import reach_of, require_above, require_below
from services.gateway.identity.users import granter

LOCK_PERSON = """
SELECT role, own_permissions, sites, active FROM users WHERE username = $1 AND owner IS NULL FOR UPDATE
"""
ERASE_USER = "UPDATE users SET display_name = '', erased_at = $2 WHERE username = $1"
# The key first: it makes unreadable from where the person came, wherever the log and its copies are.
FORGET = (
    "DELETE FROM personal_key WHERE holder = $1",
    "UPDATE sessions SET address = '', agent = '' WHERE username = $1",
    "UPDATE tokens SET last_used_address = NULL WHERE username = $1",
    "DELETE FROM token_address WHERE token_id IN (SELECT token_id FROM tokens WHERE username = $1)",
    "DELETE FROM sign_in_link WHERE username = $1",
    "DELETE FROM password WHERE username = $1",
    "DELETE FROM password_code WHERE username = $1",
    "DELETE FROM recovery_code WHERE username = $1",
    "DELETE FROM second_factor WHERE username = $1",
)
# What commands came to can be asked for 30 days (GET /api/commands/…), and tells these of somebody.
TOLD_FIELDS = ("display_name", "address", "agent", "last_used_address", "issuer", "sub")


def telling() -> list[str]:
    """The commands whose results tell something personal of the user whom they name."""
    commands = [one for one in CONTRACTS["gateway"].operations() if isinstance(one, Command)]
    fields = {one.name: set(getattr(one.result, "model_fields", ())) for one in commands}
    return [name for name, said in fields.items() if "username" in said and said & set(TOLD_FIELDS)]


COUNT_LEFT = """
SELECT erased_at, (display_name <> '')::integer
    + (SELECT count(*) FROM personal_key WHERE holder = $1)
    + (SELECT count(*) FROM sessions WHERE sessions.username = $1 AND (address <> '' OR agent <> ''))
    + (SELECT count(*) FROM tokens WHERE tokens.username = $1 AND last_used_address IS NOT NULL)
    + (SELECT count(*) FROM token_address JOIN tokens USING (token_id) WHERE tokens.username = $1)
    + (SELECT count(*) FROM sign_in_link WHERE sign_in_link.username = $1)
    + (SELECT count(*) FROM password WHERE password.username = $1)
    + (SELECT count(*) FROM password_code WHERE password_code.username = $1)
    + (SELECT count(*) FROM recovery_code WHERE recovery_code.username = $1)
    + (SELECT count(*) FROM second_factor WHERE second_factor.username = $1) AS left_count
FROM users WHERE username = $1 AND owner IS NULL
"""


async def erase_user(tx: Tx, body: UserEraseSealed) -> UserErased:
    """Erase it, as often as it is asked. Raises `NotFound`, `Forbidden`, and `Conflict` for who is still active."""
    person = await tx.connection.fetchrow(LOCK_PERSON, body.username)
    if person is None:
        raise NotFound(f"There is no user {body.username}.")
    caller = await granter(tx, body)
    held = reach_of(person["role"], person["own_permissions"], person["sites"])
    require_above(caller, held, body.username)
    require_below(caller, held, body.username)
    if person["active"]:
        raise Conflict(
            f"{body.username} is active, and would leave new traces: deactivate the user first (headgate users patch "
            f"{body.username} --inactive)."
        )
    for statement in FORGET:
        await tx.connection.execute(statement, body.username)
    await outcomes.cut(tx.connection, telling(), [body.username], TOLD_FIELDS)
    await tx.connection.execute(ERASE_USER, body.username, tx.now)
    told = UserErased(username=body.username, erased_at=tx.now, reason=body.reason)
    tx.emit(user_erased, told, subject=body.username)
    return told


async def get_erasure(read: Read, params: UserKey) -> Erasure:
    """What is left of a person, counted at this moment. Raises `NotFound`."""
    row = await read.pool.fetchrow(COUNT_LEFT, params.username)
    if row is None:
        raise NotFound(f"There is no user {params.username}.")
    try:
        places = await read.ask(own_places, PersonWanted(username=params.username))
    except (Unavailable, TimedOut):
        return Erasure(username=params.username, state="unknown", erased_at=row["erased_at"], left_count=None)
    told = await outcomes.count_saying(read.pool, telling(), params.username, TOLD_FIELDS)
    left = row["left_count"] + told + places.left_count
    state: State = "none" if row["erased_at"] is None else "pending" if left else "done"
    return Erasure(username=params.username, state=state, erased_at=row["erased_at"], left_count=left)


TABLE = Table(commands={contract.erase_user: erase_user}, queries={contract.get_erasure: get_erasure})
