"""The runbook and the daily check on real servers: each thing is really broken, and what watches it is red."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from deploy.local import LocalStack
from libs.common.buckets import stream_name
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.governance.signals import signal_recorded
from libs.common.contracts.operations.catalogue import CATALOGUE
from libs.common.contracts.operations.daily import alert_raised
from libs.common.settings import Settings
from services.audit.service import make_service as make_audit
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.metrics.service import SERVICE as METRICS
from services.operations.runbook.judging import CHECKS
from services.operations.service import make_service
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.local_traffic import await_that, client
from tests.stack import Stack

pytestmark = pytest.mark.integration
RUNBOOK, RUN = "/api/ops/runbook/checks", "/api/ops/runbook/checks/run"
SUMMARY_HEAD = (
    "run_id,checked_at,trigger,status,overall_status,check_count,warning_count,critical_count,"
    "alert_level,alert_attempted,alert_dispatched,alert_error"
)
ARCHIVE_HEAD = (
    "run_id,finished_at,trigger,status,overall_status,check_count,warning_count,critical_count,alert_level,"
    "alert_attempted,alert_dispatched,archive_json_file,archive_csv_file,archive_error"
)


class Plant:
    """An edge with every service but the notifier behind it."""

    def __init__(self, edge: Http) -> None:
        self.edge, self.stack, self.client = edge, edge.stack, edge.client

    async def checks(self) -> dict[str, Any]:
        """Every check now, by id."""
        answer = await self.client.get(RUNBOOK)
        assert answer.status_code == 200, answer.text
        return {one["id"]: one for one in answer.json()["checks"]}

    async def until(
        self, check: str, status: str, also: Callable[[dict[str, Any]], bool] = lambda _detail: True
    ) -> dict[str, Any]:
        """The check once it has this status, and a detail that `also` holds of."""
        async with asyncio.timeout(15):
            found: dict[str, Any]
            while (found := (await self.checks())[check])["status"] != status or not also(found["detail"]):
                await asyncio.sleep(0.05)
        return found

    async def run(self) -> Any:
        """A daily check."""
        answer = await self.client.post(RUN)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest_asyncio.fixture
async def plant(stack: Stack) -> AsyncIterator[Plant]:
    governance, operations = make_governance(packaged_policies()), make_service(Settings())
    await stack.start(governance, TRACKER, make_audit(None), METRICS, operations)
    edge = await Http(stack).open()
    yield Plant(edge)
    await edge.close()


def test_every_check_of_the_catalogue_is_made() -> None:
    assert sorted(CHECKS) == sorted(one.id for one in CATALOGUE)


async def test_each_thing_that_is_broken_turns_its_check_red(plant: Plant) -> None:
    stack, names = plant.stack, plant.stack.topology
    before = await plant.checks()
    assert list(before) == [one.id for one in CATALOGUE]
    # The tests' PostgreSQL runs without fsync, and nobody started a notifier: both are told.
    assert "notifier" in before["services_answering"]["message"]
    calm = {"dead_letters_held", "consumer_lag", "oldest_pending", "outbox_age", "inbox_growth", "stream_fill",
            "job_runs", "escalation_on_time", "audit_chain_integrity",
            "token_expiry_pressure"}  # fmt: skip
    assert {name for name in calm if before[name]["status"] != "ok"} == set(), before
    # Nobody has asked anything yet: not known is not ok, and nothing that stops a release.
    assert [before[name]["status"] for name in ("api_latency_p95", "api_burn_rate")] == ["warning", "warning"]

    # A dead letter.
    await stack.bus.js.publish(names.event_subject(gate_decided, "global"), b"not json")
    # Each service buries it by itself, in its own time.
    held = await plant.until("dead_letters_held", "critical", lambda detail: detail["services"].get("metrics") == 1)
    assert "replay it, or drop it" in held["action"]

    # A token that stops working soon.
    issued = await plant.client.post("/api/tokens", json={"label": "short", "expires_in_hours": 5})
    token_id = issued.json()["token_id"]
    pressed = await plant.until("token_expiry_pressure", "warning")
    assert pressed["detail"]["token_ids"] == [token_id]

    # A bucket that is nearly full.
    bucket = stream_name(names.namespace, "checks")
    await plant.run()
    config = next(one for one in names.streams() if one.name == bucket)
    held_bytes = (await stack.bus.js.stream_info(bucket)).state.bytes
    await stack.bus.js.update_stream(replace(config, max_bytes=held_bytes + 10))
    full = await plant.until("stream_fill", "critical")
    assert f"{bucket} is 9" in full["message"]
    # Nothing more can be archived; the check still counts, and says so.
    unkept = await plant.run()
    assert "is full" in unkept["archive"]["error"]
    await stack.bus.js.update_stream(config)

    # An archive that is gone.
    assert (await plant.checks())["ops_daily_check_archive"]["status"] == "ok"
    await stack.bus.js.purge_stream(bucket)
    gone = await plant.until("ops_daily_check_archive", "critical")
    assert "is gone" in gone["message"]
    listed = (await plant.client.get(f"{RUNBOOK}/archive.json")).json()
    assert [row["archive_error"] is not None for row in listed["rows"]] == [True]  # what is gone is not listed


async def test_a_forged_audit_entry_is_critical(plant: Plant) -> None:
    await plant.run()
    await plant.stack.idle("operations")
    await plant.stack.idle("audit")
    assert (await plant.checks())["audit_chain_integrity"]["status"] == "ok"
    admin = await plant.stack.superuser()
    await admin.execute("UPDATE audit.entry SET actor = 'mallory' WHERE seq = (SELECT max(seq) FROM audit.entry)")
    await admin.close()
    forged = await plant.until("audit_chain_integrity", "critical")
    assert forged["detail"]["first_bad_seq"] is not None


async def test_a_stopped_service_is_critical_and_what_waits_for_it_grows_old(plant: Plant) -> None:
    await plant.stack.stop("tracker")
    asked = await plant.client.patch(
        "/api/ops/governance/gate/remediation/tracker/items/1", json={"status": "done"}, headers={"Prefer": "wait=0"}
    )
    assert asked.status_code == 202, asked.text
    plant.stack.clock.advance(minutes=6)
    found = await plant.checks()
    assert "The tracker service is not running" in found["services_answering"]["message"]
    assert found["startup_preflight"]["status"] == "critical"
    assert (found["oldest_pending"]["status"], "tracker (commands)" in found["oldest_pending"]["message"]) == (
        "warning",
        True,
    )
    assert found["escalation_on_time"]["status"] == "critical"
    assert "could not be made" in found["escalation_on_time"]["message"]
    plant.stack.clock.advance(minutes=30)
    assert (await plant.checks())["oldest_pending"]["status"] == "critical"
    # Without metrics there is no word on latency: that is critical, not missing.
    await plant.stack.stop("metrics")
    found = await plant.checks()
    assert found["api_latency_p95"]["message"].startswith("could not be made: The metrics service is not running")
    assert list(found) == [one.id for one in CATALOGUE]


async def test_a_daily_check_is_told_raised_archived_and_listed(plant: Plant) -> None:
    client_ = plant.client
    missing = await client_.get(f"{RUNBOOK}/latest")
    assert (missing.status_code, "There was no daily check yet" in missing.text) == (404, True)
    await plant.edge.site("plant-1")
    done = await plant.run()
    assert (done["status"], done["trigger"], done["site_count"]) == ("critical", "api", 2)
    assert done["alert"] == {"level": "critical", "attempted": True, "dispatched": None, "error": None}
    raised = await plant.stack.heard(alert_raised)
    assert raised.data["run_id"] == done["run_id"]
    assert {one["status"] for one in raised.data["problems"]} <= {"warning", "critical"}
    for site in ("global", "plant-1"):
        for kind in ("ops.preflight", "ops.runbook", "ops.daily_check"):
            told = await plant.stack.heard(
                signal_recorded,
                lambda e, s=site, k=kind: e.site == s and e.data["kind"] == k,  # type: ignore[misc]
            )
            assert (told.data["valid"], told.data["judged"]) == (True, True), told.data
            assert told.actor == "service:operations"

    latest = (await client_.get(f"{RUNBOOK}/latest", params={"include_checks": "false"})).json()
    assert (latest["run_id"], latest["checks"]) == (done["run_id"], [])
    assert (await client_.get(f"{RUNBOOK}/latest/summary.json")).json() == done
    sheet = (await client_.get(f"{RUNBOOK}/latest/summary.csv")).text.splitlines()
    assert (sheet[0], sheet[2], sheet[3]) == (SUMMARY_HEAD, "", "check_id,check_status,check_message")
    assert [row[0] for row in csv.reader(io.StringIO("\n".join(sheet[4:])))] == [one.id for one in CATALOGUE]

    listed = (await client_.get(f"{RUNBOOK}/archive.json")).json()
    assert (listed["job_name"], listed["count"]) == ("ops_daily_check", 1)
    row = listed["rows"][0]
    assert (row["archive_json_file"], row["archive_error"]) == (done["archive"]["json_file"], None)
    assert (await client_.get(f"{RUNBOOK}/archive.csv")).text.splitlines()[0] == ARCHIVE_HEAD
    for kind in ("json", "csv"):
        file = await client_.get(f"{RUNBOOK}/archive/{done['run_id']}", params={"kind": kind})
        assert file.status_code == 200, file.text
        assert file.headers["ETag"] == f'"{row[f"archive_{kind}_sha256"]}"'
        assert done["archive"][f"{kind}_file"] in file.headers["Content-Disposition"]
    assert (await client_.get(f"{RUNBOOK}/archive/1")).status_code == 404
    # The same check by the clock; and after its time each file goes, from the store and from the list.
    assert await plant.stack.run_job("operations", "ops_daily_check")
    plant.stack.clock.advance(days=61)
    assert await plant.stack.run_job("operations", "remove_check_files")
    assert (await client_.get(f"{RUNBOOK}/archive.json")).json()["rows"] == []


async def test_who_may_read_and_who_may_run(plant: Plant) -> None:
    operator = await plant.edge.user("olga", "operator")
    viewer = await plant.edge.user("vera", "viewer")
    narrow = await plant.edge.user("mina", "manager", ["global"])
    assert (await operator.get(RUNBOOK)).status_code == 200
    assert (await operator.post(RUN)).status_code == 403
    assert (await viewer.get(RUNBOOK)).status_code == 403
    assert (await narrow.post(RUN)).status_code == 403  # it is about the whole installation


def rules(http: httpx2.Client) -> dict[str, str]:
    """How the operations gate judges now, by rule."""
    run = http.post("/api/ops/governance/gate/run", json={})
    assert run.status_code == 200, run.text
    return {rule["id"]: rule["status"] for rule in run.json()["rules"]}


@pytest.mark.whole
def test_the_gate_goes_by_what_is_found(tmp_path: Any) -> None:
    watched = ("preflight_no_error", "runbook_no_critical", "daily_check_recent")
    stack = LocalStack(tmp_path / "data")
    stack.start()
    try:
        stack.wait_ready()
        with client(stack) as http:
            assert {rules(http)[name] for name in watched} <= {"fail", "warning"}
            good = http.post(RUN).json()
            assert good["critical_count"] == 0, [one for one in good["checks"] if one["status"] == "critical"]
            await_that("the gate is told", lambda: {rules(http)[name] for name in watched} == {"pass"})
            stack.halt("metrics")
            bad = http.post(RUN).json()
            assert bad["overall_status"] == "critical"
            await_that("the gate is told", lambda: "pass" not in {rules(http)[name] for name in watched})
            stack.resume("metrics")
            stack.wait_ready()
            await_that("it is in order again", lambda: http.post(RUN).json()["critical_count"] == 0)
            await_that("the gate is told", lambda: {rules(http)[name] for name in watched} == {"pass"})
    finally:
        stack.stop()
