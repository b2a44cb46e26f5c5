"""Weekly and monthly quality reports on real servers: numbers, archive, streak over weeks, and what is not answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from libs.common.buckets import stream_name
from libs.common.contracts.governance.signals import signal_recorded
from libs.common.contracts.operations.quality import MONTHLY_JOB, WEEKLY_JOB, report_made
from libs.common.outbound import Outbound
from libs.common.settings import Settings
from libs.common.vault import Vault
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.metrics.service import SERVICE as METRICS
from services.notifier.service import make_service as make_notifier
from services.operations import archives
from services.operations.service import make_service
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.integration.notifier_desk import VAULT_SECRET
from tests.stack import Stack

pytestmark = pytest.mark.integration
QUALITY = "/api/ops/reports/quality"
WATCH = "quality_watch"
KEYS = [
    "key,value", "template_version", "generated_at", "window", "label", "period_start", "period_end",
    "job_runs_total", "critical_findings_total", "alert_delivery_total", "alert_delivery_success_rate_percent",
]  # fmt: skip
JOBS_HEAD = "job_name,total,success,warning,critical,success_rate_percent"
# A Friday, some years ahead: certificates and tokens of the tests begin today.
FRIDAY = datetime(2027, 3, 5, 23, 40, tzinfo=UTC)
WEEK = timedelta(days=7)


class Plant:
    """An edge with the services that a report asks."""

    def __init__(self, edge: Http) -> None:
        self.edge, self.stack, self.client = edge, edge.stack, edge.client

    async def get(self, path: str, **params: str) -> Any:
        """An answer that must be good."""
        answer = await self.client.get(f"{QUALITY}/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def run(self, **params: str) -> Any:
        """A report by hand."""
        answer = await self.client.post(f"{QUALITY}/run", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def rule(self) -> Any:
        """The gate's seventh rule, judged now."""
        ran = await self.client.post("/api/ops/governance/gate/run", json={})
        assert ran.status_code == 200, ran.text
        return next(rule for rule in ran.json()["rules"] if rule["id"] == "weekly_streak_target_met")

    async def until_rule(self, *, passed: bool) -> Any:
        """The rule once the gate has heard what was told."""
        await self.stack.idle("operations")
        await self.stack.idle("governance")
        rule = await self.rule()
        assert rule["passed"] is passed, rule
        return rule

    async def by_clock(self, at: datetime, job: str = WEEKLY_JOB) -> None:
        """The job, at a moment that the clock is set to."""
        self.stack.clock.now = at
        assert await self.stack.run_job("operations", job)


@pytest_asyncio.fixture
async def plant(stack: Stack) -> AsyncIterator[Plant]:
    stack.clock.now = FRIDAY - timedelta(days=1)
    notifier = make_notifier(Outbound(("127.0.0.0/8",)), Vault.from_secret(VAULT_SECRET))
    operations = make_service(Settings())
    await stack.start(make_governance(packaged_policies()), TRACKER, METRICS, notifier, operations)
    edge = await Http(stack).open()
    yield Plant(edge)
    await edge.close()


async def test_a_report_has_the_figures_of_its_week_and_its_sheet_the_same(plant: Plant) -> None:
    stack, client = plant.stack, plant.client
    checked = (await client.post("/api/ops/runbook/checks/run")).json()
    assert checked["critical_count"] > 0  # nobody started the audit service
    await plant.rule()
    await stack.idle("operations")
    for service in ("governance", "tracker", "metrics"):  # in this order: what one sent, the next has taken
        await stack.idle(service)
    report = await plant.get("weekly")
    assert (report["template_version"], report["window"], report["complete"]) == ("ops-quality-v1", "weekly", True)
    summary = report["summary"]
    assert summary["critical_findings_total"] == checked["critical_count"]
    by_job = {one["job_name"]: one for one in summary["jobs"]}
    assert by_job["ops_daily_check"] == {
        "job_name": "ops_daily_check", "total": 1, "success": 0, "warning": 0, "critical": 1, "failed": 0,
        "success_rate_percent": 0.0,
    }  # fmt: skip
    assert (summary["job_count"], summary["job_runs_total"]) == (len(by_job), sum(o["total"] for o in by_job.values()))
    assert report["gates"] == {"run_count": 1, "go_count": 0, "no_go_count": 1}
    assert report["duties"]["open_count"] >= 1  # of the gate that is NO-GO
    # Nothing was sent, which is no rate and no missing part.
    assert (summary["alert_delivery_total"], summary["alert_delivery_success_rate_percent"]) == (0, None)
    states = {one["name"]: one["state"] for one in report["parts"]}
    assert states == {
        "jobs": "read", "daily_checks": "read", "deliveries": "empty", "duties": "read",
        "alert_noise_policy": "empty", "preflight": "read", "admin_security": "absent",
    }  # fmt: skip
    assert any("critical findings" in one for one in report["recommendations"])

    answer = await client.get(f"{QUALITY}/weekly/csv")
    stamp = f"{stack.clock():%Y%m%dT%H%M%SZ}"
    assert f'filename="ops-quality-weekly-{stamp}.csv"' in answer.headers["Content-Disposition"]
    lines = answer.text.split("\n")
    assert [line.partition(",")[0] if place else line for place, line in enumerate(lines[:11])] == KEYS
    assert (lines[11], lines[12]) == ("", JOBS_HEAD)
    assert f"critical_findings_total,{checked['critical_count']}" in lines
    assert "alert_delivery_success_rate_percent," in lines
    assert "ops_daily_check,1,0,0,1,0.0" in lines

    month = f"{stack.clock():%Y-%m}"
    running = await plant.get("monthly", month=month)
    assert (running["label"], running["period"]["is_over"]) == (month, False)
    assert running["summary"]["critical_findings_total"] == checked["critical_count"]
    before = await plant.get("monthly")
    assert (before["label"], before["period"]["is_over"]) == ("2027-02", True)
    assert before["summary"]["critical_findings_total"] is None  # no check was made: nobody knows
    sheet = await client.get(f"{QUALITY}/monthly/csv", params={"month": month})
    assert f'filename="ops-quality-monthly-{month}.csv"' in sheet.headers["Content-Disposition"]
    old = await plant.get("monthly", month="2026-11")
    assert {one["name"] for one in old["parts"] if one["state"] == "missing"} == {"deliveries"}  # kept for 35 days
    assert old["summary"]["alert_delivery_total"] is None
    for wrong in ({"month": "2027-04"}, {"month": "2027-13"}, {"month": "0000-01"}, {"month": "march"}):
        assert (await client.get(f"{QUALITY}/monthly", params=wrong)).status_code == 422, wrong
    refused = await client.post(f"{QUALITY}/run", params={"window": "weekly", "month": "2027-02"})
    assert (refused.status_code, "leave month away" in refused.text) == (422, True)


async def test_a_report_is_made_archived_listed_and_downloaded(plant: Plant) -> None:
    stack, client = plant.stack, plant.client
    await plant.by_clock(FRIDAY)
    made = (await stack.heard(report_made)).data
    assert (made["window"], made["counts_for_streak"], made["current_streak_weeks"]) == ("weekly", True, 1)
    await plant.by_clock(FRIDAY, MONTHLY_JOB)
    by_hand = await plant.run(window="monthly", month="2027-02")
    assert (by_hand["job_name"], by_hand["trigger"], by_hand["counts_for_streak"]) == (MONTHLY_JOB, "api", False)
    listed = await plant.get("archive")
    assert [row["window"] for row in listed["rows"]] == ["monthly", "monthly", "weekly"]
    [row] = (await plant.get("archive", window="weekly"))["rows"]
    assert (row["run_id"], row["status"], row["trigger"]) == (made["run_id"], "success", "schedule")
    assert row["json_file"] == f"ops-quality-report-weekly-{FRIDAY:%Y%m%dT%H%M%SZ}.json"
    for kind in ("json", "csv", "html", "html_ko"):
        file = await client.get(f"{QUALITY}/archive/{row['run_id']}", params={"kind": kind})
        assert file.status_code == 200, file.text
        assert file.headers["ETag"] == f'"{row[f"{kind}_sha256"]}"'
        assert row[f"{kind}_file"] in file.headers["Content-Disposition"]
        assert file.headers["Content-Type"].startswith("text/html") is kind.startswith("html")
    assert '<html lang="ko">' in file.text
    for language, title in (("en", "Weekly quality report"), ("ko", "주간 품질 보고서")):
        shown = await client.get(f"{QUALITY}/weekly/html", params={"language": language})
        assert title in shown.text
        assert shown.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert shown.headers["Content-Disposition"].startswith("attachment")
    month = await client.get(f"{QUALITY}/monthly/html", params={"month": "2027-02"})
    assert 'filename="ops-quality-monthly-2027-02.html"' in month.headers["Content-Disposition"]
    assert (await client.get(f"{QUALITY}/weekly/html", params={"language": "fr"})).status_code == 422
    kept = (await client.get(f"{QUALITY}/archive/{row['run_id']}")).json()
    assert (kept["run_id"], kept["weekly_streak"]["current_streak_weeks"]) == (row["run_id"], 1)
    assert (await client.get(f"{QUALITY}/archive/1")).status_code == 404
    stack.clock.advance(days=181)
    assert await stack.run_job("operations", "remove_check_files")
    gone = (await plant.get("archive"))["rows"]
    assert [(one["json_file"], one["counts_for_streak"]) for one in gone] == [(None, False)] * 2 + [(None, True)]
    viewer = await plant.edge.user("vera", "viewer")
    operator = await plant.edge.user("olga", "operator")
    assert (await viewer.get(f"{QUALITY}/weekly")).status_code == 403
    assert (await operator.get(f"{QUALITY}/weekly")).status_code == 200
    assert (await operator.post(f"{QUALITY}/run")).status_code == 403


async def test_the_streak_grows_with_the_weeks_and_the_gate_hears_of_it(plant: Plant) -> None:
    await plant.edge.site("plant-1")
    empty = await plant.get("weekly/streak")
    assert (empty["current_streak_weeks"], empty["target_weeks"], empty["target_met"]) == (0, 4, False)
    assert not (await plant.rule())["passed"]
    ramp = []
    for number in range(5):
        await plant.by_clock(FRIDAY + WEEK * number)
        found = await plant.get("weekly/streak")
        ramp.append((found["current_streak_weeks"], found["target_weeks"], found["bootstrap_grace_active"]))
        rule = await plant.until_rule(passed=True)
        assert rule["detail"] == {
            "current_streak_weeks": found["current_streak_weeks"], "target_weeks": found["effective_target_weeks"],
        }  # fmt: skip
    assert ramp == [(1, 1, True), (2, 1, True), (3, 2, True), (4, 3, True), (5, 4, False)]
    assert found["successful_weeks_in_window"] == 5
    assert found["anchor_week_start"].startswith("2027-03-29")
    for site in ("global", "plant-1"):
        await plant.stack.heard(signal_recorded, lambda e, s=site: e.site == s)  # type: ignore[misc]
    checks = {one["id"]: one for one in (await plant.client.get("/api/ops/runbook/checks")).json()["checks"]}
    for name in ("ops_quality_weekly_report_recent", "ops_quality_weekly_report_streak"):
        assert checks[name]["status"] == "ok", checks[name]
    # A site that comes later is told within a day. A clock that was set back knows nothing of what is to come.
    await plant.edge.site("plant-2")
    await plant.by_clock(FRIDAY + WEEK * 4 + timedelta(days=1), WATCH)
    await plant.stack.heard(signal_recorded, lambda e: e.site == "plant-2" and e.data["kind"] == "ops.quality_streak")
    for at, weeks in ((FRIDAY + WEEK * 2, 3), (FRIDAY - timedelta(hours=12), 0)):
        plant.stack.clock.now = at
        assert (await plant.get("weekly/streak"))["current_streak_weeks"] == weeks


async def test_a_week_without_a_report_turns_the_rule_red(plant: Plant) -> None:
    for number in range(2):
        await plant.by_clock(FRIDAY + WEEK * number)
    await plant.until_rule(passed=True)
    last = FRIDAY + WEEK
    await plant.by_clock(last + timedelta(days=7), WATCH)  # told again, and no younger for it
    plant.stack.clock.now = last + timedelta(days=8)
    await plant.until_rule(passed=True)
    plant.stack.clock.now = last + timedelta(days=8, seconds=1)
    rule = await plant.until_rule(passed=False)  # by the age of the report alone, though nobody has told anything
    assert "days old" in rule["message"]
    await plant.by_clock(last + timedelta(days=8, minutes=25), WATCH)
    rule = await plant.until_rule(passed=False)
    assert rule["detail"]["current_streak_weeks"] == 0
    checks = {one["id"]: one for one in (await plant.client.get("/api/ops/runbook/checks")).json()["checks"]}
    for name in ("ops_quality_weekly_report_recent", "ops_quality_weekly_report_streak"):
        assert checks[name]["status"] == "warning", checks[name]
    # A late one, in the same week still, closes the gap; told at once.
    await plant.by_clock(last + timedelta(days=9))
    rule = await plant.until_rule(passed=True)
    assert rule["detail"]["current_streak_weeks"] == 3
    # The week after is missed for good: what is made on the Monday behind it is the first of a new streak.
    await plant.by_clock(last + timedelta(days=17))
    rule = await plant.until_rule(passed=False)
    assert rule["detail"] == {"current_streak_weeks": 1, "target_weeks": 4}


async def test_findings_break_no_streak_and_two_in_one_week_count_once(plant: Plant) -> None:
    plant.stack.clock.now = FRIDAY
    await plant.client.post("/api/ops/runbook/checks/run")  # the audit service is away: critical
    found = await plant.run()
    assert (found["status"], found["counts_for_streak"]) == ("warning", True)
    assert found["summary"]["critical_findings_total"] > 0
    again = await plant.run()
    assert again["weekly_streak"]["current_streak_weeks"] == 1
    shown = await plant.get("weekly/streak")
    assert (shown["current_streak_weeks"], shown["weeks_with_findings_in_window"]) == (1, 1)
    assert shown["critical_findings_in_window"] == found["summary"]["critical_findings_total"]
    assert len((await plant.get("archive"))["rows"]) == 2
    await plant.until_rule(passed=True)


async def test_a_report_that_could_not_read_all_says_so_and_is_made_up(plant: Plant) -> None:
    stack = plant.stack
    await stack.stop("metrics")
    await plant.by_clock(FRIDAY)
    [row] = (await plant.get("archive"))["rows"]
    assert (row["status"], row["complete"], row["counts_for_streak"]) == ("warning", False, False)
    kept = (await plant.client.get(f"{QUALITY}/archive/{row['run_id']}")).json()
    told = {one["name"]: one for one in kept["parts"]}["jobs"]
    assert told["state"] == "missing"
    assert "The metrics service is not running" in told["reason"]
    assert (kept["summary"]["job_runs_total"], kept["gates"]) == (None, None)  # never a 0 that looks like a figure
    assert kept["recommendations"][0].startswith("Not all could be read (jobs)")
    assert (await plant.get("weekly/streak"))["current_streak_weeks"] == 0
    assert not (await plant.rule())["passed"]
    # As long as it does not answer nothing is made; when it does, the week's report is.
    await plant.by_clock(FRIDAY + timedelta(minutes=25), WATCH)
    assert len((await plant.get("archive"))["rows"]) == 1
    await stack.start(METRICS)
    await plant.by_clock(FRIDAY + timedelta(minutes=85), WATCH)
    assert [one["counts_for_streak"] for one in (await plant.get("archive"))["rows"]] == [True, False]
    await plant.until_rule(passed=True)
    await plant.by_clock(FRIDAY + timedelta(minutes=145), WATCH)
    assert len((await plant.get("archive"))["rows"]) == 2


async def test_a_report_that_was_not_archived_does_not_count(plant: Plant) -> None:
    stack = plant.stack
    bucket = stream_name(stack.topology.namespace, "checks")
    config = next(one for one in stack.topology.streams() if one.name == bucket)
    await stack.bus.js.update_stream(replace(config, max_bytes=10))
    full = await plant.run()
    assert (full["status"], full["counts_for_streak"], "is full" in full["archive"]["error"]) == (
        "warning",
        False,
        True,
    )
    assert (await plant.get("weekly/streak"))["current_streak_weeks"] == 0
    await stack.bus.js.update_stream(config)


async def test_who_dies_while_archiving_leaves_nothing_that_counts(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, put = plant.stack, archives.BUCKET.put
    admin = await stack.superuser()

    async def put_and_die(*values: Any) -> None:
        await put(*values)  # the file lies there, and then the transaction's connection is gone
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = 'headgate_operations' AND state LIKE 'idle in transaction%'"
        )

    monkeypatch.setattr(archives.BUCKET, "put", put_and_die)
    stack.clock.now = FRIDAY
    with pytest.raises(Exception, match=r".+"):
        await asyncio.wait_for(stack.run_job("operations", WEEKLY_JOB), 20)
    await admin.close()
    monkeypatch.undo()
    assert (await plant.get("archive"))["rows"] == []
    assert (await plant.get("weekly/streak"))["current_streak_weeks"] == 0
    await plant.by_clock(FRIDAY)  # by the next look, which makes the same file again
    assert [one["counts_for_streak"] for one in (await plant.get("archive"))["rows"]] == [True]


async def test_dora_counts_what_was_recorded_of_deployments(plant: Plant) -> None:
    now = plant.stack.clock()
    empty = (await plant.client.get("/api/ops/dora")).json()
    assert {(key["state"], key["value"], key["band"]) for key in empty["overall"]["keys"]} == {("no_data", None, None)}
    admin = await plant.stack.superuser()
    made = [  # environment, id, status, rollback, hours ago, hours since the commit
        ("production", "a", "critical", False, 50, 4),
        ("production", "a", "success", False, 49, 5),  # tested again: the newest word counts
        ("production", "b", "critical", False, 40, 3),
        ("production", "c", "success", False, 38, 3),
        ("staging", "a", "success", False, 55, None),
        ("staging", "old", "success", False, 24 * 40, None),
    ]
    for number, (environment, deploy_id, status, rollback, ago, since) in enumerate(made, 1):
        ended = now - timedelta(hours=ago)
        await admin.execute(
            """
            INSERT INTO operations.deployment (run_id, deploy_id, environment, version, commit, committed_at, rollback,
                status, started_at, finished_at, recorded_at, recorded_by, checklist_version, checklist_signature,
                detail)
            VALUES ($1, $2, $3, '1', 'c', $4, $5, $6, $7, $7, $7, 'ann', '', '', '{}')
            """,
            number, deploy_id, environment, None if since is None else ended - timedelta(hours=since), rollback, status,
            ended,
        )  # fmt: skip
    await admin.close()
    found = (await plant.client.get("/api/ops/dora", params={"days": 30})).json()
    production, staging = found["environments"]
    assert (production["environment"], production["change_count"], production["failed_count"]) == ("production", 3, 1)
    keys = {key["key"]: key for key in production["keys"]}
    assert (keys["lead_time"]["value"], keys["lead_time"]["state"]) == (4.0, "few_data")
    assert keys["change_failure_rate"]["value"] == pytest.approx(33.333)
    assert (keys["time_to_restore"]["value"], keys["time_to_restore"]["band"]) == (2.0, "high")
    assert (staging["change_count"], staging["without_commit_time_count"]) == (1, 1)
    assert (found["overall"]["change_count"], found["truncated"]) == (4, False)
    assert "2023" in found["bands_source"]
    sheet = (await plant.client.get("/api/ops/dora/csv")).text.splitlines()
    assert sheet[0] == "environment,key,state,value,unit,sample_count,band,note"
    assert sheet[1].startswith("all,deployment_frequency,few_data,0.1,per_day,3,")
    assert len(sheet) == 1 + 3 * 4
    assert (await plant.client.get("/api/ops/dora", params={"days": 0})).status_code == 422
