"""`headgate gate baseline accept`: asking that known findings are accepted, where one looks for it at a gate."""

from __future__ import annotations

import pytest

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW

ACCEPT = "POST /api/gates/release/baselines"
ASKED = {
    "accepted_id": 3, "site": "north", "gate": "release", "subject": "app", "line": "", "version": "1.0",
    "finding_count": 312, "vanished_count": 1, "parts": [], "reason": "known", "issue": "OPS-1", "state": "requested",
    "requested_by": "ann", "requested_at": NOW, "ends_at": "2026-03-08T09:00:00Z",
}  # fmt: skip


def test_the_findings_of_a_version_are_asked_for_until_a_day(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(ACCEPT, Says(ASKED, 201))
    until = ("--until", "2026-03-08T09:00:00Z", "--reason", "known")
    result = tool("gate", "baseline", "accept", "app@1.0", *until, "--issue", "OPS-1", "--site", "north")
    assert result.exit_code == 0, result.output
    assert "312 findings, 1 vanished test" in result.stdout
    assert "headgate baselines approve 3" in result.stdout
    (asked,) = gateway.asked
    assert asked.query == {"site": ["north"]}
    assert asked.json == {
        "subject": "app", "version": "1.0", "ends_at": "2026-03-08T09:00:00Z", "reason": "known", "issue": "OPS-1",
    }  # fmt: skip


@pytest.mark.parametrize("until", ["tomorrow", "2026-03-08"])
def test_an_end_that_is_none_is_said_before_anything_is_sent(gateway: FakeGateway, tool: Tool, until: str) -> None:
    result = tool("gate", "baseline", "accept", "app@1.0", "--until", until, "--reason", "known")
    assert result.exit_code == 2
    assert "is no time with a zone" in result.stderr
    assert gateway.asked == []
