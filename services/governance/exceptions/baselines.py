"""Accepted baselines: asked for by one person, approved by another, over by the clock. See `libs.judge.accepted`."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Event, Page
from libs.common.contracts.changes import told_of
from libs.common.contracts.governance import baselines as contract
from libs.common.contracts.governance.baselines import (
    MAX_DAYS,
    MAX_OPEN_BASELINES,
    Baseline,
    BaselineChanged,
    BaselineFilter,
    BaselineKey,
    BaselinePart,
    BaselineRequest,
    BaselineWord,
)
from libs.common.contracts.governance.runs import GateTarget
from libs.common.listing import Listing, newest
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from libs.judge.accepted import KINDS, MAX_ACCEPTED, AcceptedPart, present
from libs.judge.plain import plain
from libs.judge.policy import Policy
from libs.judge.retirements import retire
from services.governance.catalog import Catalog, Target
from services.governance.exceptions.budget import lock_budget, spend
from services.governance.exceptions.lifecycle import REQUESTS, Lifecycle, Way
from services.governance.exceptions.voters import Thing, second_word
from services.governance.gate import gather
from services.governance.standing import parts_of

_COLUMNS = listed(names_of(Baseline, without=("in_force",)))
COUNT_OPEN_BASELINES = """
SELECT count(*) FROM accepted_baselines
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4 AND state IN ('requested', 'approved') AND ends_at > $5
"""
INSERT_BASELINE = f"""
INSERT INTO accepted_baselines (site, gate, subject, line, version, parts, finding_count, vanished_count, reason, issue,
    requested_by, requested_at, ends_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own class
SELECT_BASELINE = f"SELECT {_COLUMNS} FROM accepted_baselines WHERE accepted_id = $1 AND site = $2"  # noqa: S608
LOCK_BASELINE = f"{SELECT_BASELINE} FOR UPDATE"
DECIDE_BASELINE = f"""
UPDATE accepted_baselines SET state = $2, decided_by = $3, decided_at = $4::timestamptz, decision_reason = $5,
    begins_at = CASE WHEN $2 = 'approved' THEN $4::timestamptz END
WHERE accepted_id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
END_BASELINE = f"""
UPDATE accepted_baselines SET state = $2, ended_by = $3, ended_at = $4, end_reason = $5 WHERE accepted_id = $1
RETURNING {_COLUMNS}
"""  # noqa: S608
LIST_BASELINES = Listing(
    table="accepted_baselines",
    columns=_COLUMNS,
    scope={"site": "text"},
    filters={"gate": "text", "subject": "text", "state": "text"},
    order=newest("accepted_id"),
)


def _to_baseline(row: asyncpg.Record, now: datetime) -> Baseline:
    parts = [(part, part.counts) for part in parts_of(row["parts"])]
    shown = [
        BaselinePart(kind=part.kind, part=part.part, finding_count=findings, vanished_count=tests)
        for part, (findings, tests) in parts
    ]
    in_force = row["state"] == "approved" and row["begins_at"] <= now < row["ends_at"]
    return Baseline(**{**dict(row), "parts": shown, "in_force": in_force})


async def request_baseline(catalog: Catalog, tx: Tx, body: BaselineRequest) -> Baseline:
    """Ask that what is there now is accepted; nothing counts until somebody else approves it.

    Raises `NotFound` for an unknown gate, `Invalid` for an end that is past or too far, `Conflict` if there is nothing
    to accept, or too much.
    """
    wanted = GateTarget(gate=body.gate, subject=body.subject, version=body.version, line=body.line)
    target = await catalog.target(tx.connection, wanted, tx.site)
    policy = (await catalog.in_force(tx.connection, target.gate, target.site)).policy(target.subject)
    target = target.placed(policy)
    if policy.baselines.issue_required and body.issue is None:
        raise Invalid(f"The policy of the gate {body.gate} wants an issue for each accepted baseline; give its id.")
    _check_end(policy, body.ends_at, tx.now)
    here = (target.site, target.gate, target.subject, target.line)
    if await tx.connection.fetchval(COUNT_OPEN_BASELINES, *here, tx.now) >= MAX_OPEN_BASELINES:
        raise Conflict(f"There are {MAX_OPEN_BASELINES} accepted baselines of this line, which is all it may have.")
    parts = await _present(tx, policy, target)
    counts = [sum(part.counts[place] for part in parts) for place in (0, 1)]
    if not sum(counts):
        raise Conflict(
            f"{target.subject} {target.version} has no finding and no vanished test that could be accepted: send the "
            "reports first, and see why the gate says NO-GO."
        )
    if sum(counts) > MAX_ACCEPTED:
        raise Conflict(f"These are {sum(counts)} findings and tests, and {MAX_ACCEPTED} can be accepted at a time.")
    row = await tx.connection.fetchrow(
        INSERT_BASELINE, *here, target.version, plain(parts), *counts, body.reason, body.issue or "", tx.actor, tx.now,
        body.ends_at,
    )  # fmt: skip
    return _tell(tx, contract.baseline_requested, row)


async def _present(tx: Tx, policy: Policy, target: Target) -> tuple[AcceptedPart, ...]:
    found = await gather(tx.connection, policy, target, tx.now)
    left = retire(found.facts, found.standing.retirements, two_persons=policy.retirements.two_persons)
    kinds = {rule.kind for rule in policy.rules if rule.scope == "version"}
    return present(left.facts, kinds & set(KINDS))


def _check_end(policy: Policy, ends_at: datetime, now: datetime) -> None:
    days = MAX_DAYS if policy.baselines.max_days is None else policy.baselines.max_days
    if ends_at <= now:
        raise Invalid("An accepted baseline must end in the future; give a later ends_at.")
    if ends_at - now > timedelta(days=days):
        raise Invalid(f"This baseline may last {days} days at most; give an earlier ends_at.", max_days=days)


def _tell(tx: Tx, event: Event, row: Any, before: Any = None) -> Baseline:
    baseline = _to_baseline(row, tx.now)
    # What is accepted is never another; it is shown in another form than it is stored.
    told = baseline if before is None else told_of(BaselineChanged, baseline, before, unstated=("parts",))
    tx.emit(event, told, subject=str(baseline.accepted_id))
    REQUESTS.labels(row["state"]).inc()
    return baseline


BASELINES = Lifecycle(
    "baseline", "accepted baseline", SELECT_BASELINE, LOCK_BASELINE, DECIDE_BASELINE, END_BASELINE, _tell
)
_WITHDRAWN = Way("withdrawn", contract.baseline_withdrawn, True, ("requested", "approved"))
_REVOKED = Way("revoked", contract.baseline_revoked, False, ("approved",))


async def approve_baseline(catalog: Catalog, tx: Tx, body: BaselineWord) -> Baseline:
    """Accept a baseline. Raises `Forbidden` to who asked for it, `NotFound`, `Conflict`, `Invalid`."""
    await lock_budget(tx)
    await BASELINES.look_again(tx, body.accepted_id)
    row = await BASELINES.locked(tx, body.accepted_id, "requested")
    thing = Thing(tx.site, row["gate"], row["subject"], "", "baseline", str(body.accepted_id))
    await second_word(tx, thing, row["requested_by"], body.reason, dict(row))
    policy = (await catalog.in_force(tx.connection, row["gate"], tx.site)).policy(row["subject"])
    _check_end(policy, row["ends_at"], tx.now)
    what = f"{row['finding_count']} findings, {row['vanished_count']} tests"
    await spend(catalog, tx, "baseline", str(body.accepted_id), row["gate"], row["subject"], what)
    return await BASELINES.decided(tx, row, "approved", body.reason, contract.baseline_approved)


async def decline_baseline(tx: Tx, body: BaselineWord) -> Baseline:
    """Say no to a baseline. Raises `NotFound`, `Conflict`."""
    return await BASELINES.decline(contract.baseline_declined, tx, body.accepted_id, body.reason)


async def end_baseline(way: Way, tx: Tx, body: BaselineWord) -> Baseline:
    """End a baseline before its day. Raises `NotFound`, `Conflict`, and `Forbidden` where only who asked for it may."""
    return await BASELINES.end(way, tx, body.accepted_id, body.reason)


async def list_baselines(read_: Read, wanted: BaselineFilter) -> Page[Baseline]:
    """A page of the site's accepted baselines, newest first. Raises `Invalid`."""
    given = {"site": read_.site, **wanted.model_dump(include=set(LIST_BASELINES.filters))}
    found = await LIST_BASELINES.page(read_.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    items = [_to_baseline(row, read_.now) for row in found.rows]
    return Page[Baseline](items=items, next_cursor=found.next_cursor)


async def get_baseline(read_: Read, key: BaselineKey) -> Baseline:
    """One baseline. Raises `NotFound`, also for one of another site."""
    row = await read_.pool.fetchrow(SELECT_BASELINE, key.accepted_id, read_.site)
    if row is None:
        raise NotFound(f"There is no accepted baseline {key.accepted_id} in this site.")
    return _to_baseline(row, read_.now)


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        commands={
            contract.request_baseline: partial(request_baseline, catalog),
            contract.approve_baseline: partial(approve_baseline, catalog),
            contract.decline_baseline: decline_baseline,
            contract.withdraw_baseline: partial(end_baseline, _WITHDRAWN),
            contract.revoke_baseline: partial(end_baseline, _REVOKED),
        },
        queries={contract.list_baselines: list_baselines, contract.get_baseline: get_baseline},
    )
