"""`headgate gate watch`: what is shown as verdicts come and GOs end."""

from __future__ import annotations

import json

import pytest

from libs.client.commands import watching
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import NOW, gate_run

RUNS = "GET /api/gates/release/runs"
ADMIT = "POST /api/gates/release/admit"
OVER = {
    "admitted": False, "gate": "release", "site": "global", "subject": "app", "version": "1.0", "checked_at": NOW,
    "run_id": 5, "reasons": ["The newest test report is 25 hours old; wanted at most 24 hours old."],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0)


def test_each_new_verdict_is_shown_once_until_one_is_go(gateway: FakeGateway, tool: Tool) -> None:
    first, second, third = gate_run("no_go", reasons=["2 of 5 tests failed."]), gate_run("no_go", run_id=4), gate_run()
    third |= {"run_id": 5, "valid_until": "2026-03-02T09:00:00Z"}
    gateway.on(
        RUNS,
        Says({"items": [first, gate_run("no_go", run_id=1)]}),
        Says({"items": [first]}),
        Says({"items": [third, second, first]}),
    )
    result = tool("gate", "watch", "release", "app@1.0", "--until-go")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if " gate, app 1.0" in line]
    assert [line.split()[0] for line in lines] == ["NO-GO", "NO-GO", "GO"]
    assert "2 of 5 tests failed." in result.stdout
    assert "holds until 2026-03-02" in result.stdout
    assert gateway.asked[0].query == {"limit": ["50"], "subject": ["app"], "version": ["1.0"]}


def test_a_go_that_is_over_is_told_once(gateway: FakeGateway, tool: Tool) -> None:
    page = Says({"items": [gate_run(run_id=5)]})
    gateway.on(RUNS, page, page, page, refusal(403, "Your token may not read gates."))
    gateway.on(ADMIT, Says(OVER | {"admitted": True, "reasons": []}), refusal(503, "Down."), Says(OVER))
    result = tool("gate", "watch", "release")
    assert result.exit_code == 2, result.output
    assert "Your token may not read gates." in result.stderr
    assert result.stdout.count("GO IS OVER") == 1
    assert "25 hours old" in result.stdout
    assert json.loads(next(one for one in gateway.asked if one.method == "POST").body) == {
        "subject": "app",
        "version": "1.0",
    }


def test_it_says_that_it_waits_for_the_first_verdict(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(RUNS, Says({"items": []}), Says({"items": []}), Says({"items": [gate_run()]}))
    result = tool("gate", "watch", "release", "--until-go")
    assert result.exit_code == 0
    assert result.stderr.count("nothing was judged yet") == 1
