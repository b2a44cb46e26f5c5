"""`headgate gate run --wait`: what is missing is waited for, what failed is not."""

from __future__ import annotations

from typing import Any

import pytest

from libs.client import waiting
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW, gate_run

RUN = "POST /api/gates/release/runs"
FORECAST = "GET /api/gates/release/forecast"
ABSENT = "No test report of version 1.0 was received; wanted one at most 24 hours old."


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.01)


def lacking(reason: str = ABSENT, **changed: Any) -> dict[str, Any]:
    """A NO-GO because something has not come."""
    run = gate_run("no_go", reasons=[reason], **changed)
    run["rules"][0] |= {"has_evidence": False, "message": reason}
    return run


def ahead(decision: str, *reasons: str) -> Says:
    """A forecast that says this of now."""
    word = "GO" if decision == "go" else "NO_GO"
    at = {"at": NOW, "decision": decision, "verdict": word, "weighted_score_percent": 0, "reasons": list(reasons)}
    return Says(
        {
            "gate": "release", "site": "north", "subject": "app", "version": "1.0", "now": at, "then": at,
            "breaks_at": None, "known_until": NOW, "held": None, "turns": [], "renewals": [], "repairs": [],
        }
    )  # fmt: skip


def test_it_runs_again_when_what_was_missing_has_come(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(RUN, Says(lacking(), 201), Says(gate_run(run_id=4), 201))
    gateway.on(FORECAST, ahead("no_go", ABSENT), ahead("no_go", ABSENT.replace("24", "25")), ahead("go"))
    result = tool("gate", "run", "release", "app@1.0", "--wait", "1m", "--site", "north")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("GO")
    assert result.stderr.count("waiting for: No test report of version 1.0") == 1
    asked = [one for one in gateway.asked if one.method == "GET"]
    assert asked[0].query == {"subject": ["app"], "version": ["1.0"], "site": ["north"]}
    assert [one.method for one in gateway.asked] == ["POST", "GET", "GET", "GET", "POST"]


def test_what_failed_is_not_waited_for(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(RUN, Says(gate_run("no_go"), 201))
    result = tool("gate", "run", "release", "app@1.0", "--wait", "15m")
    assert (result.exit_code, len(gateway.asked)) == (1, 1), result.output
    assert "not waiting, since this failed by what is there: tests_passed" in result.stderr


def test_what_comes_and_fails_ends_the_waiting(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(RUN, Says(lacking(), 201), Says(gate_run("no_go", run_id=4), 201))
    gateway.on(FORECAST, ahead("no_go", "2 of 5 tests failed; wanted 0 failed."))
    result = tool("gate", "run", "release", "app@1.0", "--wait", "15m")
    assert result.exit_code == 1
    assert [one.method for one in gateway.asked] == ["POST", "GET", "POST"]
    assert "tests_passed" in result.stderr


def test_a_freeze_is_waited_for_and_the_time_ends(gateway: FakeGateway, tool: Tool) -> None:
    hold = {"kind": "freeze", "message": "Frozen until Monday.", "until": NOW}
    run = gate_run(holds=[hold], reasons=["Frozen until Monday."]) | {"decision": "no_go", "status": "critical"}
    gateway.on(RUN, Says(run, 201))
    gateway.on(FORECAST, ahead("no_go", "Frozen until Monday."))
    result = tool("gate", "run", "release", "app@1.0", "--wait", "1s")
    assert result.exit_code == 1
    assert "the time to wait is over" in result.stderr
    assert [one.method for one in gateway.asked].count("POST") == 1


@pytest.mark.parametrize("wait", ["0s", "25h", "10", "soon", "-5m", "99999h"])
def test_a_time_that_is_none_is_said_before_anything_is_sent(gateway: FakeGateway, tool: Tool, wait: str) -> None:
    result = tool("gate", "run", "release", "app@1.0", f"--wait={wait}")
    assert result.exit_code == 2
    assert "write 30s, 15m or 2h" in result.stderr
    assert gateway.asked == []
