"""What the autopilot does to items: an action each, in a savepoint, checked by reading back what it wanted to move.

Only what can be undone: an item that nobody has is given to somebody, an escalation that has not begun begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from libs.common import job_runs
from libs.common.contracts.jobs import JobRun
from libs.common.contracts.tracker.assignment import JOB as ASSIGN_JOB
from libs.common.contracts.tracker.autopilot import Action, Check, Plan, PlanStep
from libs.common.contracts.tracker.autopilot_policy import AutopilotPolicy
from libs.common.contracts.tracker.escalation import JOB as ESCALATE_JOB
from libs.common.contracts.tracker.escalation import EscalateBody
from libs.common.savepoints import taken_back
from libs.common.service import JobDone, Tx
from services.tracker.assignment import assign_planned
from services.tracker.autopilot.plans import apart, names
from services.tracker.escalation import escalate

MAX_SHOWN = 50
JOBS: dict[Action, str] = {"auto_assign": ASSIGN_JOB, "escalation": ESCALATE_JOB}

SELECT_GIVEN = """
SELECT item.id FROM item JOIN unnest($1::bigint[], $2::text[]) AS planned (id, assignee) USING (id, assignee)
WHERE is_active
"""
SELECT_BEGUN = """
SELECT escalation.item, step.key, step.targets
FROM escalation LEFT JOIN escalation_step AS step
    ON step.item = escalation.item AND step.episode = escalation.episode AND step.outcome = 'raised'
WHERE escalation.started_at = $2 AND escalation.item = ANY ($1::bigint[])
"""


@dataclass(slots=True)
class Acted:
    """What came of a plan: the run of each action, the items moved, why steps were left, and what failed.

    ``otherwise``: what was done, and not as the plan said.
    """

    runs: dict[Action, JobRun] = field(default_factory=dict)
    moved: dict[Action, list[int]] = field(default_factory=dict)
    whys: dict[Action, dict[int, str]] = field(default_factory=dict)
    otherwise: dict[Action, dict[int, str]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def touched(self) -> set[int]:
        """The items moved, by whichever action."""
        return {item for items in self.moved.values() for item in items}

    @property
    def differences(self) -> dict[Action, dict[int, str]]:
        """By action and item, what was not done just as the plan said."""
        return {action: {**self.otherwise.get(action, {}), **whys} for action, whys in self.whys.items()}


@dataclass(frozen=True, slots=True)
class Did:
    """An action's record, why steps were left, and what was done otherwise."""

    done: JobDone
    whys: dict[int, str]
    otherwise: dict[int, str] = field(default_factory=dict)


async def act(tx: Tx, plan: Plan, policy: AutopilotPolicy, run_id: int, acted: Acted) -> None:
    """Do a plan, and note what came of it. What one action raises leaves the other alone; nothing of it stays."""
    for action in plan.actions:
        steps = [step for step in plan.steps if step.action == action]

        async def one(action: Action = action, steps: Sequence[PlanStep] = steps) -> None:
            if action == "auto_assign":
                did = await _assign(tx, steps, plan.no_candidate_count)
            else:
                did = await _escalate(tx, steps, policy)
            acted.runs[action] = await _record(tx, action, did.done, run_id)
            acted.moved[action] = [step.item_id for step in steps if step.item_id not in did.whys]
            acted.whys[action], acted.otherwise[action] = did.whys, did.otherwise
            acted.checks.append(_check(action, steps, did.whys))

        await apart(tx, action, acted.errors, one())


async def rehearse(tx: Tx, plan: Plan, policy: AutopilotPolicy, run_id: int, acted: Acted) -> None:
    """The runs of the plan's actions as dry ones, which say what real ones would do."""
    for action in plan.actions:
        steps = [step for step in plan.steps if step.action == action]

        async def one(action: Action = action, steps: Sequence[PlanStep] = steps) -> None:
            if action == "auto_assign":
                done, _ = await assign_planned(tx, steps, plan.no_candidate_count, dry_run=True)
            else:
                done = await _as_if_given(tx, plan, steps, policy)
            acted.runs[action] = await _record(tx, action, done, run_id)

        await apart(tx, action, acted.errors, one())


async def _as_if_given(tx: Tx, plan: Plan, steps: Sequence[PlanStep], policy: AutopilotPolicy) -> JobDone:
    """A dry run of the escalation on items that have been given out first, which is taken back."""
    async with taken_back(tx):
        await assign_planned(tx, [step for step in plan.steps if step.action == "auto_assign"])
        return await escalate(tx, _body(policy, dry_run=True), begin=[step.item_id for step in steps])


async def _record(tx: Tx, action: Action, done: JobDone, run_id: int) -> JobRun:
    return await job_runs.record(tx, JOBS[action], done, trigger="autopilot", parent_run=run_id)


def _body(policy: AutopilotPolicy, *, dry_run: bool = False) -> EscalateBody:
    # Whether the chains tell anybody is for them to say; a policy can only silence its own runs.
    return EscalateBody(
        dry_run=dry_run,
        include_due_soon_hours=policy.escalation_due_soon_hours,
        notify=None if policy.notify_enabled else False,
    )


async def _assign(tx: Tx, steps: Sequence[PlanStep], nobody: int) -> Did:
    done, whys = await assign_planned(tx, steps, nobody)
    ids = [step.item_id for step in steps]
    rows = await tx.connection.fetch(SELECT_GIVEN, ids, [step.assignee for step in steps])
    return Did(done, whys | _missing(ids, {row["id"] for row in rows}, whys, "It was to be given, and nobody has it."))


async def _escalate(tx: Tx, steps: Sequence[PlanStep], policy: AutopilotPolicy) -> Did:
    ids = [step.item_id for step in steps]
    done = await escalate(tx, _body(policy), begin=ids)
    begun = {row["item"]: row for row in await tx.connection.fetch(SELECT_BEGUN, ids, tx.now)}
    gone = "Its escalation has begun without this, rests, or has nothing to begin with any more."
    otherwise = {}
    for step in steps:
        if (row := begun.get(step.item_id)) is None:
            continue
        told = [names(one["kind"], one["name"], one["people"]) for one in row["targets"] or ()]
        if (row["key"], told) != (step.key, step.targets):
            otherwise[step.item_id] = f"Planned to tell {_all(step.targets)}; now it would be {_all(told)}."
    return Did(done, _missing(ids, begun, {}, gone), otherwise)


def _missing(ids: Iterable[int], found: Iterable[int], known: Mapping[int, str], reason: str) -> dict[int, str]:
    there = set(found)
    return {one: reason for one in ids if one not in there and one not in known}


def _all(targets: Sequence[str]) -> str:
    return ", ".join(targets) or "nobody yet"


def _check(action: Action, steps: Sequence[PlanStep], whys: Mapping[int, str]) -> Check:
    return Check(
        action=action,
        wanted_count=len(steps),
        moved_count=len(steps) - len(whys),
        ok=not whys,
        not_moved=list(whys)[:MAX_SHOWN],
    )
