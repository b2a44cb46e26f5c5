"""Assignment: who has how much to do, who should get what nobody has, and the run that gives it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from libs.common import job_runs, versions
from libs.common.contracts.base import Nothing
from libs.common.contracts.jobs import JobStatus
from libs.common.contracts.tracker import assignment as contract
from libs.common.contracts.tracker.assignment import (
    ASSIGNMENT,
    JOB,
    Assignment,
    AssignmentPolicy,
    AutoAssign,
    AutoAssigned,
    Candidates,
    Suggestion,
    Workload,
    WorkloadFilter,
)
from libs.common.listing import Source
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.tracker.changes import write
from services.tracker.domain import item as domain
from services.tracker.domain.assignment import Person, Proposal, Work, propose
from services.tracker.domain.changes import Change
from services.tracker.domain.hands import give
from services.tracker.domain.item import Item
from services.tracker.people import Load, learn, loads_of, people_here, people_of

NOBODY = "unassigned"

COUNT_OPEN = """
SELECT assignee, owner_role, count(*) AS count FROM item WHERE site = $1 AND is_active AND status <> 'done'
GROUP BY assignee, owner_role
"""
COUNT_ALL = "SELECT assignee, owner_role, count(*) AS count FROM item WHERE site = $1 GROUP BY assignee, owner_role"
SELECT_ACTIVE = "SELECT username FROM person WHERE active AND sites && ARRAY['*', $1] AND username = ANY ($2::text[])"
# Without a deadline comes last, as NULLs do.
_UNASSIGNED = "item.site = $1 AND item.is_active AND item.status <> 'done' AND item.assignee IS NULL"
_ORDER = "item.priority, item.due_at, item.id"
SELECT_UNASSIGNED = f"SELECT * FROM item WHERE {_UNASSIGNED} ORDER BY {_ORDER} LIMIT $2"  # noqa: S608 - our own text
# What somebody else is changing is left to the next run: so this never waits for a board while it holds others, and
# never reads what is about to change. The boards are only shared, so that two runs can work on one.
LOCK_UNASSIGNED = f"""
SELECT item.* FROM item JOIN board USING (site, gate, subject)
WHERE {_UNASSIGNED} ORDER BY {_ORDER} LIMIT $2
FOR UPDATE OF item SKIP LOCKED FOR SHARE OF board SKIP LOCKED
"""  # noqa: S608
# One run after another: each must see the loads that the one before left.
TAKE_TURN = "SELECT since FROM people_known FOR UPDATE"
SELECT_SITES = "SELECT DISTINCT site FROM item WHERE is_active AND status <> 'done' AND assignee IS NULL ORDER BY site"


async def get_workload(read: Read, params: WorkloadFilter) -> Workload:
    """The site's workload, with suggestions for the first items that nobody has. Raises `Conflict`."""
    policy = (await versions.current(read.pool, ASSIGNMENT, read.site)).content
    rows = await read.pool.fetch(SELECT_UNASSIGNED, read.site, params.max_suggestions)
    people = await people_here(read)
    loads = await loads_of(read.pool, [row["username"] for row in people], read.now)
    found = _propose([domain.to_item(dict(row)) for row in rows], people, loads, policy, read.now)
    return await _workload(read.pool, read.site, read.now, people, found, include_inactive=params.include_inactive)


def _propose(
    items: Sequence[Item],
    people: Iterable[Mapping[str, Any]],
    loads: Mapping[str, Load],
    policy: AssignmentPolicy,
    now: datetime,
) -> list[tuple[Item, Proposal]]:
    persons = [_person(row, loads.get(row["username"], Load()), policy) for row in people]
    works = [Work(one.id, one.owner_role, one.priority, None if one.paused_at else one.due_at) for one in items]
    return list(zip(items, propose(works, persons, now), strict=True))


def _person(row: Mapping[str, Any], load: Load, policy: AssignmentPolicy) -> Person:
    own = row["max_open_items"]
    limit = own if own is not None else policy.max_open_items
    return Person(row["username"], row["role"], load.open_items, load.halves, limit, row["away_until"])


async def _workload(
    source: Source,
    site: str,
    now: datetime,
    people: Iterable[Mapping[str, Any]],
    found: Iterable[tuple[Item, Proposal]],
    *,
    include_inactive: bool = False,
) -> Workload:
    by_assignee: dict[str, int] = {}
    by_role: dict[str, int] = {}
    unassigned = 0
    for row in await source.fetch(COUNT_ALL if include_inactive else COUNT_OPEN, site):
        name = NOBODY if row["assignee"] is None else row["assignee"]
        by_assignee[name] = by_assignee.get(name, 0) + row["count"]
        by_role[row["owner_role"]] = by_role.get(row["owner_role"], 0) + row["count"]
        unassigned += row["count"] if row["assignee"] is None else 0
    named = sorted(name for name in by_assignee if name != NOBODY)
    known = {row["username"] for row in await source.fetch(SELECT_ACTIVE, site, named)}
    candidates: dict[str, list[str]] = {"owner": [], "manager": [], "operator": []}
    for person in people:
        candidates[person["role"]].append(person["username"])
    return Workload(
        generated_at=now,
        include_inactive=include_inactive,
        total_open_items=sum(by_role.values()),
        unassigned_open_count=unassigned,
        assignee_open_counts=dict(sorted(by_assignee.items())),
        owner_role_open_counts=dict(sorted(by_role.items())),
        candidate_usernames_by_role=Candidates(**candidates),
        suggestions=[_suggestion(item, proposal) for item, proposal in found],
        unknown_assignees=[name for name in named if name not in known],
    )


def _suggestion(item: Item, proposal: Proposal) -> Suggestion:
    return Suggestion(
        id=item.id,
        item_id=item.item_id,
        rule_id=item.rule_id,
        owner_role=item.owner_role,
        priority=item.priority,
        due_at=item.due_at,
        recommended_assignee=proposal.assignee,
        reason=proposal.reason,
    )


async def auto_assign(tx: Tx, *, dry_run: bool = False, limit: int | None = None) -> JobDone:
    """Give the most urgent items that nobody has to those who should do them; a dry run only says to whom.

    What the run did is the detail of its record. Raises `Conflict` for a policy that can't be read, and `Unavailable`
    or `TimedOut` if people have to be learnt and the gateway is away.
    """
    await learn(tx)
    policy = (await versions.current(tx.connection, ASSIGNMENT, tx.site)).content
    wanted = policy.max_items if limit is None else limit
    gives = policy.enabled and not dry_run
    if gives:
        await tx.connection.execute(TAKE_TURN)
    rows = await tx.connection.fetch(LOCK_UNASSIGNED if gives else SELECT_UNASSIGNED, tx.site, wanted)
    people = [dict(row) for row in await people_of(tx.connection, tx.site, tx.now)]
    loads = await loads_of(tx.connection, [row["username"] for row in people], tx.now)
    found = _propose([domain.to_item(dict(row)) for row in rows], people, loads, policy, tx.now)
    workload = await _workload(tx.connection, tx.site, tx.now, people, found)
    changes: list[Change] = []
    if gives:
        given = [(item, one.assignee, one.reason) for item, one in found if one.assignee is not None]
        changes = await write(tx, [give(item, name, reason, tx.now) for item, name, reason in given])
    reasons = {item.id: proposal.reason for item, proposal in found}
    nobody = sum(proposal.assignee is None for _, proposal in found)
    detail = {
        "enabled": policy.enabled,
        "dry_run": dry_run,
        "limit": wanted,
        "workload": workload.model_dump(mode="json"),
        "candidate_count": len(found),
        "assigned_count": len(changes),
        "skipped_count": min(wanted, workload.unassigned_open_count) - len(found),
        "no_candidate_count": nobody,
        "updated_ids": [change.item.id for change in changes],
        "assignments": [_assignment(change.item, reasons).model_dump() for change in changes],
    }
    status: JobStatus = "warning" if not policy.enabled or (nobody and not changes) else "success"
    return JobDone(status, detail)


def _assignment(item: Item, reasons: Mapping[int, str]) -> Assignment:
    return Assignment(id=item.id, assignee=item.assignee or "", status=item.status, reason=reasons[item.id])


async def run_auto_assign(tx: Tx, body: AutoAssign) -> AutoAssigned:
    """Run it now. Raises as `auto_assign`."""
    done = await auto_assign(tx, dry_run=body.dry_run, limit=body.limit)
    return AutoAssigned(**job_runs.envelope(await job_runs.record(tx, JOB, done)))


async def latest_auto_assign(read: Read, _params: Nothing) -> bytes:
    """The newest run as JSON of `AutoAssigned`; a run that failed has the reason instead. Raises `NotFound`."""
    run = await job_runs.latest(read.pool, read.site, JOB)
    if run is None:
        raise NotFound("Nothing has been given out at this site yet; run it with POST …/tracker/auto-assign/run.")
    return orjson.dumps(job_runs.envelope(run), option=orjson.OPT_UTC_Z)


async def waiting_sites(connection: Connection) -> list[str]:
    """The sites that have items which nobody has."""
    return [row["site"] for row in await connection.fetch(SELECT_SITES)]


POLICY = versions.table(ASSIGNMENT)
TABLE = Table(
    commands={contract.run_auto_assign: run_auto_assign},
    queries={contract.get_workload: get_workload, contract.latest_auto_assign: latest_auto_assign},
    jobs=(Job(JOB, Schedule("35 * * * *"), auto_assign, waiting_sites),),
)
