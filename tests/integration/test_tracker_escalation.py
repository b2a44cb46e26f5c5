"""Escalation runs on real PostgreSQL: candidates, dry and real, statuses, chains, and the self-check."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from libs.common import job_runs
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Nothing
from libs.common.contracts.tracker.chains import Level
from libs.common.contracts.tracker.escalation import (
    JOB,
    Acknowledge,
    Escalated,
    Snooze,
    acknowledge,
    snooze,
)
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.ids import uuid7
from libs.common.problems import NotFound
from libs.common.service import JobDone, Tx
from services.tracker import escalation
from services.tracker.board import sites
from tests.integration.tracker_desk import START, Desk
from tests.integration.tracker_tower import JOBS, TEAM, TWO_LEVELS, Tower, chain

pytestmark = pytest.mark.integration


@pytest.fixture
def tower(desk: Desk) -> Tower:
    return Tower(desk)


async def test_a_run_tells_of_candidates_once(tower: Tower) -> None:
    await tower.fails("a", "b")
    await tower.fails("a", "b", "w")
    desk = tower.desk
    await desk.order(patch_item, ItemPatch(item_id=(await desk.items())["a"].id, assignee="bob"))
    desk.told = []
    done = await tower.run()
    assert (done.job_name, done.trigger, done.status, done.run_id > 0) == (JOB, "api", "critical", True)
    assert (done.enabled, done.due_soon_hours, done.notify_enabled, done.dry_run) == (True, 12, True, False)
    assert (done.candidate_count, done.critical_count, done.started_count, done.raised_count) == (3, 3, 3, 3)
    assert (done.notify_attempted, done.notify_dispatched, done.notify_channels) == (True, False, [])
    assert (done.notify_error, done.notify_pending_count) == (None, 3)
    assert [one.rule_id for one in done.items] == ["a", "b", "w"]
    assert (done.items[0].minutes_until_due, done.items[0].level) == (240, 0)
    assert done.snapshot["metrics"]["open_items"] == 3
    assert [event.name for event in desk.told] == ["tracker.escalation.raised"] * 3 + ["tracker.job.finished"]
    first = tower.raised()[0]
    assert (first["level"], first["levels"], first["repeat"], first["chain"]) == (1, 1, 0, "default")
    assert first["why"] == "a is due in 4 h: level 1 of 1 of the chain default."
    assert first["targets"] == [
        {"kind": "assignee", "name": "bob", "people": ["bob"]},
        {"kind": "owner_role", "name": "Ops Lead", "people": []},
        {"kind": "channel", "name": "all", "people": []},
    ]
    again = await tower.run()
    assert (again.candidate_count, again.started_count, again.raised_count, again.items[0].level) == (3, 0, 0, 1)
    assert tower.steps() == []
    found = Escalated.model_validate_json(await escalation.latest(desk.read(), Nothing()))
    assert found == again


async def test_dry_and_real_runs_agree_and_a_dry_one_changes_nothing(tower: Tower) -> None:
    await tower.fails("a", "b")
    tower.desk.told = []
    dry = await tower.run(dry_run=True)
    assert [event.name for event in tower.desk.told] == ["tracker.job.finished"]
    real = await tower.run()
    assert (dry.candidate_count, dry.items, dry.would_raise_count, dry.raised_count) == (2, real.items, 2, 0)
    assert (real.would_raise_count, real.raised_count, real.started_count) == (0, 2, dry.started_count)
    assert (await tower.run(dry_run=True)).would_raise_count == 0


async def test_bounds_of_due_soon(tower: Tower) -> None:
    await tower.fails("a")  # due after 4 h
    assert (await tower.run(dry_run=True, include_due_soon_hours=3)).candidate_count == 0
    assert (await tower.run(dry_run=True, include_due_soon_hours=4)).candidate_count == 1
    assert (await tower.run(dry_run=True, include_due_soon_hours=3)).status == "success"
    tower.desk.later(4)
    assert (await tower.run(dry_run=True, include_due_soon_hours=0)).candidate_count == 0, "due now is not overdue"
    tower.desk.now += timedelta(microseconds=1)
    assert (await tower.run(dry_run=True, include_due_soon_hours=0)).candidate_count == 1
    await tower.publish(include_due_soon_hours=0)
    assert (await tower.run(dry_run=True)).due_soon_hours == 0, "a zero that was published is kept"


async def test_status_says_what_is_at_stake(tower: Tower) -> None:
    await tower.fails("a", status="warning")
    assert (await tower.run(dry_run=True)).status == "warning"
    await tower.fails("a", "b")
    assert (await tower.run(dry_run=True)).status == "critical"
    await tower.publish(enabled=False)
    off = await tower.run()
    assert (off.status, off.enabled, off.candidate_count, off.raised_count) == ("warning", False, 2, 0)
    await tower.publish(notify_enabled=False)
    quiet = await tower.run()
    assert (quiet.status, quiet.notify_enabled, quiet.started_count) == ("critical", False, 0)
    assert (await tower.run(notify=False)).raised_count == 0
    assert (await tower.run(notify=True)).unmatched_count == 2, "there is no chain"
    await tower.publish(chain(Level(targets=(TEAM,))))
    assert (await tower.run(notify=True)).raised_count == 2


async def test_chains_are_chosen_by_rule_priority_and_gate(tower: Tower) -> None:
    level = Level(targets=(TEAM,))
    await tower.publish(
        chain(level, name="by-rule", rules=("b",)),
        chain(level, name="by-gate", gates=("release",)),
        chain(level, name="by-priority", priorities=(1,)),
    )
    await tower.desk.decided({"a": "fail", "b": "fail", "w": "warning"})
    await tower.desk.decided({"r": "warning"}, gate="release", subject="shop", number=1)
    tower.desk.told = []
    done = await tower.run()
    assert (done.candidate_count, done.unmatched_count, done.raised_count) == (4, 1, 3)
    found = {one["item"]["rule_id"]: one["chain"] for one in tower.raised()}
    assert found == {"a": "by-priority", "b": "by-rule", "r": "by-gate"}


async def test_the_self_check_finds_steps_that_did_not_run(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    ids = await tower.fails("a", "b")
    await tower.desk.order(acknowledge, Acknowledge(item_id=ids["b"]))
    await tower.run()
    assert await tower.job("escalation_check") is None
    await tower.fails("a", "b", "c")
    await tower.desk.order(snooze, Snooze(item_id=(await tower.desk.items())["c"].id, until=START + timedelta(days=9)))
    tower.desk.later(29 / 60)
    assert await tower.job("escalation_check") is None, "nine minutes late are none"
    await tower.fails("a", "b", "c", "d")
    tower.desk.later(1.5)
    done = await tower.job("escalation_check")
    assert done is not None
    assert done.status == "critical"
    found = await escalation.get_check(tower.desk.read(), Nothing())
    assert (found.status, found.late_count) == ("critical", 2)
    assert [(one.rule_id, one.chain, one.level, one.minutes_late) for one in found.late] == [
        ("a", "test", 2, 99),
        ("d", None, 0, 90),
    ]
    await tower.job(JOB)
    assert (await escalation.get_check(tower.desk.read(), Nothing())).late_count == 0
    await tower.publish(TWO_LEVELS, enabled=False)
    tower.desk.later(5)
    assert (await escalation.get_check(tower.desk.read(), Nothing())).late_count == 0


async def test_latest_without_a_run_and_with_one_that_failed(tower: Tower) -> None:
    with pytest.raises(NotFound, match="has not run"):
        await escalation.latest(tower.desk.read(), Nothing())
    message = CloudEvent(str(uuid7()), "/headgate/tracker", "job", site=tower.desk.site, actor="service:tracker")
    async with tower.desk.pool.acquire() as connection, connection.transaction():
        tx = Tx("tracker", connection, message, tower.desk.now)
        await job_runs.record(tx, JOB, JobDone("failed", {"reason": "no luck"}), trigger="schedule")
    found = orjson.loads(await escalation.latest(tower.desk.read(), Nothing()))
    assert (found["status"], found["reason"], found["trigger"]) == ("failed", "no luck", "schedule")


async def test_sites_that_have_boards(tower: Tower) -> None:
    await tower.fails("a")
    other = Desk(tower.desk.pool)
    await other.decided({"a": "fail"})
    async with tower.desk.pool.acquire() as connection:
        found: Sequence[str] = await sites(connection)
    assert {tower.desk.site, other.site} <= set(found)
    assert list(found) == sorted(set(found))


async def test_more_than_one_run_can_begin_is_left_for_the_next(tower: Tower, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalation, "MAX_BEGUN", 2)
    await tower.desk.decided({"a": "fail", "b": "fail", "c": "fail", "w": "warning"})
    first = await tower.run()
    assert (first.started_count, first.left_over_count) == (2, 2)
    second = await tower.run()
    assert (second.started_count, second.left_over_count, (await tower.run()).started_count) == (2, 0, 0)


def test_the_jobs_run_when_the_facility_system_ran_them() -> None:
    assert (JOBS[JOB].schedule.cron, JOBS[JOB].schedule.zone) == ("20 * * * *", "UTC")
    assert datetime(2026, 3, 1, 9, 20, tzinfo=UTC) == JOBS[JOB].schedule.after(START)
