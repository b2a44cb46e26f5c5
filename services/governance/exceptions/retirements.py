"""Retirements: a person ends a fact that no signal would end. What they do to a verdict: `libs.judge.retirements`."""

from __future__ import annotations

from glob import escape
from typing import Any

import asyncpg

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Event, Page
from libs.common.contracts.changes import told_of
from libs.common.contracts.governance import facts as contract
from libs.common.contracts.governance.facts import (
    MAX_RETIREMENTS,
    FactRetire,
    RetiredWhat,
    Retirement,
    RetirementChanged,
    RetirementFilter,
    RetirementWord,
)
from libs.common.listing import Filter, Listing, newest
from libs.common.problems import Conflict, NotFound
from libs.common.service import Read, Table, Tx
from libs.judge.derive import COMPARED_KINDS
from services.governance.exceptions.voters import Thing, second_word
from services.governance.recheck import recheck

_COLUMNS = listed(names_of(Retirement))
# Which word of the subject the signal is: the newest of a part, a sender's newest that can't be read, or one that a
# last GO used and that is wanted since.
SELECT_TARGET = """
SELECT signals.kind, signals.part, signals.version, signals.valid, least(signals.time, signals.received_at) AS seen_at,
    asked.subject,
    EXISTS (
        SELECT FROM report_heads AS heads WHERE heads.signal_id = signals.signal_id AND heads.site = $1
            AND heads.subject = asked.subject AND NOT heads.readable
    ) AS is_unread,
    EXISTS (
        SELECT FROM report_heads AS heads WHERE heads.signal_id = signals.signal_id AND heads.site = $1
            AND heads.subject = asked.subject AND heads.good_signal_id IS NOT NULL
    ) AS was_readable,
    EXISTS (
        SELECT FROM gate_lines JOIN runs ON runs.run_id = gate_lines.last_go_run_id
        WHERE gate_lines.site = $1 AND gate_lines.subject = asked.subject
            AND runs.fact_signals @> ARRAY[signals.signal_id] AND signals.kind = ANY ($4::text[])
    ) AS is_wanted
FROM signals CROSS JOIN LATERAL (SELECT coalesce($3::text, signals.subject) AS subject) AS asked
WHERE signals.site = $1 AND signals.signal_id = $2
"""
SELECT_PART = """
SELECT fact_id, signal_id, good_signal_id, voice FROM facts
WHERE site = $1 AND subject = $2 AND version = $3 AND kind = $4 AND part = $5 ORDER BY voice
"""
SELECT_TEST = """
SELECT signal_id, time FROM open_failures WHERE fact_id = $1 AND test = $2
"""
COUNT_OPEN_TESTS = "SELECT count(*) FROM open_failures WHERE fact_id = $1"
COUNT_RETIREMENTS = "SELECT count(*) FROM retirements WHERE site = $1 AND subject = $2 AND ended_at IS NULL"
SELECT_SAME = """
SELECT retirement_id, retired_by FROM retirements
WHERE site = $1 AND subject = $2 AND version = $3 AND kind = $4 AND part = $5 AND what = $6 AND test = $7
    AND (seen_at, signal_id) >= ($8::timestamptz, $9::bigint) AND ended_at IS NULL
"""
INSERT_RETIREMENT = f"""
INSERT INTO retirements (site, subject, version, kind, part, what, test, seen_at, signal_id, reason, issue, retired_by,
    retired_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
SELECT_RETIREMENT = f"SELECT {_COLUMNS} FROM retirements WHERE retirement_id = $1 AND site = $2"  # noqa: S608
LOCK_RETIREMENT = f"{SELECT_RETIREMENT} FOR UPDATE"
APPROVE_RETIREMENT = f"""
UPDATE retirements SET approved_by = $2, approved_at = $3, approval_reason = $4 WHERE retirement_id = $1
RETURNING {_COLUMNS}
"""  # noqa: S608
END_RETIREMENT = f"""
UPDATE retirements SET ended_by = $2, ended_at = $3, end_reason = $4 WHERE retirement_id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
LIST_RETIREMENTS = Listing(
    table="retirements",
    columns=_COLUMNS,
    scope={"site": "text"},
    filters={"subject": "text", "kind": "text", "in_force": Filter("boolean", "(ended_at IS NULL) = {}")},
    order=newest("retirement_id"),
)


async def retire_fact(tx: Tx, body: FactRetire) -> Retirement:
    """End what was said up to a signal. GOs of the subject are judged again at once.

    Raises `NotFound` for a signal that the site has not, `Conflict` for one that is no fact, or covers what would count
    without it, and where too many are in force.
    """
    target = await tx.connection.fetchrow(SELECT_TARGET, tx.site, body.signal_id, body.subject, sorted(COMPARED_KINDS))
    if target is None:
        raise NotFound(f"There is no signal {body.signal_id} in this site.")
    subject = target["subject"]
    await recheck(tx, site=tx.site, subjects=escape(subject))
    about = (tx.site, subject, target["version"], target["kind"], target["part"])
    facts = await tx.connection.fetch(SELECT_PART, *about)
    seen = (target["seen_at"], body.signal_id)
    what: RetiredWhat = "part"
    if body.test is not None:
        what, seen = "test", await _failure(tx, facts, seen, body.test)
    elif target["is_unread"]:
        what = "sender"
        if target["version"] and target["was_readable"]:
            raise Conflict(_stays(target, "readable reports of this sender came before it"))
    else:
        await _check_part(tx, target, facts, body.signal_id)
    same = await tx.connection.fetchrow(SELECT_SAME, *about, what, body.test or "", *seen)
    if same is not None:
        raise Conflict(f"{same['retired_by']} has retired it already (retirement {same['retirement_id']}).")
    if await tx.connection.fetchval(COUNT_RETIREMENTS, tx.site, subject) >= MAX_RETIREMENTS:
        raise Conflict(f"{subject} has {MAX_RETIREMENTS} retirements in force; revoke some that are of no use.")
    row = await tx.connection.fetchrow(
        INSERT_RETIREMENT, *about, what, body.test or "", *seen, body.reason, body.issue or "", tx.actor, tx.now
    )
    return _tell(tx, contract.fact_retired, row)


async def _failure(tx: Tx, facts: list[asyncpg.Record], seen: tuple[Any, int], test: str) -> tuple[Any, int]:
    """The last signal that showed a test of the part failing."""
    row = await tx.connection.fetchrow(SELECT_TEST, facts[0]["fact_id"], test) if facts else None
    if row is None:
        raise Conflict("No such test of this part is open; headgate facts list shows those that are, by full ids.")
    if (row["time"], row["signal_id"]) > seen:
        raise Conflict(f"Signal {row['signal_id']} showed this test failing later; look at it, and name that one.")
    if row["signal_id"] == facts[0]["signal_id"]:
        raise Conflict("The newest report of the part shows this test failing; mend it, or have it waived.")
    return row["time"], row["signal_id"]


async def _check_part(tx: Tx, target: asyncpg.Record, facts: list[asyncpg.Record], signal_id: int) -> None:
    mine = next((fact for fact in facts if fact["signal_id"] == signal_id), None)
    if mine is None:
        if target["is_wanted"]:
            return
        newer = f"; signal {facts[0]['signal_id']} is the newest of its part" if facts else ""
        raise Conflict(f"Signal {signal_id} is no fact{newer}: see headgate facts list.")
    if not target["version"]:
        return
    if await tx.connection.fetchval(COUNT_OPEN_TESTS, mine["fact_id"]):
        raise Conflict(_stays(target, "tests of this part were not shown passing since they failed"))
    if not target["valid"] and mine["good_signal_id"] is not None:
        raise Conflict(_stays(target, "there was a good one of this part before it"))


def _stays(target: asyncpg.Record, why: str) -> str:
    return (
        f"This is what was seen of version {target['version']}, and {why}: without it they would be forgotten. Send a "
        "report that can be read, have the rule waived, or judge a new version."
    )


async def approve_retirement(tx: Tx, body: RetirementWord) -> Retirement:
    """Give the second word. Raises `NotFound`, `Conflict`, and `Forbidden` to who retired it."""
    known = await _known(tx, body.retirement_id)
    await recheck(tx, site=tx.site, subjects=escape(known["subject"]))
    row = await _locked(tx, body.retirement_id)
    if row["approved_by"]:
        raise Conflict(f"{row['approved_by']} has approved this retirement already.")
    thing = Thing(tx.site, "", row["subject"], row["version"], "retirement", str(body.retirement_id))
    await second_word(tx, thing, row["retired_by"], body.reason, dict(row))
    done = await tx.connection.fetchrow(APPROVE_RETIREMENT, body.retirement_id, tx.actor, tx.now, body.reason)
    return _tell(tx, contract.retirement_approved, done, row)


async def revoke_retirement(tx: Tx, body: RetirementWord) -> Retirement:
    """Let the fact count again. Raises `NotFound`, `Conflict`."""
    known = await _known(tx, body.retirement_id)
    await recheck(tx, site=tx.site, subjects=escape(known["subject"]))
    row = await _locked(tx, body.retirement_id)
    done = await tx.connection.fetchrow(END_RETIREMENT, body.retirement_id, tx.actor, tx.now, body.reason)
    return _tell(tx, contract.retirement_revoked, done, row)


async def _known(tx: Tx, retirement_id: int) -> asyncpg.Record:
    row = await tx.connection.fetchrow(SELECT_RETIREMENT, retirement_id, tx.site)
    if row is None:
        raise NotFound(f"There is no retirement {retirement_id} in this site.")
    return row


async def _locked(tx: Tx, retirement_id: int) -> asyncpg.Record:
    row = await tx.connection.fetchrow(LOCK_RETIREMENT, retirement_id, tx.site)
    assert row is not None  # noqa: S101 - rows are never deleted
    if row["ended_at"] is not None:
        raise Conflict(f"{row['ended_by']} took this retirement back at {row['ended_at'].isoformat()}.")
    return row


def _tell(tx: Tx, event: Event, row: Any, before: Any = None) -> Retirement:
    retirement = Retirement(**row)
    told = retirement if before is None else told_of(RetirementChanged, retirement, before)
    tx.emit(event, told, subject=str(retirement.retirement_id))
    return retirement


async def list_retirements(read: Read, wanted: RetirementFilter) -> Page[Retirement]:
    """A page of the site's retirements, newest first. Raises `Invalid`."""
    given = {"site": read.site, **wanted.model_dump(include=set(LIST_RETIREMENTS.filters))}
    found = await LIST_RETIREMENTS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Retirement](items=[Retirement(**row) for row in found.rows], next_cursor=found.next_cursor)


TABLE = Table(
    commands={
        contract.retire_fact: retire_fact,
        contract.approve_retirement: approve_retirement,
        contract.revoke_retirement: revoke_retirement,
    },
    queries={contract.list_retirements: list_retirements},
)
