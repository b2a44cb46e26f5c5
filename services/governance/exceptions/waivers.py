"""Waivers: asked for by one person, approved by another, over by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Event, Page
from libs.common.contracts.changes import told_of
from libs.common.contracts.governance import waivers as contract
from libs.common.contracts.governance.waivers import (
    MAX_DAYS,
    MAX_DAYS_WITHOUT_EVIDENCE,
    MAX_OPEN_WAIVERS,
    Waiver,
    WaiverChanged,
    WaiverFilter,
    WaiverKey,
    WaiverRequest,
    WaiverWord,
)
from libs.common.listing import Listing, newest
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from libs.judge.policy import Policy
from services.governance.catalog import SITE_SUBJECT, Catalog
from services.governance.exceptions.budget import spend
from services.governance.exceptions.lifecycle import REQUESTS, Lifecycle, Way
from services.governance.exceptions.voters import Thing, second_word

_COLUMNS = listed(names_of(Waiver, without=("in_force",)))
COUNT_OPEN = """
SELECT count(*) FROM waivers
WHERE site = $1 AND gate = $2 AND subject = $3 AND state IN ('requested', 'approved') AND ends_at > $4
"""
INSERT_WAIVER = f"""
INSERT INTO waivers (site, gate, subject, version, rule_id, fingerprint, without_evidence, reason, issue, requested_by,
    requested_at, ends_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
LOCK_WAIVER = f"SELECT {_COLUMNS} FROM waivers WHERE waiver_id = $1 AND site = $2 FOR UPDATE"  # noqa: S608
SELECT_WAIVER = f"SELECT {_COLUMNS} FROM waivers WHERE waiver_id = $1 AND site = $2"  # noqa: S608
DECIDE_WAIVER = f"""
UPDATE waivers SET state = $2, decided_by = $3, decided_at = $4::timestamptz, decision_reason = $5,
    begins_at = CASE WHEN $2 = 'approved' THEN $4::timestamptz END
WHERE waiver_id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
END_WAIVER = f"""
UPDATE waivers SET state = $2, ended_by = $3, ended_at = $4, end_reason = $5 WHERE waiver_id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
LIST_WAIVERS = Listing(
    table="waivers",
    columns=_COLUMNS,
    scope={"site": "text"},
    filters={"gate": "text", "subject": "text", "state": "text"},
    order=newest("waiver_id"),
)


def _to_waiver(row: asyncpg.Record, now: datetime) -> Waiver:
    return Waiver(**row, in_force=row["state"] == "approved" and row["begins_at"] <= now < row["ends_at"])


async def request_waiver(catalog: Catalog, tx: Tx, body: WaiverRequest) -> Waiver:
    """Ask for a waiver; nothing counts until somebody else approves it.

    Raises `NotFound` for an unknown gate, `Invalid` for a rule or a subject that it has not and for an end that is past
    or too far, `Conflict` if there are too many.
    """
    policy = (await catalog.in_force(tx.connection, body.gate, tx.site)).policy(body.subject or SITE_SUBJECT)
    rules = [rule.id for rule in policy.rules]
    if body.rule_id not in rules:
        raise Invalid(f"The gate {body.gate} has no rule {body.rule_id}; its rules are {', '.join(rules)}.")
    if policy.subject_mode == "site" and (body.subject or body.version):
        raise Invalid(f"The gate {body.gate} judges a whole site; leave subject and version out.")
    if policy.subject_mode == "version" and body.subject is None:
        raise Invalid(f"The gate {body.gate} judges one subject; say which.")
    if body.without_evidence and body.fingerprint:
        raise Invalid("A finding is waived once it was seen; leave without_evidence out, or the fingerprint.")
    if policy.waivers.issue_required and body.issue is None:
        raise Invalid(f"The policy of the gate {body.gate} wants an issue for each waiver; give its id.")
    _check_end(policy, body.ends_at, tx.now, body.without_evidence)
    subject = body.subject or SITE_SUBJECT
    if await tx.connection.fetchval(COUNT_OPEN, tx.site, body.gate, subject, tx.now) >= MAX_OPEN_WAIVERS:
        raise Conflict(f"This subject has {MAX_OPEN_WAIVERS} waivers asked for or in force, which is all it may have.")
    version, fingerprint = body.version or "", body.fingerprint or ""
    about = (tx.site, body.gate, subject, version, body.rule_id, fingerprint, body.without_evidence)
    row = await tx.connection.fetchrow(
        INSERT_WAIVER, *about, body.reason, body.issue or "", tx.actor, tx.now, body.ends_at
    )
    return _tell(tx, contract.waiver_requested, row)


def _check_end(policy: Policy, ends_at: datetime, now: datetime, without_evidence: bool) -> None:
    days = MAX_DAYS if policy.waivers.max_days is None else policy.waivers.max_days
    days = min(days, MAX_DAYS_WITHOUT_EVIDENCE) if without_evidence else days
    if ends_at <= now:
        raise Invalid("A waiver must end in the future; give a later ends_at.")
    if ends_at - now > timedelta(days=days):
        raise Invalid(f"This waiver may last {days} days at most; give an earlier ends_at.", max_days=days)


def _tell(tx: Tx, event: Event, row: Any, before: Any = None) -> Waiver:
    waiver = _to_waiver(row, tx.now)
    told = waiver if before is None else told_of(WaiverChanged, waiver, before)
    tx.emit(event, told, subject=str(waiver.waiver_id))
    REQUESTS.labels(waiver.state).inc()
    return waiver


WAIVERS = Lifecycle("waiver", "waiver", SELECT_WAIVER, LOCK_WAIVER, DECIDE_WAIVER, END_WAIVER, _tell)
_WITHDRAWN = Way("withdrawn", contract.waiver_withdrawn, True, ("requested", "approved"))
_REVOKED = Way("revoked", contract.waiver_revoked, False, ("approved",))


async def approve_waiver(catalog: Catalog, tx: Tx, body: WaiverWord) -> Waiver:
    """Put a waiver in force. Raises `Forbidden` to who asked for it, `NotFound`, `Conflict`, `Invalid`."""
    row = await WAIVERS.locked(tx, body.waiver_id, "requested")
    policy = (await catalog.in_force(tx.connection, row["gate"], tx.site)).policy(row["subject"])
    _check_end(policy, row["ends_at"], tx.now, row["without_evidence"])
    thing = Thing(tx.site, row["gate"], row["subject"], row["version"], "waiver", str(body.waiver_id))
    await second_word(tx, thing, row["requested_by"], body.reason, dict(row))
    await spend(catalog, tx, "waiver", str(body.waiver_id), row["gate"], row["subject"], row["rule_id"])
    return await WAIVERS.decided(tx, row, "approved", body.reason, contract.waiver_approved)


async def decline_waiver(tx: Tx, body: WaiverWord) -> Waiver:
    """Say no to a waiver. Raises `NotFound`, `Conflict`."""
    return await WAIVERS.decline(contract.waiver_declined, tx, body.waiver_id, body.reason)


async def end_waiver(way: Way, tx: Tx, body: WaiverWord) -> Waiver:
    """End a waiver before its day. Raises `NotFound`, `Conflict`, and `Forbidden` where only who asked for it may."""
    return await WAIVERS.end(way, tx, body.waiver_id, body.reason)


async def list_waivers(read: Read, wanted: WaiverFilter) -> Page[Waiver]:
    """A page of the site's waivers, newest first. Raises `Invalid`."""
    given = {"site": read.site, **wanted.model_dump(include=set(LIST_WAIVERS.filters))}
    found = await LIST_WAIVERS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Waiver](items=[_to_waiver(row, read.now) for row in found.rows], next_cursor=found.next_cursor)


async def get_waiver(read: Read, key: WaiverKey) -> Waiver:
    """One waiver. Raises `NotFound`, also for one of another site."""
    row = await read.pool.fetchrow(SELECT_WAIVER, key.waiver_id, read.site)
    if row is None:
        raise NotFound(f"There is no waiver {key.waiver_id} in this site.")
    return _to_waiver(row, read.now)


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        commands={
            contract.request_waiver: partial(request_waiver, catalog),
            contract.approve_waiver: partial(approve_waiver, catalog),
            contract.decline_waiver: decline_waiver,
            contract.withdraw_waiver: partial(end_waiver, _WITHDRAWN),
            contract.revoke_waiver: partial(end_waiver, _REVOKED),
        },
        queries={contract.list_waivers: list_waivers, contract.get_waiver: get_waiver},
    )
