"""Gathers what is kept of a person, here and in the services, into one answer."""

from __future__ import annotations

from time import monotonic

from libs.common.columns import listed, names_of
from libs.common.contracts.audit.sessions import Session, SessionFilter, list_sessions
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway import personal as contract
from libs.common.contracts.gateway.personal import MAX_WORK, KeptProvider, KeptSession, KeptToken, PersonalData
from libs.common.contracts.gateway.users import UserKey, UserView
from libs.common.contracts.notifier.personal import PersonWanted, own_places
from libs.common.problems import NotFound
from libs.common.service import Read, Table
from services.gateway.identity.users import COLUMNS

SELECT_PERSON = f"SELECT {COLUMNS}, erased_at FROM users WHERE username = $1 AND owner IS NULL"  # noqa: S608  our own
SELECT_PROVIDERS = "SELECT provider, issuer, sub, linked_at FROM sign_in_link WHERE username = $1"
SELECT_SESSIONS = f"""
SELECT {listed(names_of(KeptSession))} FROM sessions WHERE username = $1 ORDER BY session_id
"""  # noqa: S608  only names of ours are put in
SELECT_TOKENS = """
SELECT token_id, label, created_at, revoked_at, last_used_at, last_used_address, ARRAY(
    SELECT address FROM token_address WHERE token_address.token_id = tokens.token_id ORDER BY address
) AS addresses
FROM tokens WHERE username = $1 ORDER BY token_id
"""
PAGE = 200
# A long log has pages with little in them, and who asks for this waits.
MAX_PAGES = 20
MAX_WORK_S = 3.0


async def get_personal_data(read: Read, params: UserKey) -> PersonalData:
    """All of it, or a refusal. Raises `NotFound`, and `Unavailable` or `TimedOut` while a service is away."""
    row = await read.pool.fetchrow(SELECT_PERSON, params.username)
    if row is None:
        raise NotFound(f"There is no user {params.username}.")
    places = await read.ask(own_places, PersonWanted(username=params.username))
    work, more = await _work(read, params.username)
    return PersonalData(
        user=UserView(**row),
        erased_at=row["erased_at"],
        providers=[KeptProvider(**one) for one in await read.pool.fetch(SELECT_PROVIDERS, params.username)],
        sessions=[KeptSession(**one) for one in await read.pool.fetch(SELECT_SESSIONS, params.username)],
        tokens=[KeptToken(**one) for one in await read.pool.fetch(SELECT_TOKENS, params.username)],
        channels=places.channels,
        work=work,
        work_left_out=more,
    )


async def _work(read: Read, username: str) -> tuple[list[Session], bool]:
    """The newest, and whether there is more, or may be: it is looked for in so many pages and seconds."""
    found: list[Session] = []
    cursor: str | None = None
    until_s = monotonic() + MAX_WORK_S
    for _ in range(MAX_PAGES):
        page = await read.ask(list_sessions, SessionFilter(actor=username, limit=PAGE, cursor=cursor))
        found += page.items
        cursor = page.next_cursor
        if cursor is None or len(found) >= MAX_WORK:
            return found[:MAX_WORK], cursor is not None or len(found) > MAX_WORK
        if monotonic() >= until_s:
            break
    return found, True


async def get_own_data(read: Read, _params: Nothing) -> PersonalData:
    """The same of the caller."""
    return await get_personal_data(read, UserKey(username=read.actor))


TABLE = Table(queries={contract.get_personal_data: get_personal_data, contract.get_own_data: get_own_data})
