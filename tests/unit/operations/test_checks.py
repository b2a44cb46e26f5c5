"""The runbook's checks at their borders; and none is missing, whatever can't be read."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from libs.common.contracts.audit.archives import Archiving
from libs.common.contracts.audit.chain import Verification
from libs.common.contracts.audit.head import Head
from libs.common.contracts.audit.witnesses import WitnessState, WitnessView
from libs.common.contracts.gateway.backlogs import Backlog
from libs.common.contracts.jobs import JobState
from libs.common.contracts.metrics.latency import EndpointLatency
from libs.common.contracts.notifier.alerting import Alerting, SiteNoise
from libs.common.contracts.operations.catalogue import CATALOGUE
from libs.common.contracts.operations.integrity import IntegrityRun, IntegrityWanted
from libs.common.contracts.preflight import Overall
from libs.common.contracts.vitals import DurableState, StreamState, Vitals
from libs.common.reference import runbook_reference
from services.operations.domain.alerting import Word, word_of
from services.operations.integrity import summed
from services.operations.runbook import alerting, edge, judging, proof, recovery, traffic
from services.operations.runbook.readings import Readings, Unread

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
    found = judging.judged(Readings(NOW, defaultdict(lambda: Unread("the lights are out"))))
    assert [one.id for one in found.checks] == [one.id for one in CATALOGUE]
    assert {(one.status, one.message) for one in found.checks} == {
        ("critical", "could not be made: the lights are out")
    }
    assert (found.overall_status, found.critical_count, found.check_count) == (
        "critical",
        len(CATALOGUE),
        len(CATALOGUE),
    )
    broken = judging.judged(Readings(NOW, defaultdict(lambda: 7)))  # of another shape than anything expects
    assert broken.critical_count == len(broken.checks) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("waiting", "status"), [(999, "ok"), (1_000, "warning"), (9_999, "warning"), (10_000, "critical")]
)
def test_lag(waiting: int, status: str) -> None:
    durable = DurableState(stream="EVENTS", durable="audit-events", pending_count=waiting - 1, unacked_count=1)
    assert traffic.consumer_lag(vitals(durables=[durable]))[0] == status


@pytest.mark.parametrize(
    ("seconds", "status"), [(299, "ok"), (300, "warning"), (1799, "warning"), (1800, "critical"), (-60, "ok")]
)
def test_the_oldest_that_waits(seconds: int, status: str) -> None:
    backlog = Backlog(service="audit", stream="events", oldest_at=NOW - timedelta(seconds=seconds))
    assert traffic.oldest_pending(read(backlogs=[backlog]))[0] == status
    assert traffic.oldest_pending(read(backlogs=[]))[:2] == ("ok", "nothing waits")


@pytest.mark.parametrize(
    ("seconds", "status"), [(59, "ok"), (60, "warning"), (599, "warning"), (600, "critical"), (-5, "ok")]
)
def test_what_is_not_sent(seconds: int, status: str) -> None:
    assert traffic.outbox_age(vitals(outbox_oldest_at=NOW - timedelta(seconds=seconds)))[0] == status


@pytest.mark.parametrize(("days", "status"), [(30, "ok"), (31, "ok"), (31.1, "warning")])
def test_ids_that_nobody_tidies_up(days: float, status: str) -> None:
    assert traffic.inbox_growth(vitals(inbox_oldest_at=NOW - timedelta(days=days)))[0] == status


@pytest.mark.parametrize(
    ("held", "refuses", "status"),
    [(799, True, "ok"), (800, True, "warning"), (949, True, "warning"), (950, True, "critical"), (1000, False, "ok")],
)
def test_a_stream_fills(held: int, refuses: bool, status: str) -> None:
    stream = StreamState(stream="EVENTS", byte_count=held, max_bytes=1000, refuses_when_full=refuses)
    assert traffic.stream_fill(vitals(streams=[stream]))[0] == status


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
    assert traffic.job_runs(at)[0] == status


def test_a_verification_that_somebody_else_runs_is_no_broken_chain() -> None:
    busy = Unread("A verification is running already; ask again in a few seconds.")
    head = Head(seq=9, recorded_at=NOW)
    assert proof.audit_chain_integrity(read(chain=busy, head=head))[0] == "warning"


def test_what_a_verification_found_stands_though_the_newest_links_hold() -> None:
    said = "verification 7: entry 3 is missing"
    chain = Verification(valid=True, checked_count=9, from_seq=1, to_seq=9, head_seq=9, head_hash="", verified_at=NOW)
    for broken, status in ((said, "critical"), (None, "ok")):
        head = Head(seq=9, recorded_at=NOW, broken=broken)
        found = proof.audit_chain_integrity(read(chain=chain, head=head))
        assert (found[0], found[1] == said) == (status, broken is not None)


@pytest.mark.parametrize(("hours", "status"), [(25.9, "ok"), (26.1, "warning"), (-1, "ok")])
def test_the_newest_entry_of_the_log(hours: float, status: str) -> None:
    assert proof.audit_head_recent(read(head=Head(seq=9, recorded_at=NOW - timedelta(hours=hours))))[0] == status
    assert proof.audit_head_recent(read(head=Head(seq=0, recorded_at=None)))[0] == "warning"


def _witness(state: WitnessState, minutes: float) -> WitnessView:
    return WitnessView(
        witness="w.example", verifier="w", state=state, problem="it saw more" if state == "forked" else None, size=9,
        cosigned_at=NOW - timedelta(minutes=minutes), asked_at=NOW, since=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "status", "says"),
    [
        ([], "ok", "no witness is named"),
        ([_witness("cosigned", 5)], "ok", "1 of 1 witnesses cosign"),
        ([_witness("cosigned", 5), _witness("cosigned", 31)], "warning", "w.example (cosigned)"),
        ([_witness("unreachable", 5)], "warning", "unreachable"),
        ([_witness("waiting", 5)], "warning", "waiting"),
        ([_witness("cosigned", 5), _witness("forked", 5)], "critical", "it saw more"),
    ],
)
def test_what_witnesses_say(seen: list[WitnessView], status: str, says: str) -> None:
    found = proof.audit_witnessed(read(witnesses=seen))
    assert (found[0], says in found[1]) == (status, True), found


@pytest.mark.parametrize(
    ("changed", "status", "says"),
    [
        ({}, "ok", "no month is over yet"),
        ({"frozen_month": "2026-01"}, "ok", "2026-01 is archived and signed"),
        ({"verifier": None, "frozen_month": "2026-01"}, "warning", "is not signed"),
        ({"waiting_month": "2026-02", "waiting_since": NOW - timedelta(hours=3)}, "ok", "2026-02 waits"),
        ({"waiting_month": "2026-02", "waiting_since": NOW - timedelta(hours=3.1)}, "warning", "2026-02 waits"),
        ({"waiting_month": "2026-02", "waiting_since": NOW - timedelta(days=7.1)}, "critical", "2026-02 waits"),
    ],
)
def test_months_of_the_log_are_archived(changed: dict[str, Any], status: str, says: str) -> None:
    known = {"verifier": "log.example/audit+1+A", "frozen_month": None, "waiting_month": None, "waiting_since": None}
    found = proof.audit_archive_signing(read(archiving=Archiving.model_validate(known | changed)))
    assert (found[0], says in found[1]) == (status, True), found


@pytest.mark.parametrize(
    ("said", "hours_ago", "status"),
    [
        ("ok", 1, "ok"),
        ("ok", 26, "ok"),
        ("ok", 26.1, "warning"),  # what was right long ago says nothing of today
        ("warning", 1, "warning"),
        ("critical", 1, "critical"),
        ("critical", 999, "critical"),  # and what was wrong is not mended by waiting
    ],
)
def test_stored_evidence_was_read_anew(said: Overall, hours_ago: float, status: str) -> None:
    looked = summed([], [], IntegrityWanted(), NOW - timedelta(hours=hours_ago)).model_dump() | {"status": said}
    more = {"run_id": 7, "trigger": "schedule", "archive_file": None, "archive_sha256": None, "archive_error": None}
    found = proof.evidence_archive_integrity_batch(read(evidence=IntegrityRun.model_validate(looked | more)))
    assert found[0] == status, found
    assert proof.evidence_archive_integrity_batch(read(evidence=None))[0] == "warning"


def test_who_looks_often_whether_all_is_well_does_not_spoil_it() -> None:
    slow = {"endpoint_key": "GET x", "method": "GET", "sample_count": 99, "error_count": 0, "slow_count": 99,
            "p50_ms": 1000.0, "p95_ms": 2000.0, "p99_ms": 3000.0, "status": "critical", "message": ""}  # fmt: skip
    for route, status in (
        ("/api/ops/runbook/checks", "warning"),
        ("/api/ops/preflight", "warning"),
        ("/x", "critical"),
    ):
        latency = SimpleNamespace(endpoints=[EndpointLatency.model_validate({**slow, "route": route})])
        assert edge.api_latency_p95(read(latency=latency))[0] == status


def test_what_nobody_asked_is_not_ok_and_what_is_not_watched_does_not_count() -> None:
    one = {"endpoint_key": "GET /x", "method": "GET", "route": "/x", "sample_count": 99, "error_count": 0,
           "slow_count": 0, "p50_ms": 1.0, "p95_ms": 2000.0, "p99_ms": 3.0, "message": ""}  # fmt: skip
    for changed, status in (
        ({"status": "ok"}, "ok"),
        ({"status": "no_data"}, "warning"),
        ({"status": "critical"}, "critical"),
        ({"status": "critical", "watched": False}, "warning"),
    ):
        latency = SimpleNamespace(endpoints=[EndpointLatency.model_validate({**one, **changed})])
        assert edge.api_latency_p95(read(latency=latency))[0] == status
    assert edge.api_latency_p95(read(latency=SimpleNamespace(endpoints=[])))[0] == "warning"


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["ok", "ok"], "ok"),
        (["ok", "no_data"], "ok"),
        (["no_data", "no_data"], "warning"),
        (["ok", "ticket"], "warning"),
        (["spent", "no_data"], "warning"),
        (["ticket", "page"], "critical"),
    ],
)
def test_slos(statuses: list[str], status: str) -> None:
    items = [
        SimpleNamespace(name=f"slo-{number}", status=one, budget_left_percent=None, message=one)
        for number, one in enumerate(statuses)
    ]
    word, said, figures = edge.api_burn_rate(read(slos=SimpleNamespace(items=items, status=statuses[0])))
    assert (word, figures["slos"]) == (status, {f"slo-{number}": one for number, one in enumerate(statuses)})
    assert "no_data" not in statuses or "ok" not in statuses or "nothing is known of slo-1" in said


def test_a_dead_letter_is_critical_at_once() -> None:
    assert traffic.dead_letters_held(vitals(dead_letter_count=1))[0] == "critical"
    assert traffic.dead_letters_held(vitals())[0] == "ok"


def test_an_archive_that_is_not_whole_is_critical() -> None:
    assert proof.ops_daily_check_archive(read(archive={}))[0] == "warning"
    assert proof.ops_daily_check_archive(read(archive={"a.json": "ok", "a.csv": "ok"}))[0] == "ok"
    assert proof.ops_daily_check_archive(read(archive={"a.json": "ok", "a.csv": "is gone"}))[0] == "critical"


def test_the_catalogue_says_when_and_what_to_do() -> None:
    page = runbook_reference()
    for one in CATALOGUE:
        assert one.action
        assert one.warning or one.critical
        assert f"| `{one.id}` |" in page


AGO = timedelta(hours=1)


def _backup(**changed: Any) -> Any:
    values = {
        "backup_id": "20260301T021500Z-abcdef",
        "good": True,
        "problems": [],
        "free_bytes": 300,
        "place": "folder",
    }
    return SimpleNamespace(**{**values, **changed})


def _backups(latest: Any, *, hours: float | None, size: int = 100, watched_hours: float | None = 1) -> Readings:
    good_at = None if hours is None else NOW - timedelta(hours=hours)
    since = None if watched_hours is None else NOW - timedelta(hours=watched_hours)
    return read(backups=SimpleNamespace(latest=latest, good_at=good_at, size_bytes=size, watched_since=since))


@pytest.mark.parametrize(
    ("readings", "word"),
    [
        (_backups(_backup(), hours=25.9), "ok"),
        (_backups(_backup(), hours=26), "warning"),
        (_backups(_backup(), hours=50), "critical"),
        (_backups(_backup(), hours=-0.01), "ok"),  # of a clock that runs a little ahead
        (_backups(_backup(good=False, problems=["bad"]), hours=1), "critical"),
        (_backups(_backup(good=False, problems=["full"], backup_id=None), hours=1), "warning"),
        (_backups(_backup(good=False, problems=["full"], backup_id=None), hours=51), "critical"),
        (_backups(None, hours=None, watched_hours=None), "warning"),
        (_backups(None, hours=None, watched_hours=49.9), "warning"),
        (_backups(None, hours=None, watched_hours=50), "critical"),
        (_backups(_backup(good=False, problems=["full"], backup_id=None), hours=None), "warning"),
    ],
)
def test_backups(readings: Readings, word: str) -> None:
    assert recovery.backup_recent(readings)[0] == word


@pytest.mark.parametrize(
    ("latest", "word"),
    [
        (_backup(free_bytes=300), "ok"),
        (_backup(free_bytes=299), "warning"),
        (_backup(free_bytes=119), "critical"),
        (_backup(free_bytes=None), "warning"),
        (_backup(free_bytes=None, place="s3"), "ok"),
        (None, "warning"),
    ],
)
def test_room_for_backups(latest: Any, word: str) -> None:
    assert recovery.backup_room(_backups(latest, hours=1))[0] == word


@pytest.mark.parametrize(("days", "valid", "word"), [(35, True, "ok"), (36, True, "warning"), (1, False, "critical")])
def test_rehearsals(days: int, valid: bool, word: str) -> None:
    notes = [] if valid else ["table tracker.item is missing"]
    last = SimpleNamespace(
        run_id=7, finished_at=NOW - timedelta(days=days), restore_valid=valid, backup_file="b", notes=notes
    )
    assert recovery.dr_rehearsal_recent(read(rehearsal=last))[0] == word
    assert recovery.dr_rehearsal_recent(read(rehearsal=None))[0] == "warning"


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"heard": False, "total": 0, "delivered": 0, "failing": 0}, Word()),
        ({"heard": True, "total": 0, "delivered": 0, "failing": 0}, Word(dispatched=False, settled=True)),
        ({"heard": True, "total": 2, "delivered": 0, "failing": 0}, Word()),
        ({"heard": True, "total": 2, "delivered": 0, "failing": 1}, Word(dispatched=False, error="1/2 failed: no")),
        (
            {"heard": True, "total": 2, "delivered": 0, "failing": 2},
            Word(dispatched=False, error="all alert channels failed: no"),
        ),
        ({"heard": True, "total": 2, "delivered": 1, "failing": 1}, Word(dispatched=True, error="1/2 failed: no")),
        ({"heard": True, "total": 2, "delivered": 1, "failing": 0}, Word(dispatched=True)),
        ({"heard": True, "total": 2, "delivered": 2, "failing": 0}, Word(dispatched=True, settled=True)),
    ],
)
def test_what_is_said_of_an_alert(told: dict[str, Any], word: Word) -> None:
    assert word_of(**told, error="no" if told["failing"] else None) == word


NOISE = SiteNoise(site="a", status="critical", message="m", due=False)
REVIEW_DUE = SiteNoise(site="a", status="no_data", message="m", due=True)


def _alerting(**changed: Any) -> Readings:
    calm = Alerting(
        quarantined_global_count=0, quarantined_other_count=0, failing_count=0, targets=[], unprobed_count=0,
        late_count=0, oldest_late_at=None, unkept_sites=[], unchecked_sites=[], breaching_sites=[], noise=[],
    )  # fmt: skip
    return read(alerting=calm.model_copy(update=changed))


@pytest.mark.parametrize(
    ("check", "changed", "word"),
    [
        ("channel_guard", {"quarantined_global_count": 1}, "critical"),
        ("channel_guard", {"quarantined_other_count": 9}, "warning"),  # no site breaks another's gate
        ("channel_guard", {"failing_count": 1}, "warning"),
        ("retry_recent", {"late_count": 1, "oldest_late_at": NOW - AGO}, "warning"),
        ("retention_recent", {"unkept_sites": ["a"]}, "warning"),
        ("guard_recovery_recent", {"unprobed_count": 1}, "warning"),
        ("mttr_slo_recent", {"unchecked_sites": ["a"]}, "warning"),
        ("mttr_slo_breach", {"breaching_sites": ["a"]}, "warning"),
        (
            "noise_policy_documented",
            {"noise": [NOISE]},
            "critical",
        ),
        (
            "noise_policy_documented",
            {"noise": [REVIEW_DUE]},
            "warning",
        ),
    ],
)
def test_alerting(check: str, changed: dict[str, Any], word: str) -> None:
    made = getattr(alerting, f"alert_{check}")
    assert made(_alerting())[0] == "ok"
    assert made(_alerting(**changed))[0] == word
