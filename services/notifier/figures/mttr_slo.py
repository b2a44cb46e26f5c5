"""Checks the mean time to recovery of a site's targets; a breach probes what fails, and is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from libs.common import versions
from libs.common.cloudevents import decode
from libs.common.contracts.base import Nothing
from libs.common.contracts.notifier import mttr_slo as contract
from libs.common.contracts.notifier.mttr_slo import (
    MTTR_DOCUMENT,
    MTTR_JOB,
    MTTR_SLO,
    MttrSloBody,
    MttrSloBreached,
    MttrSloCheck,
    MttrSloPolicy,
    MttrSloWindow,
    Told,
    mttr_slo_breached,
)
from libs.common.contracts.notifier.outages import MttrFigures, MttrWindow
from libs.common.job_runs import envelope, latest, record
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.notifier import direct, intake
from services.notifier.domain import mttr_slo as domain
from services.notifier.figures import policies
from services.notifier.figures.outages import windows
from services.notifier.guarding import recovery
from services.notifier.roll import Rolls

LOOK_BACK = timedelta(days=30)  # runs of jobs are kept as long; no cooldown is longer

SELECT_BEFORE = """
SELECT max(finished_at) FILTER (WHERE (detail ->> 'breach')::boolean) AS last_breach_at,
    max(finished_at) FILTER (WHERE (detail #>> '{actions,notify_attempted}')::boolean) AS last_notified_at
FROM job_run WHERE job_name = $1 AND site = $2 AND finished_at > $3 AND status <> 'failed'
"""
# The channels of the site, but for those that the subscriptions among $2 lead to.
SELECT_CHANNELS = """
SELECT channel_id FROM channel WHERE site = $1 AND person = '' AND status = 'active' AND channel_id NOT IN (
    SELECT channel_id FROM subscription WHERE subscription_id = ANY ($2::bigint[]) AND channel_id IS NOT NULL)
"""
SELECT_TOLD = """
SELECT delivery_id FROM delivery WHERE lane = ANY ($1::bigint[]) AND event_id = $2 ORDER BY delivery_id
"""
SELECT_STATES = """
SELECT target, coalesce(channel.name, subscription.name) AS name, state, error
FROM delivery LEFT JOIN subscription USING (subscription_id)
LEFT JOIN channel ON channel.channel_id = delivery.channel_id
WHERE delivery_id = ANY ($1::bigint[]) ORDER BY delivery_id
"""
SELECT_SITES = """
SELECT site FROM subscription WHERE status <> 'removed'
UNION SELECT site FROM channel WHERE status <> 'removed' AND person = '' ORDER BY site
"""


class Checker:
    """Makes checks; it holds the roll of those who may be told."""

    def __init__(self) -> None:
        self._rolls = Rolls()

    async def check(self, tx: Tx, *, force_notify: bool = False) -> JobDone:
        """Judge the window, and do what a breach asks. Raises `Conflict` if the policy can't be read."""
        published = await versions.current(tx.connection, MTTR_DOCUMENT, tx.site)
        policy = published.content
        (window,) = await windows(tx.connection, tx.site, tx.now, (policy.window_days,))
        since = min((one.open_since for one in window.targets if one.open_since), default=None)
        found = domain.reasons(
            enabled=policy.enabled,
            min_incidents=policy.min_incidents,
            threshold_minutes=policy.threshold_minutes,
            incident_count=window.incident_count,
            mttr_minutes=window.mttr_minutes,
            open_since=since,
            now=tx.now,
        )
        before = await tx.connection.fetchrow(SELECT_BEFORE, MTTR_JOB, tx.site, tx.now - LOOK_BACK)
        assert before is not None  # noqa: S101 - an aggregate makes a row
        left = domain.cooldown_left_minutes(before["last_notified_at"], policy.notify_cooldown_minutes, tx.now)
        detail = {
            "policy": policy.model_dump(mode="json"),
            "window": _window(window).model_dump(mode="json"),
            "breach": bool(found),
            "breach_reasons": found,
            "top_channels": [one.model_dump(mode="json") for one in window.targets[: policy.top_channels]],
        }
        probed = await _probe(tx, policy) if found and policy.auto_recover_enabled else None
        told: list[int] | None = None
        if found and policy.notify_enabled and (force_notify or not left):
            told = await self._tell(tx, policy, window, found)
        detail["told_deliveries"] = told or []
        detail["actions"] = {
            "auto_recover_attempted": probed is not None,
            "auto_recover_result": probed,
            "notify_attempted": told is not None,
            "notify_dispatched": False,
            "notify_error": None,
            "notify_channels": [one.model_dump(mode="json") for one in await _told(tx.connection, told or [])],
            "force_notify": force_notify,
            "cooldown_minutes": policy.notify_cooldown_minutes,
            "cooldown_active": left > 0,
            "cooldown_remaining_minutes": left,
            "last_breach_at": before["last_breach_at"],
            "last_notified_at": tx.now if told is not None else before["last_notified_at"],
        }
        version = f"{published.source} {published.version}"
        return JobDone("warning" if found else "success", detail, policy_version=version)

    async def _tell(self, tx: Tx, policy: MttrSloPolicy, window: MttrWindow, found: Sequence[str]) -> list[int]:
        """Tell of it: to who has subscribed, and straight to the site's other channels. The numbers of the deliveries.

        They are made here and not when the event comes back by the bus, so that the check can say who is told.
        """
        told = MttrSloBreached(
            event_type=policy.notify_event_type,
            site=tx.site,
            threshold_minutes=policy.threshold_minutes,
            window=_window(window),
            breach_reasons=list(found),  # type: ignore[arg-type]
            top_channels=window.targets[: policy.top_channels],
        )
        name = mttr_slo_breached.name
        event_id = tx.emit(mttr_slo_breached, told, subject=tx.site)
        payload = tx.staged[-1].payload
        await tx.connection.execute(intake.INSERT_EVENTS, [event_id], [tx.site], [name], [tx.now], [payload], tx.now)
        event = decode(payload)
        wanting = (await self._rolls.current(tx.connection)).takers(event)
        due = ((one.subscription_id, event_id, tx.site, name, *one.when(event, tx.now)) for one in wanting)
        await intake.insert(tx.connection, due, tx.now)
        takers = [one.subscription_id for one in wanting]
        rows = await tx.connection.fetch(SELECT_CHANNELS, tx.site, takers)
        channels = [row["channel_id"] for row in rows]
        await direct.send(tx.connection, channels, event_id, tx.site, name, "slo", None, tx.now)
        lanes = [*takers, *(-channel for channel in channels)]
        return [row["delivery_id"] for row in await tx.connection.fetch(SELECT_TOLD, lanes, event_id)]

    async def run_by_hand(self, tx: Tx, body: MttrSloBody) -> MttrSloCheck:
        """A check. Raises `Conflict`."""
        run = await record(tx, MTTR_JOB, await self.check(tx, force_notify=body.force_notify))
        return MttrSloCheck(**envelope(run))

    async def run_by_clock(self, tx: Tx) -> JobDone:
        """The same, every hour."""
        return await self.check(tx)


async def _probe(tx: Tx, policy: MttrSloPolicy) -> dict[str, Any] | None:
    """Have what fails probed; None: the guard knows of nothing in the policy's state."""
    circuits = await recovery.failing(tx, policy.recover_state, policy.recover_max_targets)
    return (await recovery.begin(tx, circuits)).model_dump(mode="json") if circuits else None


def _window(window: MttrWindow) -> MttrSloWindow:
    return MttrSloWindow(**window.model_dump(include={*MttrFigures.model_fields, "days"}))


async def _told(source: Any, delivery_ids: Sequence[int]) -> list[Told]:
    if not delivery_ids:
        return []
    return [Told(**row) for row in await source.fetch(SELECT_STATES, list(delivery_ids))]


async def latest_check(read: Read, _params: Nothing) -> MttrSloCheck:
    """The newest check, with who has taken its message by now. Raises `NotFound`."""
    run = await latest(read.pool, read.site, MTTR_JOB)
    if run is None or "window" not in run.detail:
        raise NotFound("The MTTR SLO has not been checked at this site; POST …/mttr-slo/check/run does.")
    check = MttrSloCheck(**envelope(run))
    told = await _told(read.pool, run.detail.get("told_deliveries", []))
    dead = sum(one.state == "dead" for one in told)
    error = None
    if dead:
        error = "all alert channels failed" if dead == len(told) else f"{dead}/{len(told)} failed"
    now = {
        "notify_channels": told,
        "notify_dispatched": any(one.state == "delivered" for one in told),
        "notify_error": error,
    }
    return check.model_copy(update={"actions": check.actions.model_copy(update=now)})


async def sites(connection: Connection) -> Sequence[str]:
    """The sites from which anything is sent."""
    return [row["site"] for row in await connection.fetch(SELECT_SITES)]


DOCUMENT = versions.table(MTTR_DOCUMENT)
POLICY = policies.table(MTTR_SLO)


def table() -> Table:
    """What this module answers."""
    checker = Checker()
    return Table(
        commands={contract.run_check: checker.run_by_hand},
        queries={contract.latest_check: latest_check},
        jobs=(Job(MTTR_JOB, Schedule("10 * * * *"), checker.run_by_clock, sites),),
    )
