"""The runbook's checks at their borders; and none is missing, whatever can't be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from libs.common.contracts.audit.head import Head
from libs.common.contracts.gateway.backlogs import Backlog
from libs.common.contracts.jobs import JobState
from libs.common.contracts.metrics.latency import EndpointLatency
from libs.common.contracts.operations.runbook import CATALOGUE
from libs.common.contracts.vitals import DurableState, StreamState, Vitals
from libs.common.reference import runbook_reference
from services.operations import checks
from services.operations.readings import Readings, Unread

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALM = Vitals(
    service="audit", outbox_count=0, outbox_oldest_at=None, inbox_oldest_at=None, dead_letter_count=0,
    dead_letter_oldest_at=None, durables=[], streams=[],
)  # fmt: skip


def read(**found: Any) -> Readings:
    return Readings(NOW, found)


def vitals(**changed: Any) -> Readings:
    return read(vitals=({"audit": CALM.model_copy(update=changed)}, {}))


def test_what_can_not_be_read_is_critical_with_its_reason_and_never_missing() -> None:
    names = ("preflight", "vitals", "jobs", "started", "backlogs", "tokens", "latency", "head", "chain", "archive")
    found = checks.judged(Readings(NOW, dict.fromkeys(names, Unread("the lights are out"))))
    assert [one.id for one in found.checks] == [one.id for one in CATALOGUE]
    assert {(one.status, one.message) for one in found.checks} == {
        ("critical", "could not be made: the lights are out")
    }
    assert (found.overall_status, found.critical_count, found.check_count) == ("critical", 16, 16)
    broken = checks.judged(Readings(NOW, dict.fromkeys(names, 7)))  # of another shape than anything expects
    assert (broken.critical_count, len(broken.checks)) == (16, 16)


@pytest.mark.parametrize(
    ("waiting", "status"), [(999, "ok"), (1_000, "warning"), (9_999, "warning"), (10_000, "critical")]
)
def test_lag(waiting: int, status: str) -> None:
    durable = DurableState(stream="EVENTS", durable="audit-events", pending_count=waiting - 1, unacked_count=1)
    assert checks.consumer_lag(vitals(durables=[durable]))[0] == status


@pytest.mark.parametrize(
    ("seconds", "status"), [(299, "ok"), (300, "warning"), (1799, "warning"), (1800, "critical"), (-60, "ok")]
)
def test_the_oldest_that_waits(seconds: int, status: str) -> None:
    backlog = Backlog(service="audit", stream="events", oldest_at=NOW - timedelta(seconds=seconds))
    assert checks.oldest_pending(read(backlogs=[backlog]))[0] == status
    assert checks.oldest_pending(read(backlogs=[]))[:2] == ("ok", "nothing waits")


@pytest.mark.parametrize(
    ("seconds", "status"), [(59, "ok"), (60, "warning"), (599, "warning"), (600, "critical"), (-5, "ok")]
)
def test_what_is_not_sent(seconds: int, status: str) -> None:
    assert checks.outbox_age(vitals(outbox_oldest_at=NOW - timedelta(seconds=seconds)))[0] == status


@pytest.mark.parametrize(("days", "status"), [(30, "ok"), (31, "ok"), (31.1, "warning")])
def test_ids_that_nobody_tidies_up(days: float, status: str) -> None:
    assert checks.inbox_growth(vitals(inbox_oldest_at=NOW - timedelta(days=days)))[0] == status


@pytest.mark.parametrize(
    ("held", "refuses", "status"),
    [(799, True, "ok"), (800, True, "warning"), (949, True, "warning"), (950, True, "critical"), (1000, False, "ok")],
)
def test_a_stream_fills(held: int, refuses: bool, status: str) -> None:
    stream = StreamState(stream="EVENTS", byte_count=held, max_bytes=1000, refuses_when_full=refuses)
    assert checks.stream_fill(vitals(streams=[stream]))[0] == status


def job(minutes_ago: float | None, **changed: Any) -> JobState:
    last = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    values: dict[str, Any] = {
        "cron": "17 * * * *",
        "zone": "UTC",
        "next_at": NOW,
        "runs_always": True,
        "last_finished_at": last,
    }
    return JobState(job_name="prune", service="audit", **(values | {"last_status": last and "success"} | changed))


@pytest.mark.parametrize(
    ("one", "hours_up", "status"),
    [
        (job(43), 100, "ok"),  # at 11:17
        (job(60), 100, "warning"),  # at 11:00: that of 11:17 is missing
        (job(60), 0.5, "ok"),  # the service was started since
        (job(None), 100, "warning"),
        (job(None), 0.1, "ok"),
        (job(None, runs_always=False), 100, "ok"),  # it may have had no site
        (job(600, cron=None, zone=None, next_at=None), 100, "ok"),  # switched off
        (job(43, last_status="failed"), 100, "warning"),
        (job(43, last_status="critical"), 100, "ok"),  # a verdict, such as NO-GO, is no failure of the job
    ],
)
def test_jobs(one: JobState, hours_up: float, status: str) -> None:
    at = read(jobs=({"audit": [one]}, {}), started={"audit": NOW - timedelta(hours=hours_up)})
    assert checks.job_runs(at)[0] == status


def test_a_verification_that_somebody_else_runs_is_no_broken_chain() -> None:
    busy = Unread("A verification is running already; ask again in a few seconds.")
    assert checks.audit_chain_integrity(read(chain=busy))[0] == "warning"


@pytest.mark.parametrize(("hours", "status"), [(25.9, "ok"), (26.1, "warning"), (-1, "ok")])
def test_the_newest_entry_of_the_log(hours: float, status: str) -> None:
    assert checks.audit_head_recent(read(head=Head(seq=9, recorded_at=NOW - timedelta(hours=hours))))[0] == status
    assert checks.audit_head_recent(read(head=Head(seq=0, recorded_at=None)))[0] == "warning"


def test_who_looks_often_whether_all_is_well_does_not_spoil_it() -> None:
    slow = {"endpoint_key": "GET x", "method": "GET", "sample_count": 99, "error_count": 0, "slow_count": 99,
            "p50_ms": 1000.0, "p95_ms": 2000.0, "p99_ms": 3000.0, "status": "critical", "message": ""}  # fmt: skip
    for route, status in (("/api/ops/runbook/checks", "ok"), ("/api/ops/runbook/checks/run", "ok"), ("/x", "critical")):
        latency = SimpleNamespace(endpoints=[EndpointLatency.model_validate({**slow, "route": route})])
        assert checks.api_latency_p95(read(latency=latency))[0] == status


def test_a_dead_letter_is_critical_at_once() -> None:
    assert checks.dead_letters_held(vitals(dead_letter_count=1))[0] == "critical"
    assert checks.dead_letters_held(vitals())[0] == "ok"


def test_an_archive_that_is_not_whole_is_critical() -> None:
    assert checks.ops_daily_check_archive(read(archive={}))[0] == "warning"
    assert checks.ops_daily_check_archive(read(archive={"a.json": "ok", "a.csv": "ok"}))[0] == "ok"
    assert checks.ops_daily_check_archive(read(archive={"a.json": "ok", "a.csv": "is gone"}))[0] == "critical"


def test_the_catalogue_says_when_and_what_to_do() -> None:
    page = runbook_reference()
    for one in CATALOGUE:
        assert one.action
        assert one.warning or one.critical
        assert f"| `{one.id}` |" in page
