"""What the preflight makes of what it finds: each border, and the sentence that says what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common import preflight
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.preflight import PreflightReport
from libs.common.service import Tx
from services.operations.domain.clocks import spread
from services.operations.preflight import hear, put_together

PUBLISH, SUBSCRIBE = frozenset({"a.>", "b.1"}), frozenset({"in.>"})
GIB = 1024**3


def rights(publish: list[str], subscribe: list[str]) -> dict[str, Any]:
    return {"data": {"permissions": {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}}}}


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (rights(["a.>", "b.1"], ["in.>"]), "ok", "no more"),
        (rights(["a.>"], ["in.>"]), "error", "lacks b.1"),
        (rights(["a.>", "b.1"], []), "error", "lacks in.>"),
        (rights(["a.>", "b.1", "c"], ["in.>"]), "warning", "may also use c"),
        (rights([">"], [">"]), "warning", "may do everything"),
        ({"data": {}}, "warning", "may do everything"),
        ({}, "warning", "may do everything"),
    ],
)
def test_rights_on_the_bus(answer: dict[str, Any], status: str, said: str) -> None:
    found = preflight.judge_rights(answer, PUBLISH, SUBSCRIBE)
    assert found[0] == status, found
    assert said in found[1]


@pytest.mark.parametrize(
    ("sync", "status"), [("always", "ok"), ("unknown", "warning"), ("120000000000", "error"), ("2m", "error")]
)
def test_when_nats_writes(sync: str, status: str) -> None:
    assert preflight.judge_sync(sync)[0] == status


@pytest.mark.parametrize(
    ("fsync", "commit", "status"),
    [("on", "on", "ok"), ("on", "remote_apply", "ok"), ("off", "on", "error"), ("on", "off", "error")],
)
def test_whether_postgres_keeps(fsync: str, commit: str, status: str) -> None:
    assert preflight.judge_durable(fsync, commit)[0] == status


@pytest.mark.parametrize(
    ("used", "status"), [(0, "ok"), (85, "ok"), (86, "warning"), (100, "warning"), (130, "warning")]
)
def test_free_connections(used: int, status: str) -> None:
    assert preflight.judge_connections(100, used)[0] == status


@pytest.mark.parametrize(
    ("free", "status"), [(3 * GIB, "ok"), (2 * GIB, "ok"), (2 * GIB - 1, "warning"), (GIB // 4 - 1, "error")]
)
def test_the_fullest_disk_counts(free: int, status: str) -> None:
    found = preflight.judge_disk({"/roomy": 900 * GIB, "/small": free})
    assert found[0] == status
    assert "/small" in found[1]


@pytest.mark.parametrize(
    ("offset", "status"),
    [(0.0, "ok"), (-999.0, "ok"), (1000.0, "warning"), (-4999.0, "warning"), (5000.0, "error"), (None, "error")],
)
def test_the_clock(offset: float | None, status: str) -> None:
    assert preflight.judge_clock(offset)[0] == status


def test_clocks_of_services_are_compared_with_each_other() -> None:
    assert spread({}) == spread({"audit": 9e9}) == ("ok", "fewer than two clocks are known")
    assert spread({"audit": 600.0, "gateway": -399.0})[0] == "ok"
    assert spread({"audit": 600.0, "gateway": -400.0})[0] == "warning"
    status, said = spread({"audit": 4000.0, "gateway": -1000.0, "tracker": 0.0})
    assert (status, said[:60]) == ("error", "the clock of audit runs 5000 ms ahead of that of gateway: of")


def test_a_role_of_one_service_reaches_no_other() -> None:
    assert preflight.judge_role("headgate_audit", False, [])[0] == "ok"
    assert preflight.judge_role("postgres", True, [])[0] == "error"
    assert preflight.judge_role("headgate_audit", False, ["tracker"])[0] == "error"


NOW = datetime(2026, 3, 1, tzinfo=UTC)


def report(service: str, offset_ms: float | None = 0.0) -> PreflightReport:
    return PreflightReport(
        service=service, instance="i", headgate_version="0", checked_at=NOW, fail_on_error=False, overall_status="ok",
        error_count=0, warning_count=0, check_count=0, clock_offset_ms=offset_ms, settings_given=[], checks=[],
    )  # fmt: skip


async def test_nobody_speaks_for_another() -> None:
    message = CloudEvent(id="1", source="/headgate/metrics", type="headgate.metrics.preflight.finished.v1")
    with pytest.raises(ValueError, match="/headgate/metrics spoke of tracker"):
        await hear(Tx("operations", None, message, NOW), report("tracker"))


def test_clocks_far_apart_are_an_error_of_the_whole() -> None:
    near = put_together({"audit": report("audit", 10.0), "metrics": report("metrics", -10.0)}, {}, NOW, fresh=False)
    far = put_together({"audit": report("audit", 9000.0), "metrics": report("metrics", -10.0)}, {}, NOW, fresh=False)
    assert far.error_count == near.error_count + 1
    assert next(one for one in far.checks if one.id == "clocks").status == "error"
