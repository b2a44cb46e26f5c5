"""Shares as rows: make, revoke, list, count a use. What opens one never reaches this module, only its SHA-256.

Crash here means: a share is made or it is not, a use is counted or nothing is shown.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from libs.common.changes import changes_in, was
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway import shares as contract
from libs.common.contracts.gateway.shares import (
    OF_A_RUN,
    ShareChanged,
    ShareFilter,
    ShareIssued,
    ShareKey,
    ShareOpen,
    ShareOpened,
    ShareSealed,
    ShareUse,
    ShareUsed,
    ShareView,
    share_created,
    share_revoked,
    share_used,
)
from libs.common.contracts.roles import held_by
from libs.common.personal import MASK, PERMISSION
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.gateway.domain.powers import held_at, held_until, live
from services.gateway.domain.rights import Power
from services.gateway.identity.powers import POWERS, powers_in
from services.gateway.identity.share_ends import COLUMNS
from services.gateway.sharing.things import ITSELF, Thing

MAX_LIVE = 200  # of one person
KEPT = timedelta(days=90)  # after its end
ASK_S = 5.0
DEAD = "This link opens nothing."

# Two shares that one person makes at once count one after the other.
LOCK_SHARER = "SELECT username FROM users WHERE username = $1 AND active AND owner IS NULL FOR NO KEY UPDATE"
COUNT_LIVE = """
SELECT count(*) FROM share WHERE created_by = $1 AND expires_at > $2 AND revoked_at IS NULL AND use_count < max_uses
"""
INSERT_SHARE = f"""
INSERT INTO share (secret_sha256, site, kind, gate, run_id, subject, version, line, label, created_at, created_by,
    expires_at, max_uses)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in
REVOKE_SHARE = f"""
UPDATE share SET revoked_at = coalesce(revoked_at, $3), revoked_by = coalesce(revoked_by, $4)
FROM {was("share", ("revoked_at", "revoked_by"), "share_id", "share_id = $1 AND site = $2")}
RETURNING {COLUMNS}, was.*
"""  # noqa: S608  only a constant of ours is put in
SELECT_SHARES = f"""
SELECT {COLUMNS} FROM share
WHERE site = $1 AND (NOT $2 OR (expires_at > $3 AND revoked_at IS NULL AND use_count < max_uses))
ORDER BY share_id DESC LIMIT 1000
"""  # noqa: S608  only a constant of ours is put in
SELECT_SHARE = "SELECT true FROM share WHERE share_id = $1 AND site = $2"
SELECT_USES = "SELECT use, at, address, agent FROM share_use WHERE share_id = $1 ORDER BY use DESC LIMIT 1000"
# Gateways that open one link at the same moment wait for each other at its row, and the second looks again.
COUNT_USE = """
UPDATE share SET use_count = use_count + 1
WHERE secret_sha256 = $1 AND expires_at > $2 AND revoked_at IS NULL AND use_count < max_uses
RETURNING share_id, site, kind, gate, run_id, subject, version, line, created_by, use_count
"""
INSERT_USE = "INSERT INTO share_use (share_id, use, at, address, agent) VALUES ($1, $2, $3, $4, $5)"
SELECT_SHARER = f"""
SELECT role, sites, own_permissions, {POWERS} FROM users WHERE username = $1 AND active AND owner IS NULL
"""  # noqa: S608  only a constant of ours is put in
DELETE_OLD = """
WITH gone AS (DELETE FROM share WHERE share_id IN
    (SELECT share_id FROM share WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000) RETURNING 1)
SELECT count(*) FROM gone
"""


async def create_share(tx: Tx, body: ShareSealed) -> ShareIssued:
    """Store a link to what is there and the caller may read.

    Raises `Invalid`, `Forbidden`, `NotFound` and `Conflict`.
    """
    thing = _named(body)
    if lacking := sorted(thing.permissions - set(body.caller_permissions)):
        raise Forbidden(f"You may not read that yourself (it takes {', '.join(lacking)}), so you can't share it.")
    await _require(tx, thing)
    if await tx.connection.fetchval(LOCK_SHARER, tx.actor) is None:
        raise Forbidden("Only an active person shares; accounts of machines don't.")
    if await tx.connection.fetchval(COUNT_LIVE, tx.actor, tx.now) >= MAX_LIVE:
        raise Conflict(f"You have {MAX_LIVE} share links that still work; revoke some first.")
    wanted, powers = thing.permissions | {ITSELF}, await _powers_of(tx.connection, tx.actor, tx.now)
    if not wanted <= held_at(powers, tx.site):
        raise Forbidden("You may not share or read that any more.")
    asked = tx.now + timedelta(hours=body.expires_in_hours)
    held = held_until(powers, tx.site, wanted)
    row = await tx.connection.fetchrow(
        INSERT_SHARE,
        bytes.fromhex(body.secret_sha256),
        tx.site,
        thing.kind,
        thing.gate,
        thing.run_id,
        thing.subject,
        thing.version,
        thing.line,
        body.label,
        tx.now,
        tx.actor,
        asked if held is None else min(asked, held),  # what was lent takes the link along
        body.max_uses,
    )
    if row is None:
        raise Conflict("This secret is in use already; ask again.")
    tx.emit(share_created, ShareView(**row), subject=str(row["share_id"]))
    return ShareIssued(**row)


def _named(body: ShareSealed) -> Thing:
    """What is to be shared, if it is named by what names such a thing and nothing else. Raises `Invalid`."""
    if body.kind in OF_A_RUN:
        if body.run_id is None:
            raise Invalid(f"run_id: a {body.kind} is named by the number of its run.")
        if (body.subject, body.version, body.line) != (None, None, None):
            raise Invalid(f"A {body.kind} is named by gate and run_id alone; leave subject, version and line out.")
    elif body.run_id is not None:
        raise Invalid(f"run_id: a {body.kind} is of no run; it shows what is so when it is opened.")
    elif body.kind == "board" and body.version is not None:
        raise Invalid("version: a board is of no single version; leave it out.")
    return Thing.of(body.model_dump())


async def _require(tx: Tx, thing: Thing) -> None:
    """Raise `NotFound` for what is not there. The capsule itself is not fetched: its run says whether it has one."""
    query, params = thing.questions()[0]
    found = await tx.ask(query, params, timeout_s=ASK_S)
    if thing.kind == "capsule" and found.capsule_sha256 is None:
        raise NotFound(f"The run {thing.run_id} is of before capsules were kept, so it has none; share the run.")


async def revoke_share(tx: Tx, body: ShareKey) -> ShareView:
    """Let a link open nothing any more; twice changes nothing more. Raises `NotFound`, also for another site's."""
    row = await tx.connection.fetchrow(REVOKE_SHARE, body.share_id, tx.site, tx.now, tx.actor)
    if row is None:
        raise _unknown(body.share_id)
    view = ShareView(**row)
    told = ShareChanged(**view.model_dump(), changes=changes_in(row))
    tx.emit(share_revoked, told, subject=str(view.share_id))
    return view


async def list_shares(read: Read, wanted: ShareFilter) -> list[ShareView]:
    """The site's, newest first, at most 1,000."""
    rows = await read.pool.fetch(SELECT_SHARES, read.site, wanted.active_only, read.now)
    return [ShareView(**row) for row in rows]


async def list_uses(read: Read, key: ShareKey) -> list[ShareUse]:
    """When and from where a link of the site was opened. Raises `NotFound`."""
    if not await read.pool.fetchval(SELECT_SHARE, key.share_id, read.site):
        raise _unknown(key.share_id)
    uses = [ShareUse(**row) for row in await read.pool.fetch(SELECT_USES, key.share_id)]
    if PERMISSION in read.permissions:
        return uses
    return [one.model_copy(update={"address": MASK, "agent": MASK}) for one in uses]


async def use_share(tx: Tx, body: ShareOpen) -> ShareOpened:
    """Count a use, if the link and its sharer's right hold at this moment. Raises `NotFound` and counts nothing."""
    row = await tx.connection.fetchrow(COUNT_USE, bytes.fromhex(body.secret_sha256), tx.now)
    if row is None or not await may_show(tx.connection, row, tx.now):
        raise NotFound(DEAD)
    number, use = row["share_id"], row["use_count"]
    await tx.connection.execute(INSERT_USE, number, use, tx.now, body.address, body.agent)
    told = ShareUsed(share_id=number, use=use, changes=stated({"use_count": use - 1}, {"use_count": use}))
    tx.emit(share_used, told, subject=str(number))
    return ShareOpened(share_id=number, use=use)


async def may_show(connection: Connection, share: asyncpg.Record, now: datetime) -> bool:
    """Whether who made the link could make it now: an active person who may share and read that at that site.

    What is held by a grant or a team counts like the role: it is looked at here each time, so it ends here in time.
    """
    powers = await _powers_of(connection, share["created_by"], now)
    return Thing.of(share).permissions | {ITSELF} <= held_at(powers, share["site"])


async def _powers_of(connection: Connection, sharer: str, now: datetime) -> tuple[Power, ...]:
    """What an active person holds now; nothing for others."""
    row = await connection.fetchrow(SELECT_SHARER, sharer)
    if row is None:
        return ()
    own = Power(row["role"], held_by(row["role"], row["own_permissions"]), tuple(row["sites"]))
    return own, *live(powers_in(row["powers"]), now)


async def watch(tx: Tx) -> JobDone | None:
    """Forget what could not be opened any more 90 days ago, with its uses."""
    removed = await tx.connection.fetchval(DELETE_OLD, tx.now - KEPT)
    return JobDone(detail={"removed_count": removed}) if removed else None


def _unknown(number: int) -> NotFound:
    return NotFound(f"There is no share {number} in this site; GET /api/shares lists them.")


TABLE = Table(
    commands={
        contract.create_share: create_share,
        contract.revoke_share: revoke_share,
        contract.use_share: use_share,
    },
    queries={contract.list_shares: list_shares, contract.list_uses: list_uses},
    jobs=(Job("share_watch", Schedule("41 3 * * *"), watch, looks=True),),
)
