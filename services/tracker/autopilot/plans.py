"""Plans: each item, each action, why. A preview keeps one, and who approves it names it by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from libs.common import versions
from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker.assignment import ASSIGNMENT
from libs.common.contracts.tracker.autopilot import (
    Action,
    AutopilotPreviewed,
    Plan,
    PlanStep,
    Preview,
    PreviewBody,
    autopilot_previewed,
)
from libs.common.contracts.tracker.autopilot_policy import POLICY_KEY, AutopilotPolicy
from libs.common.postgres import LOST_RACES, UNREACHABLE
from libs.common.problems import Conflict, Refusal
from libs.common.schedules import Schedule
from libs.common.service import Job, Table, Tx
from libs.common.telemetry import log
from services.tracker.autopilot.evaluation import Seen, look
from services.tracker.autopilot.policy import switch_of
from services.tracker.chains import rules_of
from services.tracker.domain.autopilot import capped
from services.tracker.domain.escalation import Climb
from services.tracker.domain.item import Item
from services.tracker.escalation import to_begin, until
from services.tracker.ladder import Rung, foresee, why
from services.tracker.people import learn
from services.tracker.proposals import LOCK_BOARDS_OF, TAKE_TURN, plan_assignments

KEEP_PLAN = """
INSERT INTO autopilot_plan (site, plan_hash, ends_at, force, policy_digest, plan) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (site, plan_hash) DO UPDATE SET ends_at = greatest(autopilot_plan.ends_at, excluded.ends_at)
"""
# Approved once is done once; a run that is refused gives it back with its transaction.
TAKE_PLAN = (
    "DELETE FROM autopilot_plan WHERE site = $1 AND plan_hash = $2 RETURNING ends_at, force, policy_digest, plan"
)
SELECT_REVISIONS = "SELECT id, episode, revision FROM item WHERE site = $1 AND id = ANY ($2::bigint[])"
FORGET_PLANS = "DELETE FROM autopilot_plan WHERE ends_at < $1"
# A whole message that meets one of these is tried again, so they are not kept as an action's failure.
AGAIN: tuple[type[BaseException], ...] = (*UNREACHABLE, *LOST_RACES)
MAX_ERROR = 1000
KEPT_AFTER_END = timedelta(days=1)  # so that who comes late is told so


def hash_of(site: str, policy_digest: str, plan: Plan, *, force: bool) -> str:
    """What names a plan: SHA-256 (hex) of what will be done, by which policy, and where; the same for the same plan.

    Reasons are left out: they tell how late things are, which each minute changes.
    """
    steps = plan.model_dump(mode="json", exclude={"no_candidate_count": True, "steps": {"__all__": {"why"}}})
    named = {"site": site, "policy": policy_digest, "force": force, "plan": steps}
    return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def apart(tx: Tx, action: Action, errors: list[str], do: Awaitable[None]) -> None:
    """Do it; if it fails, note that, and leave nothing of it behind: the other action goes on."""
    staged = len(tx.staged)
    point = tx.connection.transaction()
    await point.start()
    try:
        await do
    except AGAIN:
        raise
    except Exception as error:
        await point.rollback()
        del tx.staged[staged:]
        reason = error.detail if isinstance(error, Refusal) else repr(error)
        log.warning("autopilot action failed", action=action, site=tx.site, error=reason)
        errors.append(f"{action}: {reason}"[:MAX_ERROR])
    else:
        await point.commit()


async def unlearnt(tx: Tx) -> Refusal | None:
    """Learn of people, which asks: so before anything is locked. Returns why that is not possible now."""
    try:
        await learn(tx)
    except Refusal as error:
        return error
    return None


@dataclass(slots=True)
class Drafted:
    """The steps of each action that could be planned; items that nobody can take, and what was beyond the limits."""

    steps: dict[Action, list[PlanStep]] = field(default_factory=dict)
    nobody: int = 0
    beyond: int = 0


async def draft(
    tx: Tx, policy: AutopilotPolicy, actions: Sequence[Action], away: Refusal | None
) -> tuple[Plan, list[str]]:
    """What a run would do now, step by step; nothing is changed. Also which actions can't be planned, and why.

    ``away`` is what `unlearnt` returned: without people nothing can be given out.
    """
    found = Drafted()
    errors: list[str] = []
    if "auto_assign" in actions:
        await apart(tx, "auto_assign", errors, _assignments(tx, policy, found, away))
    if "escalation" in actions:
        await apart(tx, "escalation", errors, _escalations(tx, policy, found))
    every = [step for steps in found.steps.values() for step in steps]
    kept = [every[place] for place in capped([step.item_id for step in every], policy.max_touched_items)]
    plan = Plan(
        actions=list(found.steps),
        steps=kept,
        touched_count=len({step.item_id for step in kept}),
        left_out_count=len(every) - len(kept) + found.beyond,
        no_candidate_count=found.nobody,
    )
    return plan, errors


async def _assignments(tx: Tx, policy: AutopilotPolicy, found: Drafted, away: Refusal | None) -> None:
    if away is not None:
        raise away
    how = (await versions.current(tx.connection, ASSIGNMENT, tx.site)).content
    limit = policy.auto_assign_max_items
    proposed = await plan_assignments(tx.connection, tx.site, tx.now, limit, policy=how) if how.enabled else []
    found.steps["auto_assign"] = [
        _step("auto_assign", item, proposal.reason, assignee=proposal.assignee)
        for item, proposal in proposed
        if proposal.assignee is not None
    ]
    found.nobody = len(proposed) - len(found.steps["auto_assign"])


async def _escalations(tx: Tx, policy: AutopilotPolicy, found: Drafted) -> None:
    rules = await rules_of(tx.connection, tx.site, tx.now)
    rungs: list[Rung] = []
    if policy.notify_enabled and rules.settings.enabled and rules.settings.notify_enabled:
        border = until(tx.now, policy.escalation_due_soon_hours)
        rungs, every = await to_begin(tx.connection, tx.site, tx.now, rules, border)
        found.beyond += every - len(rungs)
    # Assigning comes first, so that who gets an item is told of it.
    given = {step.item_id: step.assignee for step in found.steps.get("auto_assign", [])[: policy.max_touched_items]}
    rungs = [replace(rung, item=_as_given(rung.item, given)) for rung in rungs]
    found.steps["escalation"] = [_escalation(rung, climbed, tx.now) for rung, climbed in foresee(rungs, rules, tx.now)]


def _as_given(item: Item, given: Mapping[int, str | None]) -> Item:
    return replace(item, assignee=given[item.id]) if item.id in given else item


def _escalation(rung: Rung, climbed: Climb, now: datetime) -> PlanStep:
    step = climbed.step
    if step is None:
        state = "nobody of its first level is there" if climbed.waiting else "its first level's turn comes later"
        return _step("escalation", rung.item, f"Its escalation begins; {state}.", level=0)
    assert rung.chain is not None  # noqa: S101 - else nobody would be told
    return _step(
        "escalation",
        rung.item,
        why(rung.item, rung.chain, step, now),
        level=step.level,
        key=step.key(rung.item),
        targets=[names(one.kind, one.name, one.people) for one in climbed.told],
    )


def names(kind: str, name: str, people: Sequence[str]) -> str:
    """A target as plans name it: with the people that it stands for, where these are not the name itself."""
    return f"{kind} {name}" if list(people) in ([], [name]) else f"{kind} {name} ({', '.join(people)})"


def _step(action: Action, item: Item, reason: str, **more: Any) -> PlanStep:
    return PlanStep(
        action=action,
        item_id=item.id,
        episode=item.episode,
        revision=item.revision,
        gate=item.gate,
        subject=item.subject,
        line=item.line,
        rule_id=item.rule_id,
        priority=item.priority,
        due_at=item.due_at,
        why=reason,
        **more,
    )


async def preview(tx: Tx, body: PreviewBody) -> Preview:
    """Plan what a run would do, and keep the plan for approval unless it goes by settings that nobody has saved.

    Raises `Conflict` if the policy can't be read.
    """
    away = await unlearnt(tx)
    switch = await switch_of(tx.connection, tx.site)
    seen = await look(tx.connection, tx.site, tx.now, switch, force=body.force)
    saved = seen.policy
    tried = saved if body.policy is None else body.policy.over(saved)
    if tried != saved:
        seen = await look(tx.connection, tx.site, tx.now, switch, force=body.force, policy=tried)
    plan, errors = await draft(tx, tried, seen.evaluation.planned_actions, away)
    plan_hash, ends_at = None, None
    if tried == saved:
        plan_hash, ends_at = await _keep(tx, seen, plan, body.force)
    told = AutopilotPreviewed(
        plan_hash=plan_hash, ends_at=ends_at, planned_actions=plan.actions, step_count=len(plan.steps)
    )
    tx.emit(autopilot_previewed, told, subject=tx.site)
    return Preview(
        **dict(seen.evaluation),
        policy_key=POLICY_KEY,
        guard=seen.guard,
        switch=switch,
        plan=plan,
        plan_hash=plan_hash,
        ends_at=ends_at,
        errors=errors,
    )


async def _keep(tx: Tx, seen: Seen, plan: Plan, force: bool) -> tuple[str, datetime]:
    digest = seen.published.digest
    plan_hash = hash_of(tx.site, digest, plan, force=force)
    ends_at = tx.now + timedelta(minutes=seen.policy.plan_minutes)
    stored = plan.model_dump(mode="json")
    await tx.connection.execute(KEEP_PLAN, tx.site, plan_hash, ends_at, force, digest, stored)
    return plan_hash, ends_at


async def take_approved(tx: Tx, plan_hash: str, policy_digest: str) -> tuple[Plan, bool]:
    """The plan of that hash, which is used up with it, and whether it was made with force.

    Raises `Conflict` if there is none, if its time is over, or if the policy is another than it was made by.
    """
    row = await tx.connection.fetchrow(TAKE_PLAN, tx.site, plan_hash)
    if row is None:
        raise Conflict(
            "There is no plan with this hash at this site, or it was done already. Preview again and approve that plan."
        )
    if row["ends_at"] <= tx.now:
        raise Conflict(f"The plan could be approved until {row['ends_at']:%Y-%m-%d %H:%M} UTC. Preview again.")
    if row["policy_digest"] != policy_digest:
        raise Conflict("The autopilot's policy has been changed since the plan was made. Preview again.")
    return Plan.model_validate(row["plan"]), row["force"]


async def changed_since(tx: Tx, plan: Plan) -> dict[Action, dict[int, str]]:
    """Lock the boards of a plan's items, and say which items are not as it was made for; by action and item."""
    ids = sorted({step.item_id for step in plan.steps})
    await tx.connection.execute(TAKE_TURN)  # as every run that gives something out: first this, then boards
    await tx.connection.execute(LOCK_BOARDS_OF, tx.site, ids)
    rows = await tx.connection.fetch(SELECT_REVISIONS, tx.site, ids)
    now = {row["id"]: (row["episode"], row["revision"]) for row in rows}
    whys: dict[Action, dict[int, str]] = {action: {} for action in plan.actions}
    for step in plan.steps:
        if now.get(step.item_id) != (step.episode, step.revision):
            whys[step.action][step.item_id] = "It has been changed since the plan was made."
    return whys


def differs(plan: Plan, whys: Mapping[Action, Mapping[int, str]]) -> list[dict[str, Any]]:
    """The steps that can't be done as planned, each with the reason, for whoever approved the plan."""
    return [
        {
            "action": step.action,
            "item_id": step.item_id,
            "rule_id": step.rule_id,
            "planned": step.assignee if step.action == "auto_assign" else f"level {step.level}",
            "why": whys[step.action][step.item_id],
        }
        for step in plan.steps
        if step.item_id in whys.get(step.action, {})
    ]


async def forget_plans(tx: Tx) -> None:
    """Plans that nobody can approve any more go. Nobody is told: nothing is another than it was."""
    await tx.connection.execute(FORGET_PLANS, tx.now - KEPT_AFTER_END)


TABLE = Table(
    commands={contract.preview: preview},
    jobs=(Job("forget_autopilot_plans", Schedule("17 2 * * *"), forget_plans),),
)
