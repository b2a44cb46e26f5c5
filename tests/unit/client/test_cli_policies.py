"""The tool and policies: a file is checked without any server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway
from tests.unit.governance.samples import tiny_policy

NO_DATA = b"\ntests: [{name: no data, facts: [], expect: {decision: %s}}]"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (tiny_policy() + NO_DATA % b"no_go", 0, "tiny.yaml may be published; 1 tests passed."),
        (tiny_policy() + NO_DATA % b"go", 1, "tiny.yaml: test no data: the decision is no_go, expected go"),
        (tiny_policy(required="    severity: advisory"), 1, "no rule is both required and enforced"),
        (tiny_policy(condition="    condition: facst"), 1, "rule one: condition, column 1"),
        (b"x" * 70_000, 1, "at most 65536 are read"),
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


def test_what_can_not_be_read_is_no_verdict(tool: Tool, tmp_path: Path) -> None:
    assert tool("policies", "lint", str(tmp_path / "none.yaml")).exit_code == 2
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    assert tool("policies", "push", str(broken), "--reason", "x").exit_code != 0
