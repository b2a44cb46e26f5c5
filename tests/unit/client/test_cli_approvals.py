"""Approving on the command line: what is seen is what is meant."""

from __future__ import annotations

from typing import Any

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW, gate_run

EVIDENCE = "ab" * 32
STATE: dict[str, Any] = {
    "gate": "first", "site": "global", "subject": "shop", "version": "1.0", "evidence_sha256": EVIDENCE,
    "wanted": [{"count": 2, "have": 1, "roles": ["manager"], "groups": []}],
    "approvals": [{"approval_id": 3, "word": "approved", "username": "bob", "person": "bob", "role": "manager",
                   "groups": [], "reason": "fine", "given_at": NOW, "evidence_sha256": EVIDENCE, "void": ""}],
    "pending": ["Pending approvals: 1 of 2 (roles manager)."], "excluded": ["ann"], "otherwise": [],
}  # fmt: skip
SAID = {**STATE, "approval_id": 3, "run": None}


def test_a_run_is_shown_and_its_evidence_is_sent(gateway: FakeGateway, tool: Tool) -> None:
    run = {**gate_run(), "gate": "first", "subject": "shop", "version": "1.0", "evidence_sha256": EVIDENCE}
    gateway.on("GET /api/gates/first/runs/9", Says(run))
    gateway.on("POST /api/gates/first/approvals", Says(SAID, 201))
    result = tool("gate", "approve", "first", "--run", "9", "--reason", "fine")
    assert result.exit_code == 0, result.output
    sent = {"subject": "shop", "version": "1.0", "evidence_sha256": EVIDENCE, "reason": "fine"}
    assert gateway.asked[1].json == sent
    assert "Pending approvals: 1 of 2" in result.stdout
    other = tool("gate", "approve", "first", "other@1.0", "--run", "9", "--reason", "fine")
    assert (other.exit_code, "not of other@1.0" in other.stderr) == (2, True)
    gateway.on("GET /api/gates/first/runs/9", Says({**run, "evidence_sha256": None}))
    assert "run the gate again" in tool("gate", "approve", "first", "--run", "9", "--reason", "fine").stderr


def test_evidence_alone_is_enough_and_nothing_is_too_little(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("POST /api/gates/first/declines", Says(SAID, 201))
    result = tool("gate", "decline", "first", "shop@1.0", "--evidence", EVIDENCE, "--reason", "no")
    assert (result.exit_code, gateway.asked[0].json["version"]) == (0, "1.0")
    neither = tool("gate", "approve", "first", "shop@1.0", "--reason", "no")
    assert (neither.exit_code, neither.stderr.startswith("headgate: Say what you saw")) == (2, True)


def test_where_it_stands(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("GET /api/gates/first/approvals", Says(STATE))
    shown = tool("gate", "approvals", "first", "shop@1.0").stdout
    for words in (EVIDENCE, "Pending approvals: 1 of 2", "can't approve: ann", "counts"):
        assert words in shown
