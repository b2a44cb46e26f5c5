"""Emergency overrides: bound to a run's evidence, used once, over by the clock, and confirmed by a second person."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from glob import escape
from typing import Any

import asyncpg

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Event, Page
from libs.common.contracts.changes import newly
from libs.common.contracts.governance import emergencies as contract
from libs.common.contracts.governance.emergencies import (
    CONFIRM_HOURS,
    Override,
    OverrideChanged,
    OverrideDone,
    OverrideFilter,
    OverrideRequest,
    OverrideWord,
)
from libs.common.contracts.governance.runs import GateTarget
from libs.common.listing import Listing, newest
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.judge.approvals import Evidence, differing, in_words
from libs.judge.plain import read
from libs.judge.policy import Policy
from services.governance.exceptions.budget import spend
from services.governance.exceptions.voters import Thing, lock, second_word
from services.governance.gate import look
from services.governance.recheck import recheck
from services.governance.runs import Judging, run_asked, to_run

MAX_FLAGGED = 100  # in one run of the job
_COLUMNS = listed(names_of(Override))
SELECT_RUN = "SELECT * FROM runs WHERE gate = $1 AND site = $2 AND run_id = $3"
INSERT_OVERRIDE = f"""
INSERT INTO overrides (site, gate, subject, line, version, run_id, reason, issue, given_by, given_at, ends_at,
    confirm_until, evidence, evidence_sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
SELECT_OVERRIDE = f"SELECT {_COLUMNS}, evidence FROM overrides WHERE override_id = $1 AND site = $2"  # noqa: S608
CONFIRM_OVERRIDE = f"""
UPDATE overrides SET confirmed_by = $2, confirmed_at = $3, confirm_reason = $4
WHERE override_id = $1 AND confirmed_by IS NULL AND revoked_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608
REVOKE_OVERRIDE = f"""
UPDATE overrides SET revoked_by = $2, revoked_at = $3, revoke_reason = $4
WHERE override_id = $1 AND revoked_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608
FLAG_UNCONFIRMED = f"""
UPDATE overrides SET flagged_at = $1
WHERE override_id IN (
    SELECT override_id FROM overrides
    WHERE confirm_until <= $1 AND confirmed_by IS NULL AND flagged_at IS NULL AND revoked_at IS NULL
    LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING {_COLUMNS}
"""  # noqa: S608
LIST_OVERRIDES = Listing(
    table="overrides",
    columns=_COLUMNS,
    scope={"site": "text"},
    filters={"gate": "text", "subject": "text"},
    order=newest("override_id"),
)


async def override(judging: Judging, tx: Tx, body: OverrideRequest) -> OverrideDone:
    """Make a run's NO_GO a GO, by a new run. Raises `NotFound`, `Invalid` for what the policy wants, and `Conflict` if
    it is no NO_GO, was overridden before, is not of what there is now, or if the line is stopped.
    """
    row = await tx.connection.fetchrow(SELECT_RUN, body.gate, tx.site, body.run_id)
    if row is None:
        raise NotFound(f"The gate {body.gate} has no run {body.run_id} in this site.")
    if row["decision"] == "go":
        raise Conflict(f"Run {body.run_id} is GO; there is nothing to override.")
    if row["evidence"] is None:
        raise Conflict(f"Run {body.run_id} is of before there were overrides; run the gate again.")
    asked = {"subject": row["subject"], "version": row["version"], "line": row["line"] or None}
    asked["artifact_digest"] = row["artifact_digest"] or None
    wanted = GateTarget(gate=body.gate, **(asked if row["version"] else {}))
    target = await judging.catalog.target(tx.connection, wanted, tx.site)
    policy = (await judging.catalog.in_force(tx.connection, target.gate, tx.site)).policy(target.subject)
    target = target.placed(policy)
    await lock(tx, Thing(target.site, target.gate, target.subject, target.version, "override"))
    ends_at = _ends(policy, body, tx.now)
    looked = await look(tx.connection, policy, target, tx.now)
    seen: Evidence = read(Evidence, row["evidence"])
    if found := differing(seen, looked.evidence):
        raise Conflict(f"Run {body.run_id} is not of what there is now: {in_words(found)}. Run the gate again, and "
                       "look at what it says.")  # fmt: skip
    if any(hold.kind == "halt" for hold in looked.verdict.holds):
        raise Conflict("The line is stopped, which nobody overrides; whoever stopped it may lift it.")
    if looked.verdict.decision == "go":
        raise Conflict("It is GO by now; run the gate.")
    stored = await tx.connection.fetchrow(
        INSERT_OVERRIDE, target.site, target.gate, target.subject, target.line, target.version, body.run_id,
        body.reason, body.issue or "", tx.actor, tx.now, ends_at, tx.now + timedelta(hours=CONFIRM_HOURS),
        row["evidence"], row["evidence_sha256"],
    )  # fmt: skip
    if stored is None:
        raise Conflict(f"Run {body.run_id} was overridden before, which can be done once. Run the gate again.")
    given = _tell(tx, contract.override_given, stored)
    await spend(
        judging.catalog, tx, "override", str(given.override_id), target.gate, target.subject, f"run {body.run_id}"
    )
    made = to_run(await run_asked(judging, tx, target, "override"))
    return OverrideDone(**given.model_dump(), run=made)


def _ends(policy: Policy, body: OverrideRequest, now: datetime) -> datetime:
    terms = policy.overrides
    if not terms.allowed:
        raise Conflict(
            f"The policy of the gate {body.gate} allows no override; repair what fails, or change the policy."
        )
    if terms.issue_required and body.issue is None:
        raise Invalid(f"The policy of the gate {body.gate} wants an issue for each override; give its id.")
    hours = terms.max_hours if body.hours is None else body.hours
    if hours > terms.max_hours:
        raise Invalid(f"An override of this gate may last {terms.max_hours:g} hours; give fewer.")
    return now + timedelta(hours=hours)


def _tell(tx: Tx, event: Event, row: Any, *first_set: str) -> Override:
    """``first_set``: what an UPDATE has filled, which its own condition saw empty."""
    told = Override(**row)
    changed = OverrideChanged(**row, changes=newly(told, *first_set)) if first_set else told
    tx.emit(event, changed, subject=str(told.override_id), site=told.site)
    return told


async def confirm(tx: Tx, body: OverrideWord) -> Override:
    """Confirm an override in time. Raises `Forbidden` to who gave it, `NotFound`, `Conflict`."""
    known = await _known(tx, body)
    if known["confirm_until"] <= tx.now:
        raise Conflict(f"It was to be confirmed until {known['confirm_until'].isoformat()}, and is over.")
    site, gate, subject, version = (known[name] for name in ("site", "gate", "subject", "version"))
    thing = Thing(site, gate, subject, version, "override", str(body.override_id))
    await lock(tx, thing)
    await recheck(tx, site=tx.site, subjects=escape(known["subject"]), gate=known["gate"])
    await second_word(tx, thing, known["given_by"], body.reason, dict(known))
    row = await tx.connection.fetchrow(CONFIRM_OVERRIDE, body.override_id, tx.actor, tx.now, body.reason)
    if row is None:
        raise Conflict(f"The override {body.override_id} is confirmed or revoked already.")
    return _tell(tx, contract.override_confirmed, row, "confirmed_by", "confirmed_at", "confirm_reason")


async def revoke(tx: Tx, body: OverrideWord) -> Override:
    """End an override. Raises `NotFound`, `Conflict`."""
    known = await _known(tx, body)
    await recheck(tx, site=tx.site, subjects=escape(known["subject"]), gate=known["gate"])
    row = await tx.connection.fetchrow(REVOKE_OVERRIDE, body.override_id, tx.actor, tx.now, body.reason)
    if row is None:
        raise Conflict(f"The override {body.override_id} was revoked before.")
    return _tell(tx, contract.override_revoked, row, "revoked_by", "revoked_at", "revoke_reason")


async def _known(tx: Tx, body: OverrideWord) -> asyncpg.Record:
    row = await tx.connection.fetchrow(SELECT_OVERRIDE, body.override_id, tx.site)
    if row is None:
        raise NotFound(f"There is no override {body.override_id} in this site.")
    return row


async def list_overrides(read_: Read, wanted: OverrideFilter) -> Page[Override]:
    """A page of the site's overrides, newest first. Raises `Invalid`."""
    given = {"site": read_.site, **wanted.model_dump(include=set(LIST_OVERRIDES.filters))}
    found = await LIST_OVERRIDES.page(read_.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Override](items=[Override(**row) for row in found.rows], next_cursor=found.next_cursor)


async def flag(tx: Tx) -> JobDone | None:
    """Tell of overrides that nobody has confirmed in time. The GO has ended by the clock alone; this makes it heard."""
    rows = await tx.connection.fetch(FLAG_UNCONFIRMED, tx.now, MAX_FLAGGED)
    told = [_tell(tx, contract.exception_unconfirmed, row, "flagged_at").override_id for row in rows]
    return JobDone(status="warning", detail={"override_ids": told}) if told else None


def table(judging: Judging) -> Table:
    """What this module answers."""
    return Table(
        commands={
            contract.override_run: partial(override, judging),
            contract.confirm_override: confirm,
            contract.revoke_override: revoke,
        },
        queries={contract.list_overrides: list_overrides},
        jobs=(Job("unconfirmed_overrides", Schedule("* * * * *"), flag, looks=True),),
    )
