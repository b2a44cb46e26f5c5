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
