"""Runs of the autopilot: by the clock, by hand, dry, in shadow, or exactly as a plan that somebody approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from libs.common import job_runs
from libs.common.columns import listed
from libs.common.contracts.base import Nothing
from libs.common.contracts.jobs import JobRun, JobStatus, JobTrigger
from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker.autopilot import JOB, Action, AutopilotRun, Plan, RunBody
from libs.common.contracts.tracker.autopilot_policy import POLICY, POLICY_KEY
from libs.common.contracts.tracker.kpi import KpiMetrics
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.common.versions import current
from services.tracker.autopilot.actions import MAX_SHOWN, Acted, act, rehearse
from services.tracker.autopilot.evaluation import Seen, look, metrics_now
from services.tracker.autopilot.plans import changed_since, differs, draft, hash_of, take_approved, unlearnt
from services.tracker.autopilot.policy import hold_switch
from services.tracker.board import sites
from services.tracker.domain import autopilot as domain

_KEPT = (
    "run_id", "site", "ran_at", "executed", "dry_run", "force", "shadow", "skipped", "skip_reason", "planned_actions",
    "actions", "errors_count", "open_items", "overdue_count", "unassigned_open_count", "critical_open_count",
    "touched_count", "given_ids", "begun_ids",
)  # fmt: skip
KEEP_RUN = f"""
INSERT INTO autopilot_run ({listed(_KEPT)}) SELECT {listed(_KEPT)} FROM jsonb_populate_record(NULL::autopilot_run, $1)
"""  # noqa: S608 - names of our own
KEEP_SHADOW = """
INSERT INTO autopilot_shadow (site, item, episode, action, assignee, planned_at)
SELECT $1, item, episode, action, assignee, $2
FROM unnest($3::bigint[], $4::integer[], $5::text[], $6::text[]) AS step (item, episode, action, assignee)
ORDER BY item, action ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Flight:
    """What kind of run it is: what it plans, and whether it acts."""

    plan: Plan
    dry_run: bool
    shadow: bool
    skip_reason: domain.SkipReason | None

    @property
    def acts(self) -> bool:
        """Whether it really does something."""
        return self.skip_reason is None and not self.dry_run and not self.shadow


async def fly(tx: Tx, body: RunBody, trigger: JobTrigger) -> JobRun:
    """A run, with its record. A run that may not act, or has nothing to do, says so and is kept, too.

    Raises `Conflict` if the policy can't be read; for an approved plan also if the autopilot may not act, or if the
    plan can't be done just as it is: then nothing has been done. Raises `Invalid` for a plan that is to be done dry.
    """
    if body.dry_run and body.plan_hash is not None:
        raise Invalid("dry_run and plan_hash exclude each other: the preview has said what the plan does.")
    away = await unlearnt(tx)
    switch = await hold_switch(tx)
    approved, force = None, body.force
    if body.plan_hash is not None:
        digest = (await current(tx.connection, POLICY, tx.site)).digest
        approved, planned_by_force = await take_approved(tx, body.plan_hash, digest)
        force = force or planned_by_force
    seen = await look(tx.connection, tx.site, tx.now, switch, force=force)
    skip_reason = seen.skip_reason
    if approved is not None:
        if skip_reason in _REFUSED:
            raise Conflict(f"The plan can't be done now: {_REFUSED[skip_reason]}", reason=skip_reason)
        skip_reason = None
    run_id = await job_runs.next_run_id(tx)
    acted, plan = Acted(), Plan(actions=[], steps=[], touched_count=0, left_out_count=0)
    if approved is not None:
        plan = approved
        _refuse(plan, await changed_since(tx, plan), [])
    elif skip_reason is None:
        plan, acted.errors = await draft(tx, seen.policy, seen.evaluation.planned_actions, away)
    flight = Flight(plan, body.dry_run, shadow=seen.policy.shadow and approved is None, skip_reason=skip_reason)
    if skip_reason is not None:
        pass
    elif flight.dry_run:
        await rehearse(tx, plan, seen.policy, run_id, acted)
    elif flight.shadow:
        await _keep_shadow(tx, plan)
    else:
        await act(tx, plan, seen.policy, run_id, acted)
    if approved is not None:
        _refuse(plan, acted.differences, acted.errors)
    detail = await _detail(tx, seen, flight, acted) | {"approved": approved is not None}
    if approved is not None:
        detail |= {"plan_hash": body.plan_hash, "planned_actions": plan.actions}
    done = JobDone(
        _status(detail, acted),
        detail,
        policy_version=f"{seen.published.source} {seen.published.version}",
    )
    run = await job_runs.record(tx, JOB, done, trigger=trigger, run_id=run_id)
    await tx.connection.execute(KEEP_RUN, _row(tx, run, flight, acted))
    return run


def _refuse(plan: Plan, differences: Mapping[Action, Mapping[int, str]], failed: list[str]) -> None:
    """Raises `Conflict` unless an approved plan was done, or can be, just as it was approved."""
    if failed or any(differences.values()):
        raise Conflict(
            "The plan can't be done just as it was approved, so nothing was done. Preview again.",
            differences=differs(plan, differences)[:MAX_SHOWN],
            failed=failed,
        )


_REFUSED: Mapping[str | None, str] = {
    "stopped": "the autopilot is stopped.",
    "disabled": "the policy says that the autopilot is disabled.",
    "cooldown_active": "it has acted a short while ago. Wait, or preview and approve a plan with force.",
}


async def _keep_shadow(tx: Tx, plan: Plan) -> None:
    columns = [
        [getattr(step, name) or "" for step in plan.steps] for name in ("item_id", "episode", "action", "assignee")
    ]
    await tx.connection.execute(KEEP_SHADOW, tx.site, tx.now, *columns)


async def _detail(tx: Tx, seen: Seen, flight: Flight, acted: Acted) -> dict[str, Any]:
    """What the record says, as JSON has it."""
    before = seen.evaluation.metrics
    moved = any(acted.moved.values())
    after = await metrics_now(tx.connection, tx.site, tx.now, seen.policy) if moved else before
    plan = flight.plan
    answer = {
        "enabled": seen.policy.enabled,
        "dry_run": flight.dry_run,
        "force": seen.evaluation.force,
        "shadow": flight.shadow,
        "policy_key": POLICY_KEY,
        "policy_updated_at": seen.published.published_at,
        "policy": seen.policy.model_dump(),
        "metrics": before.model_dump(),
        "metrics_after": after.model_dump(),
        "guard": seen.guard.model_dump(),
        "switch": seen.switch.model_dump(),
        "skipped": flight.skip_reason is not None,
        "skip_reason": flight.skip_reason,
        "planned_actions": seen.evaluation.planned_actions,
        "actions": list(acted.runs),
        "should_run_auto_assign": seen.evaluation.should_run_auto_assign,
        "should_run_escalation": seen.evaluation.should_run_escalation,
        "plan_hash": hash_of(tx.site, seen.published.digest, plan, force=seen.evaluation.force),
        "planned_steps": [step.model_dump() for step in plan.steps[:MAX_SHOWN]],
        "touched_count": len(acted.touched),
        "left_out_count": plan.left_out_count,
        "no_candidate_count": plan.no_candidate_count,
        "checks": [check.model_dump() for check in acted.checks],
        "errors": acted.errors,
        "auto_assign": _child(acted, "auto_assign"),
        "escalation": _child(acted, "escalation"),
    }
    told: dict[str, Any] = orjson.loads(orjson.dumps(answer, option=orjson.OPT_UTC_Z))
    return told


def _row(tx: Tx, run: JobRun, flight: Flight, acted: Acted) -> dict[str, Any]:
    """The run in short; its columns are `_KEPT`."""
    detail = run.detail
    names = ("dry_run", "force", "shadow", "skipped", "skip_reason", "planned_actions", "actions", "touched_count")
    counts = ("open_items", "overdue_count", "unassigned_open_count", "critical_open_count")
    return {
        "run_id": run.run_id,
        "site": run.site,
        "ran_at": tx.now,
        # What moved nothing must not keep the next run from acting.
        "executed": flight.acts and bool(acted.touched),
        **{name: detail[name] for name in names},
        **{name: detail["metrics_after"][name] for name in counts},
        "errors_count": len(acted.errors),
        "given_ids": acted.moved.get("auto_assign", []),
        "begun_ids": acted.moved.get("escalation", []),
    }


def _child(acted: Acted, action: Action) -> dict[str, Any] | None:
    run = acted.runs.get(action)
    return job_runs.envelope(run) if run is not None else None


def _status(detail: Mapping[str, Any], acted: Acted) -> JobStatus:
    after = KpiMetrics.model_validate(detail["metrics_after"])
    status = domain.status(after, acted.errors, detail["planned_actions"])
    unmoved = not all(check.ok for check in acted.checks)
    nobody = detail["no_candidate_count"]
    return "warning" if status == "success" and (unmoved or nobody) else status


async def run_by_hand(tx: Tx, body: RunBody) -> AutopilotRun:
    """A run that a person asks for. Raises as `fly`."""
    return AutopilotRun.model_validate(job_runs.envelope(await fly(tx, body, "api")))


async def run_by_clock(tx: Tx) -> None:
    """The hourly run."""
    await fly(tx, RunBody(), "schedule")


async def latest(read: Read, _params: Nothing) -> bytes:
    """The newest run as JSON of `AutopilotRun`; a run that failed has the reason instead. Raises `NotFound`."""
    run = await job_runs.latest(read.pool, read.site, JOB)
    if run is None:
        raise NotFound("The autopilot has not run at this site yet; run it with POST …/tracker/autopilot/run.")
    return orjson.dumps(job_runs.envelope(run), option=orjson.OPT_UTC_Z)


TABLE = Table(
    commands={contract.run_autopilot: run_by_hand},
    queries={contract.latest_autopilot: latest},
    jobs=(Job(JOB, Schedule("55 * * * *"), run_by_clock, sites, keeps_record=True),),
)
