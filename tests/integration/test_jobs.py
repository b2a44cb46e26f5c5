"""Jobs: every instant of a schedule is served once, over replicas, restarts, missed ticks and clock changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from libs.common import jobs as machine
from libs.common.contracts.jobs import job_event, jobs_query
from libs.common.contracts.metrics.job_runs import list_job_runs
from libs.common.job_runs import envelope, latest, record
from libs.common.roster import RUN_CLASSES, SERVICES, run_class
from libs.common.runtime import StartError, start
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Service, Tx
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.metrics.service import SERVICE as METRICS
from services.tracker.service import SERVICE as TRACKER
from tests.integration.governance_desk import run, send_ops
from tests.stack import Stack

HOURLY = {"tracker.*": "off", "tracker.tally": "20 * * * *"}
NOON = datetime(2027, 1, 4, 12, 0, tzinfo=UTC)


def with_job(handler: object, *, sites: object = None, name: str = "tally") -> Service:
    """The tracker with a job of the test's own, beside its own ones."""
    job = Job(name, Schedule("20 * * * *"), handler, sites)  # type: ignore[arg-type]
    return replace(TRACKER, jobs=(*TRACKER.jobs, job))


async def count(tx: Tx) -> JobDone:
    """A job that does something."""
    return JobDone("warning", {"site": tx.site, "zero": 0}, policy_version="v7")


async def runs_of(stack: Stack, name: str = "tally") -> list[dict[str, object]]:
    sql = "SELECT * FROM job_run WHERE job_name = $1 ORDER BY run_id"
    return [dict(row) for row in await stack.running["tracker"].pool.fetch(sql, name)]


async def look(stack: Stack) -> None:
    """What each replica does at a tick and every half minute."""
    jobs = stack.running["tracker"].jobs
    assert jobs is not None
    await jobs.run_due()


async def test_an_instant_is_served_once_and_a_missed_one_made_up(stack: Stack) -> None:
    stack.clock.now = NOON
    await stack.start(with_job(count), schedules=HOURLY)
    await look(stack)
    assert await runs_of(stack) == []  # what lies before the job was known is nothing that was missed
    stack.clock.advance(minutes=20)
    await look(stack)
    await look(stack)
    [first] = await runs_of(stack)
    assert (first["trigger"], first["actor"], first["status"], first["policy_version"]) == (
        "schedule", "service:tracker", "warning", "v7",
    )  # fmt: skip
    assert first["detail"] == {"site": "global", "zero": 0}
    await stack.stop("tracker")
    stack.clock.advance(hours=5)  # away for five instants: the newest is made up
    await stack.start(with_job(count), schedules=HOURLY)
    await look(stack)
    assert len(await runs_of(stack)) == 2
    stack.clock.advance(hours=-4, minutes=-50)  # set back to the first instant, and on again past the newest one
    for _ in range(30):
        await look(stack)
        stack.clock.advance(minutes=10)
    ticks = await stack.running["tracker"].pool.fetch("SELECT due_at FROM job_tick ORDER BY due_at")
    assert [row["due_at"].hour for row in ticks] == [12, 13, 14, 15, 16, 17]
    assert len(await runs_of(stack)) == len(ticks)


async def test_a_look_runs_also_in_instants_that_come_again(stack: Stack) -> None:
    """A clock that was set back an hour must not make everybody blind for an hour."""
    stack.clock.now = NOON
    minutely = {"tracker.*": "off", "tracker.tally": "* * * * *"}
    job = replace(with_job(count), jobs=tuple(replace(one, looks=True) for one in with_job(count).jobs))
    await stack.start(job, schedules=minutely)
    for minutes in (1, 60, -59, 1, 1):  # at 12:01, 13:01, 12:02, 12:03, 12:04
        stack.clock.advance(minutes=minutes)
        await look(stack)
        await look(stack)
    runs = await runs_of(stack)
    assert [run["started_at"] for run in runs[-2:]] == [NOON + timedelta(minutes=3), NOON + timedelta(minutes=4)]
    await stack.stop("tracker")  # a process that begins in the hour that comes again is not blind, either
    await stack.start(job, schedules=minutely)
    before = len(await runs_of(stack))
    await look(stack)
    assert len(await runs_of(stack)) > before
    stack.clock.advance(hours=2)  # and after it each instant is served once again
    await look(stack)
    count_after = len(await runs_of(stack))
    await stack.stop("tracker")
    await stack.start(job, schedules=minutely)
    await look(stack)
    assert len(await runs_of(stack)) == count_after


async def test_instants_missed_within_a_minute_are_each_made_up(stack: Stack) -> None:
    stack.clock.now = NOON
    every_second = {**HOURLY, "tracker.tally": "* * * * * *"}
    await stack.start(with_job(count), schedules=every_second)
    for seconds, served in ((5, 5), (0, 5), (300, 65)):  # of five minutes only the last one
        stack.clock.advance(seconds=seconds)
        await look(stack)
        assert len(await runs_of(stack)) == served


async def test_many_replicas_serve_each_instant_once_and_in_every_site(stack: Stack) -> None:
    async def sites(_connection: Connection) -> Sequence[str]:
        return ("global", "north", "south")

    stack.clock.now = NOON
    service = with_job(count, sites=sites)
    await stack.start(service, schedules=HOURLY)
    others = [await start(service, stack.settings("tracker", schedules=HOURLY), clock=stack.clock) for _ in range(2)]
    try:
        for _ in range(4):
            stack.clock.advance(hours=1)
            replicas = [stack.running["tracker"], *others]
            await asyncio.gather(*(one.jobs.run_due() for one in replicas if one.jobs))
    finally:
        for other in others:
            await other.stop()
    assert sorted(str(run["site"]) for run in await runs_of(stack)) == ["global"] * 4 + ["north"] * 4 + ["south"] * 4


async def test_a_job_that_fails_says_why_and_is_tried_again_by_its_schedule(stack: Stack) -> None:
    broken = True

    async def sometimes(tx: Tx) -> JobDone:
        await tx.connection.execute("INSERT INTO run_request VALUES (gen_random_uuid(), 'sync', 'x', true, 1, now())")
        if broken:
            raise RuntimeError("the moon is full")
        return JobDone()

    stack.clock.now = NOON
    await stack.start(with_job(sometimes), schedules=HOURLY)
    stack.clock.advance(hours=1)
    await look(stack)
    await look(stack)
    told = await stack.heard(job_event("tracker"))
    [failed] = await runs_of(stack)
    assert (failed["status"], failed["detail"]) == ("failed", {"reason": "RuntimeError: the moon is full"})
    assert told.data["status"] == "failed"
    pool = stack.running["tracker"].pool
    assert await pool.fetchval("SELECT count(*) FROM run_request") == 0  # it left nothing else behind
    broken = False
    stack.clock.advance(hours=1)
    await look(stack)
    assert [run["status"] for run in await runs_of(stack)] == ["failed", "success"]
    assert await pool.fetchval("SELECT count(*) FROM run_request") == 1


async def test_a_job_that_loses_a_deadlock_tries_again(stack: Stack) -> None:
    tries = 0

    async def loses_twice(tx: Tx) -> JobDone:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return JobDone(detail={"tries": tries})

    stack.clock.now = NOON
    await stack.start(with_job(loses_twice), schedules=HOURLY)
    stack.clock.advance(hours=1)
    await look(stack)
    [run] = await runs_of(stack)
    assert (run["status"], run["detail"]) == ("success", {"tries": 3})


async def test_a_run_that_had_nothing_to_do_is_kept_and_not_told(stack: Stack) -> None:
    async def idle(tx: Tx) -> None:
        assert tx.site == "global"

    stack.clock.now = NOON
    await stack.start(with_job(idle), schedules=HOURLY)
    stack.clock.advance(hours=1)
    await look(stack)
    assert [run["status"] for run in await runs_of(stack)] == ["success"]
    assert await stack.running["tracker"].pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_another_schedule_does_not_make_up_for_the_old_one(stack: Stack) -> None:
    stack.clock.now = NOON
    await stack.start(with_job(count), schedules=HOURLY)
    stack.clock.advance(minutes=30)
    await look(stack)
    await stack.stop("tracker")
    await stack.start(with_job(count), schedules={"tracker.tally": "10 * * * *"})
    await look(stack)
    assert len(await runs_of(stack)) == 1
    stack.clock.advance(minutes=40)
    await look(stack)
    assert len(await runs_of(stack)) == 2


async def test_a_wrong_setting_stops_the_start_with_a_sentence(stack: Stack) -> None:
    for text, says in (("tracker.nope", "tracker has no job 'nope'"), ("tracker.tally", "'sometimes' is no cron")):
        with pytest.raises(StartError, match=says):
            await stack.start(with_job(count), schedules={text: "sometimes"})


async def test_ticks_of_nats_wake_the_job(stack: Stack) -> None:
    stack.clock.now = datetime.now(UTC)
    ran = asyncio.Event()

    async def ring(tx: Tx) -> None:
        ran.set()

    machine_look, machine.LOOK_EVERY_S = machine.LOOK_EVERY_S, 3600.0
    try:
        await stack.start(with_job(ring), schedules={"tracker.tally": "* * * * * *"})
        stack.clock.advance(seconds=5)
        await asyncio.wait_for(ran.wait(), 15)
    finally:
        machine.LOOK_EVERY_S = machine_look


async def test_runs_are_numbered_apart_and_listed_for_all_services(stack: Stack) -> None:
    governance = make_service(packaged_policies())
    await stack.start(governance, with_job(count), METRICS)
    await send_ops(stack)
    verdict = await run(stack)
    for _ in range(2):
        assert await stack.run_job("tracker", "tally")
    assert await stack.run_job("tracker", "tally", "north")
    assert await stack.run_job("governance", "ops_governance_gate")
    await stack.idle("governance")
    await stack.idle("tracker")
    await stack.idle("metrics")
    rows = (await stack.query(list_job_runs)).json
    assert sorted((row["job_name"], row["trigger"], row["service"]) for row in rows) == [
        ("ops_governance_gate", "api", "governance"),
        ("ops_governance_gate", "schedule", "governance"),
        ("tally", "schedule", "tracker"),
        ("tally", "schedule", "tracker"),
    ]
    assert verdict["run_id"] in {row["id"] for row in rows}
    for row in rows:
        assert row["id"] % RUN_CLASSES == run_class(row["service"])
    [second, first] = (await stack.query(list_job_runs, {"job_name": "tally"})).json
    assert first["id"] < second["id"]
    assert (await stack.query(list_job_runs, {"job_name": "tally", "limit": 1, "offset": 1})).json == [first]
    assert len((await stack.query(list_job_runs, {"job_name": "tally"}, site="north")).json) == 1
    for bad in ({"limit": 0}, {"limit": 201}, {"offset": -1}, {"offset": 10_001}, {"job_name": "a b"}):
        assert (await stack.query(list_job_runs, bad)).status == 422


def test_classes_of_run_numbers_stay_with_their_services() -> None:
    assert SERVICES[:5] == ("gateway", "governance", "tracker", "audit", "metrics")
    assert len({run_class(service) for service in SERVICES}) == len(SERVICES) < RUN_CLASSES


async def test_the_list_of_jobs_says_when_each_runs(stack: Stack) -> None:
    stack.clock.now = NOON
    await stack.start(with_job(count), schedules={"tracker.tally": "20 * * * * Asia/Seoul", "tracker.prune": "off"})
    stack.clock.advance(minutes=30)
    await look(stack)
    states = {one["job_name"]: one for one in (await stack.query(jobs_query("tracker"))).json}
    tally = states["tally"]
    assert (tally["cron"], tally["zone"], tally["next_at"]) == ("20 * * * *", "Asia/Seoul", "2027-01-04T13:20:00Z")
    assert (tally["last_status"], tally["last_run_id"] % RUN_CLASSES) == ("warning", run_class("tracker"))
    assert (states["prune"]["cron"], states["prune"]["next_at"], states["prune"]["last_run_id"]) == (None, None, None)


async def test_a_record_reads_back_as_the_envelope(stack: Stack) -> None:
    kept: list[int] = []

    async def by_hand(tx: Tx) -> None:
        run = await record(
            tx, "other", JobDone("critical", {"run_id": -1, "count": 0}), trigger="autopilot", parent_run=3
        )
        kept.append(run.run_id)

    await stack.start(with_job(by_hand))
    assert await stack.run_job("tracker", "tally", "north")
    pool = stack.running["tracker"].pool
    assert await latest(pool, "global", "other") is None
    found = await latest(pool, "north", "other")
    assert found is not None
    answer = envelope(found)
    assert (answer["run_id"], answer["count"], answer["status"]) == (kept[0], 0, "critical")
    assert (found.parent_run, found.trigger, found.actor) == (3, "autopilot", "service:tracker")
    assert answer["finished_at"] - answer["started_at"] == timedelta(0)
