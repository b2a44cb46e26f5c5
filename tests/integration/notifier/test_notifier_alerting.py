"""The daily check's alert, attempted and dispatched or not, and the runbook's word on alerting itself."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from deploy.embedded import free_port
from libs.common.contracts.operations.daily import alert_raised
from libs.common.settings import Settings
from services.operations.service import make_service
from tests.integration.notifier_desk import Desk, open_desk
from tests.integration.sink import Sink
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]
CHECKS = "/ops/runbook/checks"


@pytest_asyncio.fixture
async def desk(stack: Stack, sink: Sink) -> AsyncIterator[Desk]:
    """A notifier and operations behind an edge; every other service is away, so that each check is critical."""
    await stack.start(make_service(Settings()))
    made = await open_desk(stack, sink)
    yield made
    await made.http.close()


async def latest(desk: Desk) -> dict[str, Any]:
    """The alert of the newest daily check, as it is known now."""
    found: dict[str, Any] = (await desk.ask("GET", f"{CHECKS}/latest"))["alert"]
    return found


async def until(desk: Desk, **wanted: Any) -> dict[str, Any]:
    """Await that the alert is so."""
    async with asyncio.timeout(15):
        while not wanted.items() <= (found := await latest(desk)).items():
            await asyncio.sleep(0.05)
    return found


async def word(desk: Desk, check: str) -> tuple[str, str]:
    """A check's status and message now."""
    found = await desk.ask("GET", CHECKS)
    return next((one["status"], one["message"]) for one in found["checks"] if one["id"] == check)


async def test_a_dead_webhook_is_attempted_and_not_dispatched_with_its_reason(desk: Desk) -> None:
    dead = f"http://127.0.0.1:{free_port()}/hook"
    await desk.subscribe(event_types=[alert_raised.name], endpoint=dead)
    run = await desk.ask("POST", f"{CHECKS}/run")
    assert (run["overall_status"], run["alert"]["attempted"], run["alert"]["dispatched"]) == ("critical", True, None)
    found = await until(desk, attempted=True, dispatched=False)
    assert found["error"].startswith("all alert channels failed: ")
    # A delivery row says the same.
    (row,) = (await desk.ask("GET", "/ops/alerts/deliveries"))["items"]
    assert (row["event_type"], row["attempted"], row["dispatched"]) == (alert_raised.name, True, False)
    assert row["error"] in found["error"]
    # So does the sheet, in the columns that callers know, and, once the job has looked, the list of archives.
    sheet = (await desk.http.client.get(f"/api{CHECKS}/latest/summary.csv")).text
    head, values = list(csv.reader(io.StringIO(sheet)))[:2]
    told = dict(zip(head, values, strict=True))
    assert (told["alert_attempted"], told["alert_dispatched"]) == ("True", "False")
    assert told["alert_error"].startswith("all alert channels failed")
    assert await desk.stack.run_job("operations", "follow_check_alerts")
    listed = (await desk.ask("GET", f"{CHECKS}/archive.json"))["rows"]
    assert listed[0]["alert_dispatched"] is False
    # While the notifier is away, the word that is kept is told.
    await desk.stack.stop("notifier")
    assert (await latest(desk))["dispatched"] is False


async def test_one_that_arrives_is_dispatched_and_the_others_are_counted(desk: Desk, sink: Sink) -> None:
    await desk.ask("POST", f"{CHECKS}/run")
    nobody = await until(desk, attempted=True, dispatched=False)
    assert nobody["error"] is None  # nobody has subscribed: that is no failure
    assert await desk.stack.run_job("operations", "follow_check_alerts")
    await desk.subscribe(event_types=[alert_raised.name])
    desk.stack.clock.advance(seconds=1)
    await desk.ask("POST", f"{CHECKS}/run")
    assert (await until(desk, dispatched=True))["error"] is None
    await desk.subscribe("/second", name="dead", event_types=[alert_raised.name],
                         endpoint=f"http://127.0.0.1:{free_port()}/hook")  # fmt: skip
    desk.stack.clock.advance(seconds=1)
    await desk.ask("POST", f"{CHECKS}/run")
    async with asyncio.timeout(15):
        while not (found := await latest(desk))["error"]:
            await asyncio.sleep(0.05)
    assert (found["dispatched"], found["error"].startswith("1/2 failed: ")) == (True, True)


async def test_the_runbook_says_how_alerting_itself_is(desk: Desk, sink: Sink) -> None:
    stack, client = desk.stack, desk.http.client
    names = ("channel_guard", "retry_recent", "retention_recent", "guard_recovery_recent", "mttr_slo_recent",
             "mttr_slo_breach", "noise_policy_documented")  # fmt: skip
    for name in names:
        assert (await word(desk, f"alert_{name}"))[0] == "ok", name
    # A target of the installation's own site that keeps failing.
    sink.says["/dead"] = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
    await desk.subscribe("/dead", name="pager")
    await desk.halt()
    await desk.until("retrying")
    assert (await word(desk, "alert_channel_guard"))[0] == "warning"
    for _ in range(2):
        await desk.halt()
    async with asyncio.timeout(15):
        while (await word(desk, "alert_channel_guard"))[0] != "critical":
            await asyncio.sleep(0.05)
    assert "pager (global, governance.line.halted)" in (await word(desk, "alert_channel_guard"))[1]
    # Its site has had a target for longer than the SLO may go unchecked; and the job mends that.
    stack.clock.advance(hours=7)
    assert (await word(desk, "alert_mttr_slo_recent"))[0] == "warning"
    assert await stack.run_job("notifier", "alert_mttr_slo_check")
    assert (await word(desk, "alert_mttr_slo_recent"))[0] == "ok"
    assert (await word(desk, "alert_mttr_slo_breach"))[0] == "warning"  # an outage of 7 hours
    # What is over and stays: retention has not run.
    sink.says["/dead"] = b"HTTP/1.1 204 Fine\r\n\r\n"
    stack.clock.advance(hours=1)
    await desk.until("delivered", 3)
    stack.clock.advance(days=93)
    assert (await word(desk, "alert_retention_recent"))[0] == "warning"
    assert await stack.run_job("notifier", "alert_retention")
    assert (await word(desk, "alert_retention_recent"))[0] == "ok"
    assert (await client.get("/api/ops/alerts/deliveries")).json()["items"] == []


async def test_what_is_paused_is_not_late_and_what_people_say_counts(desk: Desk, sink: Sink) -> None:
    stack = desk.stack
    sink.says["/quiet"] = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
    made = await desk.subscribe("/quiet")
    await desk.halt()
    await desk.until("retrying")
    await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/pause", {"reason": "a test"})
    stack.clock.advance(minutes=30)
    assert (await word(desk, "alert_retry_recent"))[0] == "ok"
    sink.says["/quiet"] = b"HTTP/1.1 204 Fine\r\n\r\n"
    await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/resume", {})
    await desk.until("delivered")
    (row,) = await desk.deliveries()
    verdict = {"verdict": "false_positive", "reason": "nothing was wrong"}
    await desk.ask("POST", f"/deliveries/{row['delivery_id']}/verdict", verdict)
    status, message = await word(desk, "alert_noise_policy_documented")
    assert (status, message.startswith("global: ")) == ("warning", True)
