"""People: the gateway's users, with what they may see. A subscription sees what its owner may see."""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.contracts.gateway.users import UsersAfter, UserView, page_users
from libs.common.service import Connection, Tx

USERS_AT_ONCE = 500

# A person of an older revision is no news. In the order of names, so that two of these never wait for each other.
KEEP_PEOPLE = """
INSERT INTO person (username, role, sites, active, revision, own_permissions)
SELECT username, role, sites, active, revision, own_permissions
FROM jsonb_populate_recordset(NULL::person, $1) ORDER BY username
ON CONFLICT (username) DO UPDATE SET role = EXCLUDED.role, sites = EXCLUDED.sites, active = EXCLUDED.active,
    revision = EXCLUDED.revision, own_permissions = EXCLUDED.own_permissions
WHERE person.revision < EXCLUDED.revision
"""
SELECT_SINCE = "SELECT since FROM people_known"
SET_SINCE = "UPDATE people_known SET since = $1 WHERE since IS NULL"


async def keep(connection: Connection, users: Sequence[UserView]) -> None:
    """Keep what the gateway tells of users, unless something newer is known; of one user the newest counts."""
    newest: dict[str, UserView] = {}
    for user in users:
        if (known := newest.get(user.username)) is None or known.revision <= user.revision:
            newest[user.username] = user
    await connection.execute(KEEP_PEOPLE, [user.model_dump(mode="json") for user in newest.values()])


async def learn(tx: Tx) -> None:
    """Ask for the users who were there before the notifier listened, if that has not been done yet.

    To be called before anything is locked. Raises `Unavailable` or `TimedOut` while the gateway is away.
    """
    if await tx.connection.fetchval(SELECT_SINCE) is not None:
        return
    after = ""
    while True:
        page = await tx.ask(page_users, UsersAfter(username=after, limit=USERS_AT_ONCE))
        await keep(tx.connection, page)
        if len(page) < USERS_AT_ONCE:
            break
        after = page[-1].username
    await tx.connection.execute(SET_SINCE, tx.now)
