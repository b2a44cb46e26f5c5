"""What `gate explain` says of facts, trend and changes, in the terminal and as Markdown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.client.views.explained import age, pairs, since_last_go
from libs.client.views.markdown import summary
from libs.common.contracts.governance.explanations import Explanation
from libs.common.contracts.governance.runs import GateRun
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import gate_run

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(**more: Any) -> Explanation:
    fact = {"kind": "test.junit", "part": "unit", "version": "1.1", "source": "/ci", "actor": "ann", "time": NOW}
    points = [
        {"run_id": n, "version": "1", "decided_at": NOW + timedelta(hours=n), "status": status, "values": {"failed": n}}
        for n, status in enumerate(("pass", "waived", "fail"))
    ]
    rule = {
        "rule_id": "tests", "status": "fail", "before": "pass", "observed": "2 failed", "observed_before": "0 failed",
        "wanted": "0", "gone": [], "facts_left_out": 3, "waivers": [], "waivers_ended": [], "trend": points,
        "facts": [{**fact, "signal_id": 7, "age_hours": 0.5, "is_new": True},
                  {**fact, "signal_id": 9, "age_hours": 100, "replaces": 4}],
    }  # fmt: skip
    about = {"run_id": 3, "gate": "release", "site": "global", "subject": "app", "version": "1.1", "line": "",
             "decision": "no_go", "verdict": "NO_GO", "decided_at": NOW, "rules": [rule]}  # fmt: skip
    before = {"run_id": 1, "version": "1.0", "decided_at": NOW, "policy_version": 1, "site_policy_version": 0}
    return Explanation.model_validate(
        {**about, "last_go": before, "changes": ["tests turned from pass to <b>fail</b>\x1b[31m."], **more}
    )


def test_facts_and_trend_stand_below_their_rule() -> None:
    said = {name.strip(): str(text) for name, text in pairs(told().rules[0])}
    assert said["facts"].splitlines() == [
        "signal 7: test.junit unit by ann, /ci, 30 min old; new since the last GO",
        "signal 9: test.junit unit by ann, /ci, 4.2 days old; was signal 4",
        "and 3 more",
    ]
    assert said["trend"].splitlines() == ["+w-", "failed: 0 1 2"]
    assert [age(hours) for hours in (0, 1, 47, 48)] == ["0 min", "1.0 h", "47.0 h", "2.0 days"]


def test_what_changed_is_said_without_control_characters() -> None:
    lines = [str(line) for line in since_last_go(told())]
    assert lines[0].startswith("Since the last GO (run 1, version 1.0, ")
    assert "\x1b" not in lines[1]
    assert [str(line) for line in since_last_go(told(last_go=None))] == ["It never was GO before."]
    assert "no rule turned" in str(since_last_go(told(changes=[]))[1])


def test_markdown_takes_it_by_its_word() -> None:
    run = GateRun.model_validate(gate_run())
    text = summary(run, told())
    assert "&#60;b&#62;fail" in text
    assert "<b>" not in text
    assert "It never was GO before." in summary(run, told(last_go=None))
    assert "last GO" not in summary(run)


def test_the_tool_shows_it_and_keeps_the_verdicts_json(gateway: FakeGateway, tool: Tool) -> None:
    path = "/api/gates/release/runs/3"
    gateway.on(f"GET {path}", Says(gate_run("no_go")))
    explained = json.loads(told().model_dump_json())
    gateway.on(f"GET {path}/explanation", Says(explained))
    shown = tool("gate", "explain", "release", "3").stdout
    assert "Since the last GO (run 1, version 1.0" in shown
    assert json.loads(tool("gate", "explain", "release", "3", "--json").stdout) == {
        **gate_run("no_go"),
        "explanation": explained,
    }
    assert "&#60;b&#62;fail" in tool("gate", "explain", "release", "3", "--markdown").stdout
    gateway.on(f"GET {path}/explanation", refusal(404, "An older server knows no explanations."))
    assert "last GO" not in tool("gate", "explain", "release", "3").stdout
    gateway.on(f"GET {path}/explanation", refusal(503, "Later."))
    assert tool("gate", "explain", "release", "3").exit_code == 2
