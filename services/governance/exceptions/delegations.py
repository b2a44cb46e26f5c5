"""Delegations: who stands in for whom. Only oneself delegates, and only what one may oneself at the time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Page
from libs.common.contracts.changes import newly
from libs.common.contracts.gateway.users import UserView, user_changed
from libs.common.contracts.governance import delegations as contract
from libs.common.contracts.governance.delegations import (
    MAX_DAYS,
    MAX_OPEN,
    Delegation,
    DelegationEnd,
    DelegationEnded,
    DelegationFilter,
    SealedDelegation,
)
from libs.common.contracts.roles import held_by
from libs.common.listing import Listing, newest
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from services.governance.exceptions.voters import people_of

_COLUMNS = listed(names_of(Delegation, without=("in_force",)))
COUNT_OPEN = """
SELECT count(*) FROM delegations WHERE site = $1 AND from_user = $2 AND ended_at IS NULL AND ends_at > $3
"""
INSERT_DELEGATION = f"""
INSERT INTO delegations (site, from_user, to_user, begins_at, ends_at, reason, delegated_at, role)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
SELECT_DELEGATION = f"SELECT {_COLUMNS} FROM delegations WHERE delegation_id = $1 AND site = $2"  # noqa: S608
END_DELEGATION = f"""
UPDATE delegations SET ended_by = $2, ended_at = $3, end_reason = $4
WHERE delegation_id = $1 AND ended_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608
# Users are told in any order: the highest revision is what is so.
NOTE_USER = """
UPDATE delegations SET role = $2, is_able = $3 AND ($4::text[] && ARRAY['*', site]), revision = $5
WHERE from_user = $1 AND ended_at IS NULL AND revision < $5
"""
LIST_DELEGATIONS = Listing(
    table="delegations",
    columns=_COLUMNS,
    scope={"site": "text"},
    filters={"from_user": "text", "to_user": "text"},
    order=newest("delegation_id"),
)


def _shown(row: Any, now: datetime) -> Delegation:
    open_ = row["ended_at"] is None and row["begins_at"] <= now < row["ends_at"]
    return Delegation(**row, in_force=open_ and row["is_able"])


async def delegate(tx: Tx, body: SealedDelegation) -> Delegation:
    """Have somebody stand in for the caller. Raises `Invalid` for oneself or a wrong time, `Conflict`."""
    people = await people_of(tx.connection, tx.site)
    if people.human(body.to_user) == people.human(tx.actor):
        raise Invalid("You can't stand in for yourself; name another person.")
    begins_at = max(body.begins_at or tx.now, tx.now)
    if body.ends_at <= begins_at or body.ends_at - tx.now > timedelta(days=MAX_DAYS):
        raise Invalid(f"A delegation ends after it begins, and at most {MAX_DAYS} days from now.", max_days=MAX_DAYS)
    if await tx.connection.fetchval(COUNT_OPEN, tx.site, tx.actor, tx.now) >= MAX_OPEN:
        raise Conflict(f"You have {MAX_OPEN} delegations at this site, which is all there may be; end one.")
    values = (body.to_user, begins_at, body.ends_at, body.reason, tx.now, body.caller_role)
    row = await tx.connection.fetchrow(INSERT_DELEGATION, tx.site, tx.actor, *values)
    given = _shown(row, tx.now)
    tx.emit(contract.delegation_given, given, subject=str(given.delegation_id))
    return given


async def end(tx: Tx, body: DelegationEnd) -> Delegation:
    """End a delegation. Raises `NotFound`, `Conflict`, and `Forbidden` to anybody else than the two."""
    known = await tx.connection.fetchrow(SELECT_DELEGATION, body.delegation_id, tx.site)
    if known is None:
        raise NotFound(f"There is no delegation {body.delegation_id} in this site.")
    if tx.actor not in (known["from_user"], known["to_user"]):
        raise Forbidden(f"This is between {known['from_user']} and {known['to_user']}; one of the two can end it.")
    row = await tx.connection.fetchrow(END_DELEGATION, body.delegation_id, tx.actor, tx.now, body.reason)
    if row is None:
        raise Conflict(f"The delegation {body.delegation_id} was ended before.")
    ended = _shown(row, tx.now)
    changes = newly(ended, "ended_by", "ended_at", "end_reason")
    tx.emit(
        contract.delegation_ended,
        DelegationEnded(**ended.model_dump(), changes=changes),
        subject=str(ended.delegation_id),
    )
    return ended


async def on_user(tx: Tx, data: UserView) -> None:
    """Whoever may not approve any more can't have others do it."""
    able = data.active and "gate:approve" in held_by(data.role, data.own_permissions)
    await tx.connection.execute(NOTE_USER, data.username, data.role, able, data.sites, data.revision)


async def list_delegations(read: Read, wanted: DelegationFilter) -> Page[Delegation]:
    """A page of the site's delegations, newest first. Raises `Invalid`."""
    given = {"site": read.site, **wanted.model_dump(include=set(LIST_DELEGATIONS.filters))}
    found = await LIST_DELEGATIONS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Delegation](items=[_shown(row, read.now) for row in found.rows], next_cursor=found.next_cursor)


TABLE = Table(
    commands={contract.delegate: delegate, contract.end_delegation: end},
    queries={contract.list_delegations: list_delegations},
    events={user_changed: on_user},
)
