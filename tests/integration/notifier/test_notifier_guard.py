"""The guard: a target that keeps failing is left alone, nothing is lost meanwhile, and a good probe heals it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

from libs.common import runtime
from libs.common.contracts.notifier.guard import circuit_closed, circuit_opened, circuit_probed, recovery_asked
from libs.common.outbound import Answer, Outbound, Unreachable
from services.notifier import claims
from services.notifier.domain.circuits import Policy
from services.notifier.service import make_service
from tests.integration.guard_room import GUARD, HALTED, broken, circuits, until_guard, until_healthy
from tests.integration.notifier_desk import HERE, VAULT, Desk, open_desk
from tests.integration.sink import Sink, answer
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]


@pytest_asyncio.fixture
async def database(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    found = await stack.superuser()
    yield found
    await found.close()


async def test_three_failures_open_a_circuit_and_what_comes_then_is_held_back_untried(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    made = await broken(desk, sink)
    [found] = await circuits(desk)
    assert (found["target"], found["event_type"]) == (made["subscription_id"], HALTED)
    assert (found["state"], found["consecutive_failures"], found["suppressed_count"]) == ("quarantined", 3, 2)
    assert "503" in found["error"]
    told = await stack.heard(circuit_opened)
    assert (told.data["failure_count"], told.data["event_name"]) == (3, HALTED)
    assert len(sink.got) == 3
    for row in await desk.deliveries(state="suppressed"):
        assert (row["attempt_count"], row["due_at"], row["ended_at"], row["error"]) == (0, None, None, None)


async def test_other_events_of_the_same_target_go_on(desk: Desk, sink: Sink) -> None:
    made = await broken(desk, sink, held=0)
    sink.says["/hook"] = answer(204)
    await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/test")
    await desk.until("delivered", event_name="notifier.subscription.tested")
    assert [one["event_type"] for one in await circuits(desk)] == [HALTED]


async def test_after_a_minute_one_probe_is_sent_and_a_good_one_releases_all(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    await broken(desk, sink, held=5)
    sink.says["/hook"] = answer(204)
    stack.clock.advance(seconds=50)
    await desk.until("suppressed", 8)  # also those that failed: their next tries came due
    assert len(sink.got) == 3
    stack.clock.advance(seconds=11)
    await desk.until("delivered", 8)
    await until_healthy(desk)
    closed = await stack.heard(circuit_closed)
    assert closed.data["event_name"] == HALTED
    rows = {row["delivery_id"]: row["attempt_count"] for row in await desk.deliveries(state="delivered")}
    assert sorted(rows.values()) == [1, 1, 1, 1, 1, 2, 2, 2]


async def test_a_bad_probe_keeps_the_rest_back_for_twice_as_long_up_to_half_an_hour(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    await broken(desk, sink)
    for probes, minutes in enumerate((1, 2, 4, 8, 16, 30, 30), 1):
        stack.clock.advance(minutes=minutes, seconds=-1)
        stack.running["notifier"].wake_workers()
        await asyncio.sleep(1.1)
        assert len(sink.got) == 2 + probes
        stack.clock.advance(seconds=1)
        await sink.wait_for("/hook", 3 + probes)
        await until_guard(desk, circuit="open")
    assert await desk.deliveries(state="dead") == []
    assert len({one.headers["webhook-id"] for one in sink.got[3:]}) == 1  # the oldest, again and again


async def test_what_was_held_back_for_seventeen_hours_is_given_up_by_a_failed_probe_only(
    desk: Desk, sink: Sink, stack: Stack, database: asyncpg.Connection
) -> None:
    await broken(desk, sink, held=2)
    stack.clock.advance(seconds=40)
    await desk.until("suppressed", 5)
    stack.clock.advance(hours=17)
    rows = await desk.until("dead", 5)
    assert {row["error"] for row in rows if not row["attempt_count"]} == {
        "The target kept failing for 17 hours, and nothing was sent to it any more."
    }
    assert len(sink.got) == 4
    assert await database.fetchval("SELECT sum(dead_count)::int FROM notifier.tally") == 5


async def test_a_clock_that_jumps_ahead_gives_up_nothing_of_a_target_that_is_well_again(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    await broken(desk, sink)
    sink.says["/hook"] = answer(204)
    stack.clock.advance(hours=40)
    await desk.until("delivered", 5)


async def test_a_clock_that_ran_ahead_and_was_set_right_does_not_hold_back_for_hours(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    stack.clock.advance(hours=10)
    await broken(desk, sink)
    sink.says["/hook"] = answer(204)
    stack.clock.advance(hours=-10)
    [row] = await desk.until("delivered")
    assert row["event_name"] == HALTED
    await until_healthy(desk)


async def test_mistakes_of_ours_and_pleas_for_time_open_no_circuit(
    desk: Desk, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.says["/hook"] = answer(429, retry_after="60")
    await desk.subscribe()
    for _ in range(4):
        await desk.halt()
    await desk.until("retrying", 4)

    async def fail(*_: object) -> Answer:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Outbound, "post", fail)
    for _ in range(4):
        await desk.halt()
    await desk.until("retrying", 8)
    assert await circuits(desk) == []


async def test_a_success_between_failures_begins_the_count_anew(desk: Desk, sink: Sink) -> None:
    await desk.subscribe()
    for turn in range(3):
        sink.says["/hook"] = answer(500)
        for number in (1, 2):
            await desk.halt()
            await desk.until("retrying", turn * 2 + number)
        assert (await until_guard(desk, consecutive_failures=2))["state"] == "warning"
        sink.says["/hook"] = answer(204)
        await desk.halt()
        await desk.until("delivered", turn + 1)
        await until_healthy(desk)


async def test_recovery_by_hand_sends_what_was_held_back_longest_and_heals_only_by_a_2xx(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    made = await broken(desk, sink)
    target = {"target": made["subscription_id"]}
    asked = await desk.ask("POST", f"{GUARD}/recover", target)
    assert [(one["state"], one["sample"]) for one in asked["probes"]] == [("probing", False)]
    await sink.wait_for("/hook", 4)
    await until_guard(desk, circuit="open")
    latest = await desk.ask("GET", f"{GUARD}/recover/latest")
    assert (latest["failed_count"], latest["recovered_count"]) == (1, 0)
    assert (latest["probes"][0]["http_status"], latest["recovery_id"]) == (503, asked["recovery_id"])
    sink.says["/hook"] = answer(204)
    await desk.ask("POST", f"{GUARD}/recover", {**target, "event_type": HALTED})
    await desk.until("delivered", 2)
    await until_healthy(desk)
    latest = await desk.ask("GET", f"{GUARD}/recover/latest")
    assert (latest["recovered_count"], latest["asked_by"]) == (1, "owner")
    assert (await stack.heard(recovery_asked)).data["probe_count"] == 1
    refused = await desk.ask("POST", f"{GUARD}/recover", target, 409)
    assert "does not fail" in refused["detail"]


async def test_recovery_without_anything_held_back_sends_a_sample_for_all_circuits_of_the_target(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    made = await broken(desk, sink, held=0)
    sink.says["/hook"] = answer(500)
    asked = await desk.ask("POST", f"{GUARD}/recover-batch", {"state": "all"})
    assert [(one["state"], one["sample"]) for one in asked["probes"]] == [("probing", True)]
    await sink.wait_for("/hook", 4)
    await until_guard(desk, circuit="open")
    [dead] = await desk.until("dead")  # a sample has one try
    assert (dead["event_name"], dead["attempt_count"]) == (circuit_probed.name, 1)
    sink.says["/hook"] = answer(204)
    await desk.ask("POST", f"{GUARD}/recover", {"target": made["subscription_id"]})
    await desk.until("delivered", event_name=circuit_probed.name)
    await until_healthy(desk)
    assert len([one for one in stack.events if one.name == circuit_probed.name]) == 2


async def test_a_retry_by_hand_goes_through_an_open_circuit_and_its_count_rises(desk: Desk, sink: Sink) -> None:
    await broken(desk, sink, held=1)
    [held] = await desk.deliveries(state="suppressed")
    await desk.ask("POST", f"/deliveries/{held['delivery_id']}/retry")
    await sink.wait_for("/hook", 4)
    await until_guard(desk, circuit="open")
    shown = await desk.show(held["delivery_id"])
    assert (shown["state"], shown["attempt_count"]) == ("suppressed", 1)
    sink.says["/hook"] = answer(204)
    await desk.ask("POST", f"/deliveries/{held['delivery_id']}/retry")
    await desk.until("delivered")
    assert (await desk.show(held["delivery_id"]))["attempt_count"] == 2
    await until_healthy(desk)


async def test_a_subscription_that_is_removed_takes_its_circuits_along(
    desk: Desk, sink: Sink, database: asyncpg.Connection
) -> None:
    made = await broken(desk, sink)
    await desk.ask("DELETE", f"/subscriptions/{made['subscription_id']}")
    await desk.until("dead", 5)
    assert await database.fetchval("SELECT count(*) FROM notifier.circuit") == 0
    assert await database.fetchval("SELECT count(*) FROM notifier.delivery WHERE state = 'suppressed'") == 0


async def test_a_paused_subscription_is_not_probed_and_another_address_is_tried_at_once(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    made = await broken(desk, sink)
    path = f"/subscriptions/{made['subscription_id']}"
    await desk.ask("POST", f"{path}/pause", {})
    stack.clock.advance(minutes=40)
    await asyncio.sleep(1.2)
    assert len(sink.got) == 3
    refused = await desk.ask("POST", f"{GUARD}/recover", {"target": made["subscription_id"]}, 409)
    assert "resume it first" in refused["detail"]
    await desk.ask("POST", f"{path}/resume")
    await sink.wait_for("/hook", 4)
    await until_guard(desk, circuit="open")
    body = {"name": "moved", "event_types": [HALTED], "endpoint": sink.url("/moved")}
    await desk.ask("PUT", path, body)
    await desk.until("delivered", 5)
    await until_healthy(desk)


async def test_a_process_that_dies_with_the_probe_in_hand_loses_nothing(
    desk: Desk, sink: Sink, stack: Stack, database: asyncpg.Connection
) -> None:
    await broken(desk, sink)
    await database.execute(
        "UPDATE notifier.delivery SET state = 'delivering', due_at = $1, attempt_count = 1"
        " WHERE delivery_id = (SELECT min(delivery_id) FROM notifier.delivery WHERE state = 'suppressed')",
        stack.clock() + claims.LEASE,
    )
    await database.execute(
        "UPDATE notifier.circuit SET state = 'half_open', probe_at = $1, probe_id ="
        " (SELECT delivery_id FROM notifier.delivery WHERE state = 'delivering')",
        stack.clock() + timedelta(minutes=2),
    )
    sink.says["/hook"] = answer(204)
    stack.clock.advance(seconds=46)
    await desk.until("delivered", 5)
    await until_healthy(desk)


async def test_a_probe_that_is_gone_is_another_ones_turn(
    desk: Desk, sink: Sink, stack: Stack, database: asyncpg.Connection
) -> None:
    await broken(desk, sink)
    await database.execute(
        "UPDATE notifier.circuit SET state = 'half_open', probe_id = 999999, probe_at = $1",
        stack.clock() + timedelta(minutes=2),
    )
    sink.says["/hook"] = answer(204)
    stack.clock.advance(minutes=3)
    await desk.until("delivered", 5)


async def test_two_replicas_agree_and_one_probe_is_sent(desk: Desk, sink: Sink, stack: Stack) -> None:
    other = await runtime.start(make_service(Outbound(HERE), VAULT), stack.settings("notifier"), clock=stack.clock)
    try:
        await broken(desk, sink, held=20)
        for probes, minutes in ((1, 1), (2, 2), (3, 4)):
            stack.clock.advance(minutes=minutes)
            await sink.wait_for("/hook", 3 + probes)
            await until_guard(desk, circuit="open")
            await asyncio.sleep(1.2)
            assert len(sink.got) == 3 + probes
        sink.says["/hook"] = answer(204)
        stack.clock.advance(minutes=8)
        await desk.until("delivered", 23)
        await until_healthy(desk)
        assert len(sink.got) == 6 + 23
    finally:
        await other.stop()


async def test_what_no_circuit_holds_back_any_more_is_sent_by_the_job(
    desk: Desk, sink: Sink, stack: Stack, database: asyncpg.Connection
) -> None:
    await broken(desk, sink)
    await database.execute("DELETE FROM notifier.circuit")
    sink.says["/hook"] = answer(204)
    assert await stack.run_job("notifier", "prune_guard")
    await desk.until("delivered", 2)


async def test_circuits_of_which_nothing_is_heard_for_a_day_are_forgotten(desk: Desk, sink: Sink, stack: Stack) -> None:
    made = await broken(desk, sink, held=0)
    await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/pause", {})
    stack.clock.advance(hours=25)
    assert await stack.run_job("notifier", "prune_guard")
    assert await circuits(desk) == []


async def test_a_policy_says_how_many_failures_and_how_long(stack: Stack, sink: Sink) -> None:
    desk = await open_desk(stack, sink, Policy(1, timedelta(minutes=5)))
    try:
        sink.says["/hook"] = answer(503)
        await desk.subscribe()
        await desk.halt()
        found = await until_guard(desk, circuit="open")
        shown = await desk.ask("GET", GUARD)
        assert (shown["failure_threshold"], shown["quarantine_minutes"]) == (1, 5)
        assert found["consecutive_failures"] == 1
    finally:
        await desk.http.close()


async def test_an_address_that_nobody_answers_at_counts_as_well(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(*_: object) -> Answer:
        raise Unreachable("Nobody is there.")

    monkeypatch.setattr(Outbound, "post", silence)
    await desk.subscribe()
    for count in (1, 2, 3):
        await desk.halt()
        await desk.until("retrying", count)
    assert (await until_guard(desk, circuit="open"))["error"] == "Nobody is there."


async def test_circuits_of_a_target_are_bounded(
    desk: Desk, sink: Sink, stack: Stack, database: asyncpg.Connection
) -> None:
    made = await desk.subscribe()
    await database.execute(
        "INSERT INTO notifier.circuit (target, event_name, site, state, failure_count, failed_at, error, probes_failed)"
        " SELECT $1, 'an.event.n' || n, 'global', 'closed', 1, $2, '', 0 FROM generate_series(1, 500) AS n",
        made["subscription_id"],
        stack.clock(),
    )
    sink.says["/hook"] = answer(503)
    for count in (1, 2, 3, 4):
        await desk.halt()
        await desk.until("retrying", count)
    assert await database.fetchval("SELECT count(*) FROM notifier.circuit") == 500


async def test_samples_that_somebody_asks_for_are_never_held_back(desk: Desk, sink: Sink) -> None:
    sink.says["/hook"] = answer(503)
    made = await desk.subscribe()
    for count in (1, 2, 3, 4):
        await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/test")
        await sink.wait_for("/hook", count)
        await desk.until("retrying", count)
    assert await circuits(desk) == []
