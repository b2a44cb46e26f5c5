"""What the autopilot sees: one evaluation for preview, guard and run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common import versions
from libs.common.contracts.tracker.autopilot import Evaluation, Force, Guard, GuardShown, Switch
from libs.common.contracts.tracker.autopilot import get_guard as guard_query
from libs.common.contracts.tracker.autopilot_policy import POLICY, POLICY_KEY, AutopilotPolicy
from libs.common.contracts.tracker.kpi import KpiMetrics, KpiWindow
from libs.common.contracts.versions import Published
from libs.common.service import Connection, Read, Table
from services.tracker.autopilot.policy import switch_of
from services.tracker.domain import autopilot as domain
from services.tracker.domain.autopilot import Guarded, LastRun, Triggers
from services.tracker.kpi import snapshot

SELECT_LAST = "SELECT run_id, ran_at FROM autopilot_run WHERE site = $1 AND executed ORDER BY run_id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Seen:
    """A site at one moment, by one policy: what is called for, and whether it may be done."""

    published: Published[AutopilotPolicy]
    policy: AutopilotPolicy
    evaluation: Evaluation
    guard: Guard
    guarded: Guarded
    switch: Switch

    @property
    def triggers(self) -> Triggers:
        """The policy's triggers, as the domain has them."""
        return triggers_of(self.policy)

    @property
    def skip_reason(self) -> domain.SkipReason | None:
        """Why a run would do nothing."""
        return domain.skip(
            self.triggers, self.guarded, self.evaluation.planned_actions, skip_idle=self.policy.skip_if_no_action
        )


def triggers_of(policy: AutopilotPolicy) -> Triggers:
    """When the policy's actions are called for."""
    return Triggers(policy.enabled, policy.unassigned_trigger, policy.overdue_trigger)


async def look(
    connection: Connection,
    site: str,
    now: datetime,
    switch: Switch,
    *,
    force: bool,
    policy: AutopilotPolicy | None = None,
) -> Seen:
    """Evaluate a site. ``policy`` takes the place of the one in force. Raises `Conflict` if that can't be read."""
    published = await versions.current(connection, POLICY, site)
    policy = policy or published.content
    window = KpiWindow(window_days=policy.kpi_window_days, due_soon_hours=policy.kpi_due_soon_hours)
    _, facts = await snapshot(connection, site, now, window)
    called = domain.call(facts.metrics, triggers_of(policy), force=force)
    evaluation = Evaluation(
        checked_at=now,
        force=force,
        policy=policy,
        metrics=facts.metrics,
        should_run_auto_assign=called.auto_assign,
        should_run_escalation=called.escalation,
        planned_actions=list(called.planned),
        kpi_snapshot=facts,
    )
    row = await connection.fetchrow(SELECT_LAST, site)
    last = None if row is None else LastRun(row["run_id"], row["ran_at"])
    cooldown = timedelta(minutes=policy.cooldown_minutes)
    guarded = domain.guard(last, cooldown, now, stopped=switch.stopped, force=force)
    shown = Guard(
        checked_at=now,
        force=force,
        cooldown_minutes=policy.cooldown_minutes,
        ready=guarded.ready,
        blocked=not guarded.ready,
        reason=guarded.reason,
        last_run_id=last.run_id if last else None,
        last_run_at=last.at if last else None,
        next_allowed_at=guarded.next_allowed_at,
        minutes_until_ready=guarded.minutes_until_ready,
    )
    return Seen(published, policy, evaluation, shown, guarded, switch)


async def metrics_now(connection: Connection, site: str, now: datetime, policy: AutopilotPolicy) -> KpiMetrics:
    """The figures once more, after what was done."""
    window = KpiWindow(window_days=policy.kpi_window_days, due_soon_hours=policy.kpi_due_soon_hours)
    return (await snapshot(connection, site, now, window))[1].metrics


async def get_guard(read: Read, params: Force) -> GuardShown:
    """What a run would see now, and whether it might act. Raises `Conflict` if the policy can't be read."""
    async with read.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        switch = await switch_of(connection, read.site)
        seen = await look(connection, read.site, read.now, switch, force=params.force)
    return GuardShown(
        policy_key=POLICY_KEY,
        policy_updated_at=seen.published.published_at,
        policy=seen.policy,
        evaluation=seen.evaluation,
        guard=seen.guard,
        switch=seen.switch,
    )


TABLE = Table(queries={guard_query: get_guard})
