"""People whom no rule of sign-in fits any more, and who come back: what they have open ends.

They are not deactivated: rules that were published by mistake would shut out everybody for good. Who fits again comes
in again. Crash here means: nothing, all has ended and it is told, or nothing has.
"""

from __future__ import annotations

from libs.common.contracts.gateway import sign_in as contract
from libs.common.contracts.gateway.sign_in import TurnAway, TurnedAway, person_turned_away
from libs.common.problems import NotFound
from libs.common.service import Table, Tx
from services.gateway.identity import session_ends, share_ends, token_ends
from services.gateway.identity.code_ends import end_code_of
from services.gateway.identity.tokens import LOCK_ACCOUNTS, LOCK_USER
from services.gateway.identity.users import LOCK_OWNERS
from services.gateway.sessions.entering import SELECT_LINK


async def turn_away(tx: Tx, body: TurnAway) -> TurnedAway:
    """End the person's sessions, share links, tokens and code for a password, and the tokens of the person's accounts.

    Raises `NotFound`.

    The last owner keeps all, as no rule demotes that one.
    """
    username = await tx.connection.fetchval(SELECT_LINK, body.issuer, body.sub)
    if username is None:
        raise NotFound("Nobody has signed in here as that person of the provider.")
    owners = [row["username"] for row in await tx.connection.fetch(LOCK_OWNERS)]
    given = {"username": username, **body.model_dump()}
    if owners == [username]:
        told = TurnedAway(**given, last_owner=True)
    else:
        await tx.connection.execute(LOCK_USER, username)
        accounts = [row["username"] for row in await tx.connection.fetch(LOCK_ACCOUNTS, username)]
        tokens = await token_ends.end_all_of(tx, [username, *accounts], "user")
        sessions = await session_ends.end(tx, await session_ends.open_of(tx.connection, username), "user")
        await share_ends.end_all_of(tx, username)
        await end_code_of(tx, username)
        told = TurnedAway(
            **given,
            token_ids=[one.token_id for one in tokens],
            session_ids=[one.session_id for one in sessions],
        )
    tx.emit(person_turned_away, told, subject=username)
    return told


TABLE = Table(commands={contract.turn_away: turn_away})
