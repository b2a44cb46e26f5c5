"""The tool and policies: a file is checked without any server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from libs.client.commands import policies
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.governance.samples import tiny_policy

COUNTS = {
    "backtest_id": 3, "gate": "tiny", "site": "north", "digest": "d", "last_count": 400, "total_count": 400,
    "to_no_go_count": 1, "to_go_count": 0, "without_capsule_count": 7, "unreadable_count": 0, "unbound_count": 0,
    "unread_kinds": ["ops.dr"], "asked_by": "ann", "asked_at": "2026-03-01T12:00:00Z", "reason": "",
}  # fmt: skip
RUNNING = COUNTS | {
    "state": "running", "done_count": 107, "judged_count": 100, "flip_count": 0, "finished_at": None, "flips": [],
    "left_out_count": 0,
}  # fmt: skip
FLIP = {
    "run_id": 41, "subject": "app", "version": "1.2", "decided_at": "2026-03-01T11:00:00Z", "before": "GO",
    "after": "NO_GO", "reasons": [], "unread_kinds": [],
    "rules": [{"id": "one", "before": "pass", "after": "fail", "message": "1 error; wanted 0."}],
}  # fmt: skip
DONE = RUNNING | {
    "state": "done", "done_count": 400, "judged_count": 393, "flip_count": 1, "finished_at": "2026-03-01T12:00:09Z",
    "flips": [FLIP],
}  # fmt: skip
NO_DATA = b"\ntests: [{name: no data, facts: [], expect: {decision: %s}}]"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (tiny_policy() + NO_DATA % b"no_go", 0, "tiny.yaml may be published; 1 test passed."),
        (tiny_policy(), 0, "tiny.yaml may be published; it has no tests of its own."),
        (tiny_policy() + NO_DATA % b"go", 1, "tiny.yaml: test no data: the decision is no_go, expected go"),
        (tiny_policy(required="    severity: advisory"), 1, "no rule is both required and enforced"),
        (tiny_policy(condition="    condition: facst"), 1, "rule one: condition, column 1"),
        (b"x" * 530_000, 1, "at most 524288 are read"),
        (b"\xff", 1, "not readable as UTF-8 YAML"),
    ],
)
def test_a_file_is_checked_without_a_server(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, content: bytes, code: int, words: str
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_bytes(content)
    result = tool("policies", "lint", str(file))
    assert result.exit_code == code, result.output
    assert words in result.stdout.replace("\n", " ")
    assert bool(json.loads(tool("policies", "lint", str(file), "--json").stdout)["problems"]) is bool(code)
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (tiny_policy() + NO_DATA % b"no_go", 0, "passed no data"),
        (tiny_policy() + NO_DATA % b"go", 1, "failed no data tiny.yaml: test no data: the decision is no_go"),
        (tiny_policy(), 1, "tiny.yaml has no tests"),
        (tiny_policy(condition="    condition: facst"), 1, "rule one: condition, column 1"),
    ],
)
def test_the_tests_of_a_file_run_without_a_server(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, content: bytes, code: int, words: str
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_bytes(content)
    result = tool("policy", "test", str(file))
    assert result.exit_code == code, result.output
    assert words in " ".join(result.stdout.split())
    assert bool(json.loads(tool("policies", "test", str(file), "--json").stdout)["problems"]) is bool(code)
    assert gateway.asked == []


def test_the_schema_for_editors_needs_no_server(gateway: FakeGateway, tool: Tool) -> None:
    assert "rules" in json.loads(tool("policies", "schema").stdout)["properties"]
    assert gateway.asked == []


def test_a_file_is_compared_with_what_is_in_force(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_bytes(tiny_policy().replace(b"weight: 1", b"weight: 2"))
    etag = f'"{hashlib.sha256(tiny_policy()).hexdigest()}"'
    gateway.on("GET /api/policies/tiny/yaml", Says(tiny_policy(), headers={"ETag": etag}))
    result = tool("policies", "diff", "tiny", "--file", str(file), "--site", "north")
    assert result.exit_code == 1, result.output
    changed = [line for line in result.stdout.splitlines() if line[:1] in "+-"]
    assert [line.split() for line in changed[2:]] == [["-", "weight:", "1"], ["+", "weight:", "2"]], result.output
    file.write_bytes(tiny_policy())
    assert tool("policies", "diff", "tiny", "--file", str(file)).exit_code == 0
    assert "Give a version" in tool("policies", "diff", "tiny").stderr


def test_what_can_not_be_read_is_no_verdict(tool: Tool, tmp_path: Path) -> None:
    assert tool("policies", "lint", str(tmp_path / "none.yaml")).exit_code == 2
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    assert tool("policies", "push", str(broken), "--reason", "x").exit_code != 0


def test_a_backtest_is_followed_to_its_end(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "POLL_S", 0)
    file = tmp_path / "tiny.yaml"
    file.write_bytes(tiny_policy())
    gateway.on("POST /api/policies/tiny/backtests", Says(RUNNING, 201))
    gateway.on("GET /api/policies/tiny/backtests/3", Says(RUNNING), Says(DONE))
    result = tool("policies", "backtest", "tiny", "--file", str(file), "--last", "400", "--site", "north")
    assert result.exit_code == 0, result.output
    assert [one.method for one in gateway.asked] == ["POST", "GET", "GET"]
    assert gateway.asked[0].json == {"content": tiny_policy().decode(), "last_count": 400}
    shown = " ".join(result.stdout.split())
    assert "393 of 400 decisions judged again, 1 verdicts differ (1 to NO_GO, 0 to GO)." in shown
    assert "41 app@1.2 GO NO_GO one (pass to fail): 1 error; wanted 0." in shown
    assert "7 were decided before capsules were kept. Of kinds that policies did not read then" in shown
    gateway.on("GET /api/policies/tiny/backtests/3", Says(DONE | {"state": "failed", "reason": "It no longer fits"}))
    failed = tool("policies", "backtest", "tiny")
    assert (failed.exit_code, "It no longer fits" in failed.output) == (1, True)
    assert gateway.asked[-2].json == {"last_count": 1000}


def test_a_keptn_file_becomes_a_policy_that_lints(tool: Tool, tmp_path: Path) -> None:
    slo, kinds, policy = tmp_path / "slo.yaml", tmp_path / "kinds.json", tmp_path / "shop.yaml"
    slo.write_text(
        "objectives: [{sli: errors, pass: [{criteria: ['<5', '<=+10%']}]}, {sli: cpu}]\ntotal_score: {pass: 90%}\n"
    )
    words = ("policies", "import-keptn", str(slo), "--name", "shop")
    made = tool(*words, "--kinds-out", str(kinds))
    assert (made.exit_code, "cpu has no criteria to pass" in made.stderr) == (0, True), made.output
    policy.write_text(made.stdout)
    linted = tool("policies", "lint", str(policy), "--kinds", str(kinds))
    assert (linted.exit_code, "may be published" in linted.stdout) == (0, True), linted.output
    assert tool("policies", "lint", str(policy)).exit_code == 1
    shown = json.loads(tool(*words, "--json").stdout)
    assert (shown["policy"], shown["kinds"][0]["name"]) == (made.stdout, "keptn.shop")
    slo.write_text("objectives: [{sli: errors, pass: [{criteria: ['<many']}]}]\ntotal_score: {pass: 90%}\n")
    refused = tool(*words)
    assert (refused.exit_code, "'<many' of errors can't be read" in refused.stdout) == (1, True), refused.output
    assert tool(*words, "--kinds-out", str(tmp_path / "no" / "where.json")).exit_code == 1
    assert tool("policies", "import-keptn", str(tmp_path / "none.yaml"), "--name", "shop").exit_code == 2
    assert tool("policies", "import-keptn", str(slo), "--name", "Not A Gate").exit_code == 1
