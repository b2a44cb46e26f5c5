"""`headgate ops check`: what is not ok first, and an exit code that a script can go by."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW


def done(status: str) -> dict[str, Any]:
    checks = [
        {"id": "outbox_age", "status": "ok", "message": "all is sent", "action": "look"},
        {"id": "dead_letters_held", "status": status, "message": "tracker holds 1", "action": "replay it"},
    ]
    archive = {"retention_days": 60, "json_file": "a.json", "csv_file": "a.csv"}
    return {
        "version": "v1", "job_name": "ops_daily_check", "run_id": 7, "checked_at": NOW, "trigger": "api",
        "status": "success" if status == "ok" else status, "overall_status": status, "check_count": 2,
        "warning_count": int(status == "warning"), "critical_count": int(status == "critical"), "site_count": 3,
        "alert": {"level": "critical", "attempted": False}, "archive": archive, "checks": checks,
    }  # fmt: skip


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 0), ("critical", 1)])
def test_the_daily_check(gateway: FakeGateway, tool: Tool, status: str, code: int) -> None:
    gateway.on("POST /api/ops/runbook/checks/run", Says(done(status)))
    result = tool("ops", "check")
    assert result.exit_code == code, result.output
    assert "3 sites were told" in result.stdout
    if status != "ok":
        assert result.stdout.index("dead_letters_held") < result.stdout.index("outbox_age")
        assert "replay it" in result.stdout
    assert "look" not in result.stdout  # what is ok asks for nothing


def posture(level: str) -> dict[str, Any]:
    why = [] if level == "low" else [
        {"rule": "tokens_shared", "count": 9, "points": 90, "raw_points": 90, "message": "9 come from many addresses",
         "action": "give each its own"},
    ]  # fmt: skip
    risk = {"score": 90 if why else 0, "level": level, "complete": True, "missing": [], "why": why}
    guards = [
        {"id": "backup_recent", "status": "ok", "message": "an hour old", "action": "look"},
        {"id": "audit_witnessed", "status": "warning", "message": "one has not", "action": "ask it"},
    ]
    return {"generated_at": NOW, "site": "plant-1", "overall_status": "warning", "risk": risk, "guards": guards,
            "trend": []}  # fmt: skip


@pytest.mark.parametrize(("level", "code"), [("low", 0), ("high", 0), ("critical", 1)])
def test_the_security_of_a_site(gateway: FakeGateway, tool: Tool, level: str, code: int) -> None:
    gateway.on("GET /api/ops/security/posture", Says(posture(level)))
    result = tool("ops", "security", "--site", "plant-1")
    assert result.exit_code == code, result.output
    assert f"{level}  risk of plant-1: score" in result.stdout
    assert ("give each its own" in result.stdout) is (level != "low")
    assert result.stdout.index("audit_witnessed") < result.stdout.index("backup_recent")
    assert "look" not in result.stdout
