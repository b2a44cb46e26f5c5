"""People: the gateway's users as the tracker knows them, their limits and absences.

Users are told by the gateway as they change. Those who were there before the tracker listened are asked for once, when
people are needed for the first time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common.changes import changes_in, was
from libs.common.columns import listed, names_of
from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway.users import (
    UsersAfter,
    UsersNamed,
    UserTold,
    UserView,
    name_users,
    page_users,
    user_changed,
    user_created,
)
from libs.common.contracts.tracker import people as contract
from libs.common.contracts.tracker.people import (
    AbsenceCancelled,
    AbsenceKey,
    AbsenceView,
    OwnAbsence,
    OwnAbsenceKey,
    PersonAbsence,
    PersonLimit,
    PersonLimited,
    PersonView,
    absence_cancelled,
    absence_set,
    person_limited,
)
from libs.common.listing import Source
from libs.common.problems import Conflict, Invalid, NotFound, TimedOut, Unavailable
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.common.telemetry import log
from services.tracker.domain.assignment import OWNERS_WORK, ROLES, SOON, in_items, load_of
from services.tracker.domain.duty import Duty

USERS_AT_ONCE = 500
MAX_AWAY = timedelta(days=366)
MAX_ABSENCES = 50  # of one person that are not over

# A person of an older revision is no news. In the order of names, so that two of these never wait for each other.
KEEP_PEOPLE = """
INSERT INTO person (username, role, sites, active, revision)
SELECT username, role, sites, active, revision FROM jsonb_populate_recordset(NULL::person, $1)
ORDER BY username
ON CONFLICT (username) DO UPDATE SET role = EXCLUDED.role, sites = EXCLUDED.sites,
    active = EXCLUDED.active, revision = EXCLUDED.revision
WHERE person.revision < EXCLUDED.revision
"""
SELECT_SINCE = "SELECT since FROM people_known"
SET_SINCE = "UPDATE people_known SET since = $1 WHERE since IS NULL"
_HERE = "active AND sites && ARRAY['*', $1] AND role = ANY ($2::text[])"
SELECT_PEOPLE = f"""
SELECT username, role, max_open_items, (
    SELECT max(away_to) FROM absence
    WHERE absence.username = person.username AND cancelled_at IS NULL AND away_from <= $3 AND away_to > $3
) AS away_until
FROM person WHERE {_HERE} ORDER BY username
"""  # noqa: S608 - our own text
# Whoever is told of things; nobody while not all people are known. Who has left is away for good, at every site.
SELECT_DUTY = """
SELECT username, role, NOT active OR EXISTS (
    SELECT FROM absence
    WHERE absence.username = person.username AND cancelled_at IS NULL AND away_from <= $2 AND away_to > $2
) AS away
FROM person CROSS JOIN people_known
WHERE since IS NOT NULL AND (NOT active OR sites && ARRAY['*', $1]) ORDER BY username
"""
SELECT_PERSON = f"SELECT username FROM person WHERE {_HERE} AND username = $3"  # noqa: S608
# Open items wherever they are: a person has one day for all sites. While a clock is paused nothing is urgent.
COUNT_LOADS = """
SELECT assignee, priority, CASE WHEN paused_at IS NOT NULL THEN 'later' WHEN due_at < $2 THEN 'late'
    WHEN due_at <= $3 THEN 'soon' ELSE 'later' END AS urgency, count(*) AS count
FROM item WHERE is_active AND status <> 'done' AND assignee = ANY ($1::text[])
GROUP BY 1, 2, 3
"""
_ABSENCE = listed(names_of(AbsenceView))
SELECT_ABSENCES = f"""
SELECT {_ABSENCE} FROM absence WHERE username = ANY ($1::text[]) AND cancelled_at IS NULL AND away_to > $2
ORDER BY username, away_from, absence_id
"""  # noqa: S608
LOCK_PERSON = "SELECT username FROM person WHERE username = $1 FOR UPDATE"
COUNT_ABSENCES = "SELECT count(*) FROM absence WHERE username = $1 AND cancelled_at IS NULL AND away_to > $2"
INSERT_ABSENCE = f"""
INSERT INTO absence (username, away_from, away_to, created_by, created_at) VALUES ($1, $2, $3, $4, $5)
RETURNING {_ABSENCE}
"""  # noqa: S608
CANCEL_ABSENCE = f"""
UPDATE absence SET cancelled_by = $3, cancelled_at = $4
WHERE absence_id = $1 AND username = $2 AND cancelled_at IS NULL RETURNING {_ABSENCE}
"""  # noqa: S608
LIMIT_PERSON = f"""
UPDATE person SET max_open_items = $2 FROM {was("person", ("max_open_items",), "username", "username = $1")}
RETURNING max_open_items, was.*
"""  # noqa: S608

Ask = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Load:
    """What somebody has to do at all sites together; ``halves`` as in `domain.assignment`."""

    open_items: int = 0
    halves: int = 0


async def on_user(tx: Tx, data: UserTold) -> None:
    """Keep what the gateway tells of a user, unless something newer is known."""
    await tx.connection.execute(KEEP_PEOPLE, [data.model_dump(mode="json")])


async def learn(tx: Tx) -> None:
    """Ask for the users who were there before the tracker listened, if that has not been done yet.

    To be called before anything is locked. Raises `Unavailable` or `TimedOut` while the gateway is away.
    """
    if await tx.connection.fetchval(SELECT_SINCE) is None:
        users = await _users(tx.ask)
        await tx.connection.execute(KEEP_PEOPLE, [user.model_dump(mode="json") for user in users])
        await tx.connection.execute(SET_SINCE, tx.now)


async def learn_early(tx: Tx) -> JobDone | None:
    """The minute's job: nobody is told of as a role's before people are known, so that does not wait for a person."""
    try:
        await learn(tx)
    except (Unavailable, TimedOut) as error:
        log.warning("people are not known yet", error=error.detail)
    return None


async def _users(ask: Ask) -> list[UserView]:
    found: list[UserView] = []
    while True:
        after = found[-1].username if found else ""
        page = await ask(page_users, UsersAfter(username=after, limit=USERS_AT_ONCE))
        found += page
        if len(page) < USERS_AT_ONCE:
            return found


async def people_of(source: Source, site: str, now: datetime) -> list[asyncpg.Record]:
    """Who may be given items at a site, by name: username, role, max_open_items, away_until."""
    return await source.fetch(SELECT_PEOPLE, site, list(ROLES), now)


async def loads_of(source: Source, usernames: Iterable[str], now: datetime) -> dict[str, Load]:
    """What these have to do; somebody without open items is left out."""
    found: dict[str, Load] = {}
    for row in await source.fetch(COUNT_LOADS, list(usernames), now, now + SOON):
        before = found.get(row["assignee"], Load())
        halves = load_of({(row["priority"], row["urgency"]): row["count"]})
        found[row["assignee"]] = Load(before.open_items + row["count"], before.halves + halves)
    return found


async def duty_of(source: Source, site: str, now: datetime) -> Duty:
    """Who is there at a site, in whatever role. What is owners' work is the managers' while no owner is there."""
    by_role: dict[str, list[str]] = {}
    away: set[str] = set()
    for row in await source.fetch(SELECT_DUTY, site, now):
        if row["away"]:
            away.add(row["username"])
        else:
            by_role.setdefault(row["role"], []).append(row["username"])
    here = {role: tuple(names) for role, names in by_role.items()}
    lead = here.get("owner") or here.get("manager")
    return Duty(here, dict.fromkeys(OWNERS_WORK, lead) if lead else {}, frozenset(away))


async def require_person(tx: Tx, username: str) -> None:
    """Raise `NotFound` unless items may be given to this person at ``tx.site``."""
    await learn(tx)
    if await tx.connection.fetchval(SELECT_PERSON, tx.site, list(ROLES), username) is None:
        raise NotFound(
            f"Nobody called {username} works on the items of this site: it takes an active user with the role owner, "
            "manager or operator and this site in scope."
        )


async def people_here(read: Read) -> list[Mapping[str, Any]]:
    """The same for a question. Until people have been learnt the gateway is asked instead; raises then as `learn`."""
    if await read.pool.fetchval(SELECT_SINCE) is not None:
        return [dict(row) for row in await people_of(read.pool, read.site, read.now)]
    return [
        {**user.model_dump(include={"username", "role"}), "max_open_items": None, "away_until": None}
        for user in await _users(read.ask)
        if user.active and user.role in ROLES and {"*", read.site} & set(user.sites)
    ]


async def list_people(read: Read, _params: Nothing) -> list[PersonView]:
    """Who may be given items at the site, by name. While the gateway is away, people have no other name than that."""
    found = await persons(read)
    called: dict[str, str] = {}
    for start in range(0, len(found), USERS_AT_ONCE):
        some = [one.username for one in found[start : start + USERS_AT_ONCE]]
        with contextlib.suppress(Unavailable, TimedOut):
            names = await read.ask(name_users, UsersNamed(usernames=some))
            called |= {one.username: one.display_name for one in names}
    return [one.model_copy(update={"display_name": called.get(one.username, "")}) for one in found]


async def persons(read: Read) -> list[PersonView]:
    """The same without the names that people read, which the gateway keeps."""
    people = await people_here(read)
    names = [row["username"] for row in people]
    loads = await loads_of(read.pool, names, read.now)
    away: dict[str, list[AbsenceView]] = {}
    for row in await read.pool.fetch(SELECT_ABSENCES, names, read.now):
        away.setdefault(row["username"], []).append(AbsenceView(**row))
    return [_person(row, loads.get(row["username"], Load()), away.get(row["username"], [])) for row in people]


def _person(row: Mapping[str, Any], load: Load, absences: Sequence[AbsenceView]) -> PersonView:
    return PersonView(
        username=row["username"],
        display_name="",
        role=row["role"],
        open_items=load.open_items,
        load=in_items(load.halves),
        max_open_items=row["max_open_items"],
        absences=list(absences),
    )


async def set_own_absence(tx: Tx, body: OwnAbsence) -> AbsenceView:
    """The caller will be away. Raises `NotFound`, `Invalid`, `Conflict`."""
    return await _set_absence(tx, tx.actor, body.away_from, body.away_to)


async def set_absence(tx: Tx, body: PersonAbsence) -> AbsenceView:
    """A person of the site will be away. Raises `NotFound`, `Invalid`, `Conflict`."""
    return await _set_absence(tx, body.username, body.away_from, body.away_to)


async def _set_absence(tx: Tx, username: str, away_from: datetime, away_to: datetime) -> AbsenceView:
    if away_to <= away_from or away_to <= tx.now or away_to - away_from > MAX_AWAY:
        raise Invalid(
            f"An absence ends after it begins, in the future, and lasts at most {MAX_AWAY.days} days; this one is from "
            f"{away_from.isoformat()} to {away_to.isoformat()}."
        )
    await require_person(tx, username)
    await tx.connection.fetchval(LOCK_PERSON, username)  # so that two at once are counted one after the other
    if await tx.connection.fetchval(COUNT_ABSENCES, username, tx.now) >= MAX_ABSENCES:
        raise Conflict(f"{username} has {MAX_ABSENCES} absences that are not over; cancel one of them first.")
    row = await tx.connection.fetchrow(INSERT_ABSENCE, username, away_from, away_to, tx.actor, tx.now)
    assert row is not None  # noqa: S101 - an INSERT returns its row
    view = AbsenceView(**row)
    tx.emit(absence_set, view, subject=str(view.absence_id))
    return view


async def cancel_own_absence(tx: Tx, body: OwnAbsenceKey) -> AbsenceView:
    """Take back an absence of the caller. Raises `NotFound`."""
    return await _cancel_absence(tx, tx.actor, body.absence_id)


async def cancel_absence(tx: Tx, body: AbsenceKey) -> AbsenceView:
    """Take back an absence of a person of the site. Raises `NotFound`."""
    await require_person(tx, body.username)
    return await _cancel_absence(tx, body.username, body.absence_id)


async def _cancel_absence(tx: Tx, username: str, absence_id: int) -> AbsenceView:
    row = await tx.connection.fetchrow(CANCEL_ABSENCE, absence_id, username, tx.actor, tx.now)
    if row is None:
        raise NotFound(f"{username} has no absence {absence_id}, or it was taken back before.")
    view = AbsenceView(**row)
    told = AbsenceCancelled(**row, changes=stated({}, {"cancelled_by": tx.actor, "cancelled_at": tx.now}))
    tx.emit(absence_cancelled, told, subject=str(absence_id))
    return view


async def limit_person(tx: Tx, body: PersonLimit) -> PersonLimited:
    """Limit how many open items a person of the site is given; what they have they keep. Raises `NotFound`."""
    await require_person(tx, body.username)
    row = await tx.connection.fetchrow(LIMIT_PERSON, body.username, body.max_open_items)
    assert row is not None  # noqa: S101 - there is such a person
    view = PersonLimited(username=body.username, max_open_items=body.max_open_items, changes=changes_in(row))
    tx.emit(person_limited, view, subject=body.username)
    return view


TABLE = Table(
    commands={
        contract.set_own_absence: set_own_absence,
        contract.cancel_own_absence: cancel_own_absence,
        contract.set_absence: set_absence,
        contract.cancel_absence: cancel_absence,
        contract.limit_person: limit_person,
    },
    queries={contract.list_people: list_people},
    events={user_created: on_user, user_changed: on_user},
    jobs=(Job("learn_people", Schedule("* * * * *"), learn_early, looks=True),),
)
