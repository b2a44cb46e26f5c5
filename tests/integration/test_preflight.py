"""Preflight on real servers: what is in order, what was broken on purpose, and who has said nothing."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx2
import pytest

from deploy.embedded import Server
from deploy.local import LocalStack
from libs.common import runtime
from libs.common.contracts import SERVICES
from libs.common.contracts.operations.preflight import show_preflight
from libs.common.contracts.preflight import preflight_query
from libs.common.runtime import StartError
from libs.common.settings import Settings
from services.audit.service import make_service as make_audit
from services.metrics.service import SERVICE as METRICS
from services.operations.service import make_service
from tests.local_traffic import await_that, client
from tests.stack import Stack

pytestmark = pytest.mark.integration


def checks_of(answer: Any, service: str) -> dict[str, dict[str, Any]]:
    """The checks of one service in the whole answer, by id."""
    return {one["id"]: one for one in answer["checks"] if one["service"] == service}


async def metrics_looks(stack: Stack) -> dict[str, dict[str, Any]]:
    """What the metrics service finds now, by check."""
    answer = await stack.query(preflight_query("metrics"))
    assert answer.status == 200, answer
    return {one["id"]: one for one in answer.json["checks"]}


def test_a_whole_installation_is_in_order_and_shows_no_secret(local_stack: LocalStack) -> None:
    with client(local_stack) as http:
        await_that("all have spoken", lambda: not http.get("/api/ops/preflight").json()["has_error"])
        fresh = http.get("/api/ops/preflight", params={"refresh": "true"})
        answer = fresh.json()
    assert (answer["refreshed"], answer["has_error"], answer["error_count"]) == (True, False, 0), answer["checks"][:3]
    assert [one["service"] for one in answer["services"]] == list(SERVICES)
    for service in SERVICES:
        found = checks_of(answer, service)
        assert {"schema", "streams", "nats_sync", "nats_rights", "postgres_durable", "postgres_rights"} <= set(found)
        assert found["nats_rights"]["status"] == "ok", found["nats_rights"]
        assert found["nats_sync"]["status"] == "ok", found["nats_sync"]
    assert "key_vault" in checks_of(answer, "notifier")
    assert (
        "capsule_secret" in next(one for one in answer["services"] if one["service"] == "governance")["settings_given"]
    )
    for service in SERVICES:
        for name, value in local_stack.servers.environment(service).items():
            if any(word in name for word in ("SECRET", "URL", "SEED", "PASSWORD")) and len(value) > 8:
                assert value not in fresh.text, name
    assert httpx2.get(f"{local_stack.gateway_url}/api/ops/preflight").status_code == 401


async def test_who_has_not_spoken_is_in_error_and_never_absent(stack: Stack) -> None:
    await stack.start(make_service(Settings()))
    silent = (await stack.query(show_preflight)).json
    assert (silent["overall_status"], silent["error_count"]) == ("critical", len(SERVICES))
    assert [one["service"] for one in silent["services"]] == list(SERVICES)
    assert checks_of(silent, "tracker")["spoken"]["message"] == "tracker has never said what it found; start it."

    stack.running["audit"] = await runtime.start(
        make_audit(None), stack.settings("audit"), clock=stack.clock, speaks=True
    )

    async def spoke() -> bool:
        await stack.idle("operations")
        answer = (await stack.query(show_preflight)).json
        return "spoken" not in checks_of(answer, "audit")

    async with asyncio.timeout(10):
        while not await spoke():
            await asyncio.sleep(0.02)
    # Asked anew, only those that run can answer.
    fresh = (await stack.query(show_preflight, {"refresh": True})).json
    assert checks_of(fresh, "audit")["streams"]["status"] == "ok"
    assert checks_of(fresh, "operations")["streams"]["status"] == "ok"  # it looks at itself, too
    assert "The tracker service is not running" in checks_of(fresh, "tracker")["answers"]["message"]
    await stack.stop("audit")
    stopped = (await stack.query(show_preflight, {"refresh": True})).json
    assert checks_of(stopped, "audit")["answers"]["status"] == "error"
    assert next(one for one in stopped["services"] if one["service"] == "audit")["overall_status"] == "critical"


async def test_what_is_really_broken_is_named(stack: Stack) -> None:
    await stack.start(METRICS)
    before = await metrics_looks(stack)
    assert {one["status"] for one in before.values()} <= {"ok", "warning", "error"}
    assert {name for name, one in before.items() if one["status"] == "error"} == {"postgres_durable"}  # as tests run it
    assert before["nats_rights"]["status"] == "warning"  # the tests' one user may do everything
    admin = await stack.superuser()
    await admin.execute("GRANT USAGE ON SCHEMA tracker TO headgate_metrics")
    await stack.bus.js.delete_consumer(stack.topology.events_stream, "metrics-events")
    try:
        broken = await metrics_looks(stack)
        assert broken["postgres_rights"]["status"] == "error"
        assert "also reaches tracker; revoke that" in broken["postgres_rights"]["message"]
        assert broken["streams"]["status"] == "error"
        assert "metrics-events is missing; run `headgate migrate`" in broken["streams"]["message"]
    finally:
        await admin.execute("REVOKE USAGE ON SCHEMA tracker FROM headgate_metrics")
        await admin.close()


async def test_an_unsafe_nats_is_an_error(stack: Stack, nats_server: Server) -> None:
    said = re.search(r"Starting http monitor on (\S+)", nats_server.log.read_text())
    assert said is not None
    await stack.start(METRICS, nats_monitor_url=f"http://{said[1]}")
    found = (await metrics_looks(stack))["nats_sync"]
    assert found["status"] == "error"
    assert "sync_interval: always" in found["message"]


async def test_a_start_ends_when_that_is_asked_for_and_has_told_why(stack: Stack) -> None:
    await stack.start(make_service(Settings()))
    broken = {"preflight_required_env": ["HEADGATE_NATS_URL", "NO_SUCH_NAME"], "preflight_fail_on_error": True}
    with pytest.raises(StartError, match="required_env_no_such_name: NO_SUCH_NAME is not set"):
        await runtime.start(METRICS, stack.settings("metrics", **broken), clock=stack.clock, speaks=True)
    async with asyncio.timeout(10):
        while "required_env_no_such_name" not in checks_of((await stack.query(show_preflight)).json, "metrics"):
            await asyncio.sleep(0.05)
    shown = (await stack.query(show_preflight)).json
    assert checks_of(shown, "metrics")["required_env_no_such_name"]["status"] == "error"
    assert checks_of(shown, "metrics")["required_env_headgate_nats_url"]["status"] == "ok"
    # Without that setting the same is told, and the service runs.
    broken["preflight_fail_on_error"] = False
    running = await runtime.start(METRICS, stack.settings("metrics", **broken), clock=stack.clock, speaks=True)
    await running.stop()
