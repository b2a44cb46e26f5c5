"""Assignment: who has how much to do, who should get what nobody has, and the run that gives it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
from libs.common.contracts.tracker.autopilot import PlanStep
from libs.common.contracts.versions import Published
from libs.common.listing import Source
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.tracker.domain import item as domain
from services.tracker.domain import kpi as measures
from services.tracker.domain.assignment import Proposal
from services.tracker.domain.item import Item
from services.tracker.people import learn, people_here
from services.tracker.proposals import SELECT_UNASSIGNED, Plan, give_out, make_plan, plan_for, take_planned

NOBODY = "unassigned"

# An open item is either somebody's or unassigned, so these two measures are all of them.
OPEN_BY_ASSIGNEE = """
SELECT measure, assignee, owner_role, sum(amount)::bigint AS amount FROM (
    SELECT measure, assignee, owner_role, amount FROM kpi_total WHERE site = $1 AND measure IN ($2, 'unassigned_open')
    UNION ALL
    SELECT measure, assignee, owner_role, amount FROM kpi_delta WHERE site = $1 AND measure IN ($2, 'unassigned_open')
) AS found GROUP BY measure, assignee, owner_role HAVING sum(amount) <> 0
"""
COUNT_ALL = "SELECT assignee, owner_role, count(*) AS count FROM item WHERE site = $1 GROUP BY assignee, owner_role"
SELECT_ACTIVE = "SELECT username FROM person WHERE active AND sites && ARRAY['*', $1] AND username = ANY ($2::text[])"
SELECT_SITES = "SELECT DISTINCT site FROM item WHERE is_active AND status <> 'done' AND assignee IS NULL ORDER BY site"


async def get_workload(read: Read, params: WorkloadFilter) -> Workload:
    """The site's workload, with suggestions for the first items that nobody has. Raises `Conflict`."""
    policy = (await versions.current(read.pool, ASSIGNMENT, read.site)).content
    rows = await read.pool.fetch(SELECT_UNASSIGNED, read.site, params.max_suggestions)
    items = [domain.to_item(dict(row)) for row in rows]
    plan = await plan_for(read.pool, items, await people_here(read), policy, read.now)
    return await _workload(read.pool, read.site, read.now, plan, include_inactive=params.include_inactive)


async def _workload(
    source: Source, site: str, now: datetime, plan: Plan, *, include_inactive: bool = False
) -> Workload:
    by_assignee, by_role = await (_every_item(source, site) if include_inactive else _open_items(source, site))
    named = sorted(name for name in by_assignee if name != NOBODY)
    known = {row["username"] for row in await source.fetch(SELECT_ACTIVE, site, named)}
    candidates: dict[str, list[str]] = {"owner": [], "manager": [], "operator": []}
    for person in plan.people:
        candidates[person["role"]].append(person["username"])
    return Workload(
        generated_at=now,
        include_inactive=include_inactive,
        total_open_items=sum(by_role.values()),
        unassigned_open_count=by_assignee.get(NOBODY, 0),
        assignee_open_counts=dict(sorted(by_assignee.items())),
        owner_role_open_counts=dict(sorted(by_role.items())),
        candidate_usernames_by_role=Candidates(**candidates),
        suggestions=[_suggestion(item, proposal) for item, proposal in plan.found],
        unknown_assignees=[name for name in named if name not in known],
    )


async def _open_items(source: Source, site: str) -> tuple[Counter[str], Counter[str]]:
    """Open items by assignee and by owner role, from the sums that KPIs are read from."""
    by_assignee: Counter[str] = Counter()
    by_role: Counter[str] = Counter()
    for row in await source.fetch(OPEN_BY_ASSIGNEE, site, measures.ASSIGNED):
        by_assignee[row["assignee"] if row["measure"] == measures.ASSIGNED else NOBODY] += row["amount"]
        by_role[row["owner_role"]] += row["amount"]
    return by_assignee, by_role


async def _every_item(source: Source, site: str) -> tuple[Counter[str], Counter[str]]:
    by_assignee: Counter[str] = Counter()
    by_role: Counter[str] = Counter()
    for row in await source.fetch(COUNT_ALL, site):
        by_assignee[NOBODY if row["assignee"] is None else row["assignee"]] += row["count"]
        by_role[row["owner_role"]] += row["count"]
    return by_assignee, by_role


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
    published = await versions.current(tx.connection, ASSIGNMENT, tx.site)
    policy = published.content
    wanted = policy.max_items if limit is None else limit
    gives = policy.enabled and not dry_run
    plan = await make_plan(tx.connection, tx.site, tx.now, wanted, policy, locked=gives)
    workload = await _workload(tx.connection, tx.site, tx.now, plan)
    # With fewer than wanted, what is missing was being changed by somebody else.
    skipped = max(0, min(wanted, workload.unassigned_open_count) - len(plan.found)) if gives else 0
    return await _done(tx, published, plan, workload, {"dry_run": dry_run, "limit": wanted}, skipped)


async def assign_planned(
    tx: Tx, steps: Sequence[PlanStep], nobody: int = 0, *, dry_run: bool = False
) -> tuple[JobDone, dict[int, str]]:
    """Give items to whom a plan says; also returns by item why a step was left. People must have been learnt.

    ``nobody``: items for which the plan found nobody. The detail of the record is as that of `auto_assign`.
    """
    published = await versions.current(tx.connection, ASSIGNMENT, tx.site)
    plan, whys = await take_planned(tx, steps, published.content)
    workload = await _workload(tx.connection, tx.site, tx.now, plan)
    more = {"dry_run": dry_run, "limit": len(steps) + nobody}
    return await _done(tx, published, plan, workload, more, len(whys), nobody), whys


async def _done(
    tx: Tx,
    published: Published[AssignmentPolicy],
    plan: Plan,
    workload: Workload,
    asked: Mapping[str, Any],
    skipped: int,
    beside: int = 0,
) -> JobDone:
    """Give out what is planned, unless it is a dry run or the policy says no; what there is to say of it.

    ``beside`` counts items for which nobody was found, and which the plan does not hold.
    """
    enabled = published.content.enabled
    changes = await give_out(tx, plan.given) if enabled and not asked["dry_run"] else []
    reasons = {item.id: proposal.reason for item, proposal in plan.found}
    nobody = len(plan.found) - len(plan.given) + beside
    detail = {
        "enabled": enabled,
        **asked,
        "workload": workload.model_dump(mode="json"),
        "candidate_count": len(plan.found) + skipped + beside,
        "assigned_count": len(changes),
        "skipped_count": skipped,
        "no_candidate_count": nobody,
        "updated_ids": [change.item.id for change in changes],
        "assignments": [_assignment(change.item, reasons).model_dump() for change in changes],
    }
    status: JobStatus = "warning" if not enabled or (nobody and not changes) else "success"
    return JobDone(status, detail, policy_version=f"{published.source} {published.version}")


def _assignment(item: Item, reasons: Mapping[int, str]) -> Assignment:
    return Assignment(
        id=item.id,
        assignee=item.assignee or "",
        status=item.status,
        reason=reasons[item.id],
    )


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
