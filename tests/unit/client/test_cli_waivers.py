"""Waivers and capsules on the command line: until when, by whose word, and how a person names a run."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW, gate_run

WAIVER: dict[str, Any] = {
    "waiver_id": 7, "site": "global", "gate": "first", "subject": "shop", "version": "1.0", "rule_id": "tests_pass",
    "fingerprint": "", "without_evidence": False, "reason": "no voucher is out", "issue": "SHOP-12",
    "state": "requested", "requested_by": "owner", "requested_at": NOW, "ends_at": "2026-03-08T09:00:00Z",
}  # fmt: skip
APPROVED = {**WAIVER, "state": "approved", "decided_by": "ann", "decided_at": NOW, "decision_reason": "asked"}
ASK = ("waivers", "request", "--gate", "first", "--rule-id", "tests_pass", "--subject", "shop", "--reason", "x")
RUNS = "/api/gates/first/runs"


def test_a_request_says_who_must_act_next(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("POST /api/waivers", Says(WAIVER, 201))
    result = tool(*ASK, "--ends-at", "+7d")
    assert result.exit_code == 0, result.output
    ends_at = datetime.fromisoformat(gateway.asked[0].json["ends_at"])
    assert abs(ends_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)
    assert "until     2026-03-08 09:00:00Z" in result.stdout
    assert "Somebody else must approve it: headgate waivers approve 7 --reason …" in result.stdout
    refused = tool(*ASK, "--ends-at", "next week")
    assert (refused.exit_code, len(gateway.asked)) == (2, 1)
    assert refused.stderr.startswith("headgate: --ends-at: 'next week' is no time with a zone; write one such as ")


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({**APPROVED, "in_force": True}, ("in force", "approved by  ann, 2026-03-01 09:00:00Z: asked")),
        (APPROVED, ("over", "approved by  ann")),
        ({**APPROVED, "state": "declined"}, ("declined", "declined by  ann")),
        (
            {**APPROVED, "state": "revoked", "ended_by": "bob", "ended_at": NOW, "end_reason": "mended"},
            ("approved by  ann", "revoked by   bob, 2026-03-01 09:00:00Z: mended"),
        ),
        ({**WAIVER, "fingerprint": "f1"}, ("tests_pass: f1",)),
    ],
)
def test_its_state_and_who_decided(
    gateway: FakeGateway, tool: Tool, shown: dict[str, Any], words: tuple[str, ...]
) -> None:
    gateway.on("GET /api/waivers/7", Says(shown))
    result = tool("waivers", "show", "7")
    for word in words:
        assert word in result.stdout, result.stdout
    gateway.on("GET /api/waivers", Says({"items": [shown], "next_cursor": None}))
    listed = tool("waivers", "list").stdout.splitlines()
    assert listed[0].split()[:3] == ["waiver", "state", "gate"]
    assert "shop 1.0" in listed[1]


def test_a_verdict_shows_its_waivers(gateway: FakeGateway, tool: Tool) -> None:
    run = gate_run("go", status="warning")
    used = {"waiver_id": 7, "reason": "known.", "requested_by": "owner", "approved_by": "ann", "issue": "SHOP-12",
            "ends_at": WAIVER["ends_at"]}  # fmt: skip
    run["rules"][0] |= {"status": "waived", "passed": False, "waivers": [used]}
    gateway.on("POST /api/gates/release/runs", Says(run, 201))
    shown = tool("gate", "run", "release", "app@1.0")
    assert shown.stdout.startswith("GO WITH WARNINGS  release gate, app 1.0")
    assert "Waived until 2026-03-08 09:00:00Z by ann (waiver 7, SHOP-12): known." in " ".join(shown.stdout.split())
    used["fingerprint"] = "f1"
    gateway.on("GET /api/gates/release/runs/3", Says(run))
    gateway.on("GET /api/ops/governance/gate/remediation/tracker/items", Says([]))
    explained = tool("gate", "explain", "release", "3")
    assert "  waived        until 2026-03-08 09:00:00Z by ann for f1 (waiver 7, SHOP-12): known" in explained.stdout


def test_a_capsule_is_of_the_newest_run_or_of_the_one_given(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    content = b'{"body":{}}'
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
        "Content-Type": "application/json",
        "Content-Disposition": 'attachment; filename="capsule-first-3.json"',
    }
    gateway.on(f"GET {RUNS}", Says({"items": [gate_run()]}))
    gateway.on(f"GET {RUNS}/3/capsule", Says(content, headers=headers))
    output = tmp_path / "capsule.json"
    result = tool("gate", "capsule", "first", "app@1.0", "--output", str(output))
    assert result.exit_code == 0, result.output
    assert gateway.asked[0].query == {"limit": ["1"], "subject": ["app"], "version": ["1.0"]}
    assert output.read_bytes() == content
    assert "11 bytes (capsule-first-3.json)" in result.stdout
    assert tool("gate", "capsule", "first", "3").stdout == content.decode()
    assert [asked.path for asked in gateway.asked] == [RUNS, f"{RUNS}/3/capsule", f"{RUNS}/3/capsule"]
    gateway.on(f"GET {RUNS}", Says({"items": []}))
    none = tool("gate", "capsule", "first")
    assert (none.exit_code, "has not judged this yet" in none.stderr) == (2, True)
