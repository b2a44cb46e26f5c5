"""The alert paths of the facility system: deliveries in its words, retries, and how well channels do."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from services.notifier.domain.circuits import Policy
from tests.integration.notifier_desk import Desk, open_desk
from tests.integration.sink import Sink, answer
from tests.stack import Stack

pytestmark = pytest.mark.integration

ALERTS = "/ops/alerts"
HALTED = "governance.line.halted"


async def _alerts(desk: Desk, **wanted: Any) -> list[dict[str, Any]]:
    got = await desk.http.client.get(f"/api{ALERTS}/deliveries", params=wanted)
    assert got.status_code == 200, got.text
    items: list[dict[str, Any]] = got.json()["items"]
    return items


async def _until(desk: Desk, status: str, count: int = 1, **wanted: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(15):
        while len(found := await _alerts(desk, status=status, **wanted)) < count:
            await asyncio.sleep(0.05)
    return found


async def test_a_dead_webhook_is_attempted_not_dispatched_quarantined_and_healed_by_a_good_probe(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    sink.says["/hook"] = answer(500)
    made = await desk.subscribe()
    event_id = await desk.halt()
    [row] = await _until(desk, "warning")
    assert (row["attempted"], row["dispatched"], row["attempt_count"]) == (True, False, 1)
    assert (row["error"], row["event_type"]) == ("The receiver answered 500 Internal Server Error.", HALTED)
    assert (row["target"], row["name"], row["event_id"]) == (made["subscription_id"], "a test", event_id)
    assert row["payload_json"]["id"] == event_id
    assert row["updated_at"] >= row["last_attempt_at"] >= row["created_at"]
    for tries in (2, 3):
        await desk.ask("POST", f"{ALERTS}/deliveries/{row['id']}/retry")
        async with asyncio.timeout(15):
            while (now := (await _alerts(desk))[0])["attempt_count"] < tries or now["status"] == "pending":
                await asyncio.sleep(0.05)
    await desk.halt()
    [held] = await _until(desk, "suppressed")
    assert (held["attempted"], held["attempt_count"], held["error"]) == (False, 0, None)
    [found] = (await desk.ask("GET", f"{ALERTS}/channels/guard"))["items"]
    assert (found["state"], found["consecutive_failures"]) == ("quarantined", 3)
    sink.says["/hook"] = answer(200)
    await desk.ask("POST", f"{ALERTS}/channels/guard/recover", {"target": made["subscription_id"]})
    await _until(desk, "success")
    stack.clock.advance(minutes=1)
    await _until(desk, "success", 2)
    async with asyncio.timeout(15):
        while (await desk.ask("GET", f"{ALERTS}/channels/guard"))["items"]:
            await asyncio.sleep(0.05)


async def test_deliveries_are_chosen_by_event_target_and_status(desk: Desk, sink: Sink) -> None:
    one, two = await desk.subscribe("/one"), await desk.subscribe("/two")
    await desk.halt()
    await _until(desk, "success", 2)
    assert len(await _alerts(desk, event_type=HALTED)) == 2
    assert await _alerts(desk, event_type="tracker.item.opened") == []
    assert [row["target"] for row in await _alerts(desk, target=two["subscription_id"])] == [two["subscription_id"]]
    assert await _alerts(desk, target=-1) == await _alerts(desk, status="failed") == []
    assert [row["name"] for row in await _alerts(desk, target=one["subscription_id"], status="success")] == ["a test"]


async def test_what_failed_is_run_again_all_at_once(stack: Stack, sink: Sink) -> None:
    desk = await open_desk(stack, sink, Policy(failures=1000))
    try:
        sink.says["/hook"] = answer(503)
        made = await desk.subscribe()
        for _ in range(3):
            await desk.halt()
        await _until(desk, "warning", 3)
        shown = await desk.ask("POST", f"{ALERTS}/retries/run", {"dry_run": True, "limit": 2})
        assert (shown["retried_count"], len(shown["delivery_ids"]), shown["more"]) == (0, 2, True)
        none = await desk.ask("POST", f"{ALERTS}/retries/run", {"status": "failed"})
        assert (none["retried_count"], none["delivery_ids"]) == (0, [])
        sink.says["/hook"] = answer(200)
        body = {"target": made["subscription_id"], "event_type": HALTED, "status": "warning"}
        run = await desk.ask("POST", f"{ALERTS}/retries/run", body)
        assert (run["retried_count"], run["more"]) == (3, False)
        rows = await _until(desk, "success", 3)
        assert [row["attempt_count"] for row in rows] == [2, 2, 2]
    finally:
        await desk.http.close()


async def test_what_only_some_may_be_told_is_not_shown_to_others(desk: Desk) -> None:
    await desk.subscribe("/hook", event_types=["gateway.user.*"])
    oz = await desk.http.user("oz", "operator", ["global"])
    [row] = await _until(desk, "success", event_type="gateway.user.created")
    assert row["payload_json"]["data"]["username"] == "oz"
    seen = (await oz.get(f"/api{ALERTS}/deliveries")).json()["items"]
    assert [one["payload_json"] for one in seen] == [None]
    assert (await oz.get(f"/api/deliveries/{row['id']}")).json()["event"] is None


async def test_figures_of_channels_are_what_happened_and_nothing_gives_no_rate(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    empty = await desk.ask("GET", f"{ALERTS}/kpi/channels")
    assert [(one["days"], one["success_rate_percent"], one["channels"]) for one in empty["windows"]] == [
        (7, None, []),
        (30, None, []),
    ]
    made = await desk.subscribe()
    for _ in range(3):
        await desk.halt()
    await _until(desk, "success", 3)
    sink.says["/hook"] = answer(500)
    for count in (1, 2, 3):
        await desk.halt()
        await _until(desk, "warning", count)
    await desk.halt()
    await _until(desk, "suppressed")
    week, month = (await desk.ask("GET", f"{ALERTS}/kpi/channels"))["windows"]
    [channel] = week["channels"]
    assert (channel["target"], channel["name"]) == (made["subscription_id"], "a test")
    wanted = {
        "delivered_count": 3, "failed_count": 0, "retrying_count": 3, "suppressed_count": 1,
        "success_rate_percent": 50.0, "attempt_count": 6, "failed_attempt_count": 3,
        "attempt_success_rate_percent": 50.0,
    }  # fmt: skip
    assert {name: channel[name] for name in wanted} == wanted
    assert channel["latency_ms"] > 0
    assert month["channels"] == week["channels"]
    stack.clock.advance(days=7)
    week, month = (await desk.ask("GET", f"{ALERTS}/kpi/channels"))["windows"]
    assert (week["delivered_count"], month["delivered_count"]) == (0, 3)


async def test_sums_add_up_day_by_day_and_old_ones_are_forgotten(desk: Desk, sink: Sink, stack: Stack) -> None:
    await desk.subscribe()
    for _ in range(2):
        await desk.halt()
        await stack.idle("notifier")
        stack.clock.advance(days=1)
    await _until(desk, "success", 2)
    connection: asyncpg.Connection = await stack.superuser()
    assert await connection.fetchval("SELECT sum(delivered_count)::int FROM notifier.tally") == 2
    stack.clock.advance(days=40)
    assert await stack.run_job("notifier", "prune_guard")
    assert await connection.fetchval("SELECT count(*) FROM notifier.tally") == 0
    await connection.close()
