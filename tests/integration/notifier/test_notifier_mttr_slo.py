"""The MTTR SLO: what a check says, what a breach leads to, and that nothing is said to have been told that was not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from libs.common.contracts.notifier.mttr_slo import mttr_slo_breached
from tests.integration.guard_room import broken, until_healthy
from tests.integration.notifier_desk import Desk
from tests.integration.sink import Sink, answer

pytestmark = pytest.mark.integration
BASE = "/ops/alerts/mttr-slo"
SEED = "INSERT INTO notifier.outage (target, site, began_at, ended_at) VALUES ($1, 'global', $2, $3)"


async def _seed(desk: Desk, target: int, *minutes: float | None) -> None:
    """Outages of the last days that lasted so long; None: it began an hour ago and lasts."""
    connection = await desk.stack.superuser()
    for number, one in enumerate(minutes, 1):
        began = desk.stack.clock() - (timedelta(hours=1) if one is None else timedelta(days=number))
        await connection.execute(SEED, target, began, None if one is None else began + timedelta(minutes=one))
    await connection.close()


async def _check(desk: Desk, **query: Any) -> dict[str, Any]:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    found: dict[str, Any] = await desk.ask("POST", f"{BASE}/check/run?{words}")
    return found


async def test_the_policy_has_the_fields_and_bounds_that_its_callers_know(desk: Desk) -> None:
    shown = await desk.ask("GET", f"{BASE}/policy")
    assert shown["policy"] == {
        "enabled": True,
        "window_days": 30,
        "threshold_minutes": 45,
        "min_incidents": 5,
        "auto_recover_enabled": True,
        "recover_state": "quarantined",
        "recover_max_targets": 30,
        "notify_enabled": True,
        "notify_event_type": "mttr_slo_breach",
        "notify_cooldown_minutes": 120,
        "top_channels": 15,
    }
    assert (shown["policy_key"], shown["meta"]["scope"]) == ("alert_mttr_slo_default", "ops.alerts.mttr_slo")
    for field, low, high in (
        ("window_days", 1, 90),
        ("threshold_minutes", 1, 10_080),
        ("min_incidents", 1, 100_000),
        ("recover_max_targets", 1, 500),
        ("notify_cooldown_minutes", 0, 10_080),
        ("top_channels", 1, 50),
    ):
        for value in (low - 1, high + 1):
            await desk.ask("PUT", f"{BASE}/policy", {field: value}, status=422)
        for value in (low, high):
            assert (await desk.ask("PUT", f"{BASE}/policy", {field: value}))["policy"][field] == value
    await desk.ask("PUT", f"{BASE}/policy", {"notify_event_type": "x" * 81}, status=422)
    await desk.ask("PUT", f"{BASE}/policy", {"recover_state": "some"}, status=422)


async def test_without_a_breach_nothing_is_done(desk: Desk) -> None:
    await desk.ask("GET", f"{BASE}/check/latest", status=404)
    made = await desk.subscribe()
    await _seed(desk, made["subscription_id"], 60, 60, 60, 60)  # one too few
    check = await _check(desk)
    assert (check["status"], check["breach"], check["breach_reasons"]) == ("success", False, [])
    assert check["window"] == {
        "days": 30,
        "incident_count": 4,
        "recovered_incidents": 4,
        "unresolved_incidents": 0,
        "mttr_minutes": 60.0,
    }
    assert [one["mttr_minutes"] for one in check["top_channels"]] == [60.0]
    actions = check["actions"]
    assert (actions["notify_attempted"], actions["notify_dispatched"], actions["last_breach_at"]) == (
        False,
        False,
        None,
    )
    assert await desk.ask("GET", f"{BASE}/check/latest") == check
    assert not [event for event in desk.stack.events if event.type == mttr_slo_breached.type]


async def test_a_breach_is_told_to_subscribers_and_channels_and_then_rests(desk: Desk, sink: Sink) -> None:
    made = await desk.subscribe()
    await desk.subscribe("/slo", event_types=["notifier.mttr_slo.breached"], name="the watch")
    channel = {"name": "ops", "kind": "generic", "address": sink.url("/ops")}
    await desk.ask("POST", "/channels", channel, 201)
    await _seed(desk, made["subscription_id"], 60, 60, 60, 60, 60)
    check = await _check(desk)
    assert (check["status"], check["breach_reasons"]) == ("warning", ["mttr"])
    actions = check["actions"]
    # Handed on, and nobody has taken it yet.
    assert (actions["notify_attempted"], actions["notify_dispatched"], actions["notify_error"]) == (True, False, None)
    assert [one["name"] for one in actions["notify_channels"]] == ["the watch", "ops"]
    [got] = await sink.wait_for("/slo")
    data = orjson.loads(got.body)["data"]
    assert (data["event_type"], data["window"]["mttr_minutes"]) == ("mttr_slo_breach", 60.0)
    await sink.wait_for("/ops")
    await desk.until("delivered", 2)
    latest = (await desk.ask("GET", f"{BASE}/check/latest"))["actions"]
    assert (latest["notify_dispatched"], latest["notify_error"]) == (True, None)
    await desk.stack.idle("notifier")  # the event has come back by the bus, and made nothing twice

    desk.stack.clock.advance(minutes=90)
    assert await desk.stack.run_job("notifier", "alert_mttr_slo_check")
    resting = (await desk.ask("GET", f"{BASE}/check/latest"))["actions"]
    assert (resting["notify_attempted"], resting["cooldown_active"]) == (False, True)
    assert resting["cooldown_remaining_minutes"] == 30.0
    # The cooldown counts from the message, not from the breach before.
    desk.stack.clock.advance(minutes=30)
    again = (await _check(desk))["actions"]
    assert (again["notify_attempted"], again["cooldown_active"]) == (True, False)
    forced = (await _check(desk, force_notify="true"))["actions"]
    assert (forced["notify_attempted"], forced["force_notify"], forced["cooldown_active"]) == (True, True, True)
    await sink.wait_for("/slo", 3)
    await sink.wait_for("/ops", 3)
    assert (len(sink.at("/slo")), len(sink.at("/ops"))) == (3, 3)


async def test_nobody_there_or_all_dead_is_not_dispatched(desk: Desk, sink: Sink) -> None:
    made = await desk.subscribe()
    await _seed(desk, made["subscription_id"], None)
    check = await _check(desk)
    # An outage that lasts is a breach by itself, though one is too few for a mean.
    assert (check["breach"], check["breach_reasons"]) == (True, ["open_outage"])
    assert (check["window"]["mttr_minutes"], check["window"]["unresolved_incidents"]) == (None, 1)
    assert check["top_channels"][0]["open_since"] is not None
    actions = check["actions"]
    assert (actions["notify_attempted"], actions["notify_channels"]) == (True, [])
    latest = (await desk.ask("GET", f"{BASE}/check/latest"))["actions"]
    assert (latest["notify_dispatched"], latest["notify_error"]) == (False, None)

    sink.says["/gone"] = answer(410)
    await desk.ask("POST", "/channels", {"name": "ops", "kind": "generic", "address": sink.url("/gone")}, 201)
    await _check(desk, force_notify="true")
    await desk.until("dead")
    latest = (await desk.ask("GET", f"{BASE}/check/latest"))["actions"]
    assert (latest["notify_dispatched"], latest["notify_error"]) == (False, "all alert channels failed")


async def test_a_channel_that_a_subscription_leads_to_is_told_once(desk: Desk, sink: Sink) -> None:
    await desk.ask("POST", "/channels", {"name": "ops", "kind": "generic", "address": sink.url("/ops")}, 201)
    body = {"name": "all", "event_types": ["notifier.mttr_slo.*"], "channel": "ops"}
    made = await desk.ask("POST", "/subscriptions", body, 201)
    await _seed(desk, made["subscription_id"], None)
    assert len((await _check(desk))["actions"]["notify_channels"]) == 1
    await desk.until("delivered")
    await desk.stack.idle("notifier")
    assert len(sink.at("/ops")) == 1


async def test_a_breach_has_what_is_held_back_probed_and_heals_it(desk: Desk, sink: Sink) -> None:
    made = await broken(desk, sink)
    connection = await desk.stack.superuser()
    await connection.execute("UPDATE notifier.outage SET began_at = began_at - interval '1 hour'")
    await connection.close()
    await desk.ask("PUT", f"{BASE}/policy", {"auto_recover_enabled": False, "notify_enabled": False})
    actions = (await _check(desk))["actions"]
    assert (actions["auto_recover_attempted"], actions["auto_recover_result"]) == (False, None)
    await desk.ask("PUT", f"{BASE}/policy", {"auto_recover_enabled": True})
    sink.says["/hook"] = answer(204)
    check = await _check(desk)
    assert (check["breach_reasons"], check["actions"]["auto_recover_attempted"]) == (["open_outage"], True)
    result = check["actions"]["auto_recover_result"]
    assert (result["target_count"], result["probes"][0]["target"]) == (1, made["subscription_id"])
    await until_healthy(desk)
    # Nothing fails any more: nothing is probed, and that is said.
    after = await _check(desk)
    assert (after["breach"], after["window"]["recovered_incidents"]) == (False, 1)
    assert (after["actions"]["auto_recover_attempted"], after["actions"]["auto_recover_result"]) == (False, None)


async def test_switched_off_it_judges_and_tells_nothing(desk: Desk) -> None:
    made = await desk.subscribe()
    await _seed(desk, made["subscription_id"], None, 600, 600, 600, 600, 600)
    await desk.ask("PUT", f"{BASE}/policy", {"notify_enabled": False})
    check = await _check(desk, force_notify="true")
    assert (check["breach"], check["actions"]["notify_attempted"]) == (True, False)
    await desk.ask("PUT", f"{BASE}/policy", {"enabled": False})
    assert (await _check(desk))["breach"] is False
