"""`headgate deploy smoke` and `guides upload`: what is sent for what was found, and the exit codes of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from libs.client.smoke import bound_guide
from libs.common.contracts.operations.guides import shipped_guide
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import Asked, FakeGateway, Says, refusal
from tests.unit.client.samples import NOW

SUM = hashlib.sha256(shipped_guide()).hexdigest()
RECORD = "POST /api/ops/deploy/smoke/record"
CHECKLIST = {
    "version": "2026.03.v1", "version_source": "next", "signature": "abc", "generated_at": NOW, "steps": [],
    "policy": {
        "environment": "live", "deploy_smoke_recent_hours": 48, "require_runbook_gate": True,
        "rollback_on_failure_recommended": True, "rollback_guide_required": True, "rollback_guide_path": "rollback.md",
        "rollback_guide_exists": True, "rollback_guide_sha256": SUM, "ui_core_path": "/docs",
        "ui_core_markers": ["<title>Headgate"], "version_rule": "",
    },
}  # fmt: skip

ME = {
    "username": "ann", "display_name": "", "role": "operator", "sites": ["*"], "permissions": [], "token_id": 1,
    "expires_at": NOW,
}  # fmt: skip
CHAIN = {
    "valid": True, "checked_count": 501, "from_seq": 200, "to_seq": 700, "head_seq": 700, "head_hash": "0" * 64,
    "first_bad_seq": None, "problem": None, "next_seq": None,
    "verified_at": NOW,
}  # fmt: skip


def preflight(*bad: tuple[str, str], versions: tuple[str, ...] = ("1.2", "1.2")) -> dict[str, Any]:
    checks = [
        {"service": "audit", "id": name, "severity": "error", "status": "ok", "message": ""}
        for name in ("schema", "postgres_durable", "key_audit", "nats_rights")
    ]
    checks += [
        {"service": "audit", "id": name, "severity": "error", "status": "error", "message": said} for name, said in bad
    ]
    services = [
        {"service": name, "spoke_at": NOW, "instance": "a", "headgate_version": version, "overall_status": "ok",
         "error_count": 0, "warning_count": 0, "check_count": 1, "clock_offset_ms": 0, "settings_given": []}
        for name, version in zip(("audit", "tracker"), versions, strict=True)
    ]  # fmt: skip
    return {
        "generated_at": NOW, "refreshed": True, "fail_on_error": False, "overall_status": "ok", "has_error": bool(bad),
        "error_count": len(bad), "warning_count": 0, "check_count": len(checks), "services": services, "checks": checks,
    }  # fmt: skip


def runbook(**words: str) -> dict[str, Any]:
    ids = {"audit_chain_integrity": "ok", "dead_letters_held": "ok", "deploy_smoke_checklist": "critical"} | words
    checks = [
        {"id": name, "status": word, "message": "m", "action": "a", "detail": {"head_seq": 700}}
        for name, word in ids.items()
    ]
    return {"generated_at": NOW, "overall_status": "critical", "check_count": 3, "warning_count": 0,
            "critical_count": 1, "checks": checks}  # fmt: skip


def rehearsal(**changed: Any) -> dict[str, Any]:
    return {
        "run_id": 3, "job_name": "dr_rehearsal", "status": "success", "trigger": "api", "started_at": NOW,
        "finished_at": NOW, "enabled": True, "simulate_restore": True, "restore_valid": True, "backup_file": "b",
        "counts": {}, "backup_s": 1, "rto_s": 1, "rpo_s": 1, "total_s": 3, "size_bytes": 1, "audit_seq": 1,
        "audit_hash": "", "notes": [], "pruned_files": 0, **changed,
    }  # fmt: skip


def recorded(asked: Asked) -> Says:
    """What a server makes of it: as bad as its worst check."""
    sent = asked.json
    words = [one["status"] for one in sent["checks"]]
    worst = "critical" if "critical" in words else "warning" if "warning" in words else "success"
    match = sent["rollback_reference_sha256"] == SUM
    detail = {
        **sent, "checklist_version_expected": "2026.03.v1", "checklist_version_match": True,
        "checklist_signature": "abc", "checklist_version_source": "next", "rollback_reference_expected": "rollback.md",
        "rollback_reference_match": True, "rollback_reference_exists": True,
        "rollback_reference_expected_sha256": SUM, "rollback_reference_sha256_match": match,
        "ui_main_shell_path": "/docs", "ui_main_shell_markers": [], "ui_main_shell_checked": True,
        "ui_main_shell_status": "ok", "recorded_by": "ann", "tells_gates": True, "committed_at": None,
        "artifact_archive": {"path": "checks", "retention_days": 30},
    }  # fmt: skip
    status = worst if match else "warning"
    return Says({"run_id": 7, "status": status, "started_at": NOW, "finished_at": NOW, "detail": detail}, 201)


@pytest.fixture
def well(gateway: FakeGateway) -> FakeGateway:
    """A gateway where nothing is wrong; but the test before this one had failed."""
    gateway.on("GET /api/ops/deploy/checklist", Says(CHECKLIST))
    gateway.on("GET /healthz", Says({"status": "ok"}))
    gateway.on("GET /readyz", Says({"ready": True, "checks": {"postgres": "ok"}, "degraded": []}))
    gateway.on(
        "GET /api/me",
        lambda asked: Says(ME) if "authorization" in asked.headers else refusal(401, "Who are you?"),
    )
    gateway.on("GET /api/ops/preflight", Says(preflight()))
    gateway.on("GET /api/ops/runbook/checks", Says(runbook()))
    gateway.on("GET /api/audit/verify", Says(CHAIN))
    gateway.on("GET /docs", Says(b"<html><title>Headgate</title>", 200, {"Content-Type": "text/html"}))
    gateway.on("GET /api/ops/dr/rehearsal/latest", Says(rehearsal()))
    gateway.on(RECORD, recorded)
    return gateway


def sent(gateway: FakeGateway) -> dict[str, Any]:
    asked = next(one for one in reversed(gateway.asked) if one.path.endswith("/record"))
    body: dict[str, Any] = asked.json
    return body


def test_what_is_well_is_recorded_and_said(well: FakeGateway, tool: Tool) -> None:
    result = tool("deploy", "smoke", "--deploy-id", "d7", "--commit", "abc", "--committed-at", "2026-02-28T09:00:00Z")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("SMOKE_OK\n")
    body = sent(well)
    assert {one["id"]: one["status"] for one in body.pop("checks")} == dict.fromkeys(
        ("health", "readiness", "auth", "database", "posture", "runbook_gate", "audit_chain", "ui_main_shell",
         "rollback_rehearsal"), "ok",
    )  # fmt: skip
    assert body == {
        "deploy_id": "d7", "environment": "live", "base_url": well.url, "started_at": NOW, "version": "1.2",
        "checklist_version": "2026.03.v1", "rollback_reference": "rollback.md", "rollback_reference_sha256": SUM,
        "rollback_ready": True, "runbook_gate_passed": True, "notes": "", "commit": "abc", "rollback": False,
        "committed_at": "2026-02-28T09:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("route", "answer", "check", "status"),
    [
        ("GET /healthz", Says("ok"), "health", "critical"),
        ("GET /readyz", Says({"ready": False, "checks": {"nats": "away"}}, 503), "readiness", "critical"),
        ("GET /readyz", Says({"ready": True, "checks": {}, "degraded": ["audit"]}), "readiness", "critical"),
        ("GET /api/me", Says(ME), "posture", "critical"),
        ("GET /api/ops/preflight", Says(preflight(("postgres_durable", "fsync is off"))), "database", "critical"),
        ("GET /api/ops/preflight", Says(preflight(("schema", "is older"))), "database", "critical"),
        ("GET /api/ops/preflight", Says(preflight(("answers", "is away"))), "database", "critical"),
        ("GET /api/ops/preflight", Says(preflight(versions=("1.2", "1.1"))), "database", "critical"),
        ("GET /api/ops/preflight", Says(preflight(("key_audit", "no key"))), "posture", "critical"),
        ("GET /api/ops/preflight", Says({**preflight(), "checks": []}), "posture", "critical"),
        ("GET /api/ops/runbook/checks", Says(runbook(dead_letters_held="critical")), "runbook_gate", "critical"),
        ("GET /api/ops/runbook/checks", refusal(503, "too slow"), "runbook_gate", "critical"),
        ("GET /api/audit/verify", Says({**CHAIN, "valid": False, "problem": "broken"}), "audit_chain", "critical"),
        ("GET /docs", Says(b"<html>welcome to nginx"), "ui_main_shell", "warning"),
        ("GET /docs", refusal(404, "no page"), "ui_main_shell", "critical"),
        ("GET /api/ops/dr/rehearsal/latest", refusal(404, "none"), "rollback_rehearsal", "warning"),
        ("GET /api/ops/dr/rehearsal/latest", Says(rehearsal(restore_valid=False)), "rollback_rehearsal", "warning"),
        ("GET /api/ops/dr/rehearsal/latest", Says(rehearsal(finished_at="2020-01-01T00:00:00Z")),
         "rollback_rehearsal", "warning"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_found_and_recorded(
    well: FakeGateway, tool: Tool, route: str, answer: Says, check: str, status: str
) -> None:
    well.on(route, answer)
    result = tool("deploy", "smoke", "--deploy-id", "d7")
    body = sent(well)
    assert {one["id"]: one["status"] for one in body["checks"]}[check] == status, body
    assert (result.exit_code, "SMOKE_OK" in result.output) == (1, False), result.output
    assert body["runbook_gate_passed"] is (check != "runbook_gate")
    assert body["rollback_ready"] is (check != "rollback_rehearsal")


def test_who_may_not_verify_the_log_goes_by_the_runbook(well: FakeGateway, tool: Tool) -> None:
    well.on("GET /api/audit/verify", refusal(403, "no"))
    assert tool("deploy", "smoke", "--deploy-id", "d7").exit_code == 0
    well.on("GET /api/ops/runbook/checks", Says(runbook(audit_chain_integrity="warning")))
    assert tool("deploy", "smoke", "--deploy-id", "d7").exit_code == 1


def test_what_can_not_be_judged_or_recorded_ends_with_2(well: FakeGateway, tool: Tool) -> None:
    well.on(RECORD, refusal(422, "set the clock"))
    assert tool("deploy", "smoke", "--deploy-id", "d7").exit_code == 2
    well.on("GET /api/ops/deploy/checklist", refusal(403, "you may not"))
    assert tool("deploy", "smoke", "--deploy-id", "d7").exit_code == 2
    assert tool("deploy", "smoke", "--deploy-id", "d7", "--rollback-guide", "/nowhere.md").exit_code == 2
    assert tool("deploy", "smoke", "--deploy-id", "d7", "--committed-at", "yesterday").exit_code == 2
    assert tool("deploy", "smoke", "--deploy-id", "d7", "--url", "http://127.0.0.1:9").exit_code == 2
    assert tool("deploy", "smoke").exit_code == 2


def test_a_persons_word_on_going_back_counts(well: FakeGateway, tool: Tool) -> None:
    tool("deploy", "smoke", "--deploy-id", "d7", "--not-rollback-ready", "--rollback", "--environment", "staging")
    body = sent(well)
    assert (body["rollback_ready"], body["rollback"], body["environment"]) == (False, True, "staging")


def test_another_guide_is_bound_as_it_is(well: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    guide = tmp_path / "rollback.md"
    guide.write_text("ours")
    result = tool("deploy", "smoke", "--deploy-id", "d7", "--rollback-guide", str(guide), "--json")
    assert sent(well)["rollback_reference_sha256"] == hashlib.sha256(b"ours").hexdigest()
    assert (result.exit_code, "headgate guides get" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("file", "expected", "path"),
    [
        ("/a/b/docs/back.md", "docs/back.md", "docs/back.md"),
        ("docs/back.md", "docs/back.md", "docs/back.md"),
        ("other/back.md", "docs/back.md", "other/back.md"),
        ("/a/xdocs/back.md", "docs/back.md", "/a/xdocs/back.md"),
        ("back.md", "docs/back.md", "back.md"),
    ],
)
def test_which_guide_a_file_is(file: str, expected: str, path: str) -> None:
    assert bound_guide(file, b"x", expected)["rollback_reference"] == path
    assert bound_guide(None, None, expected)["rollback_reference"] == "rollback.md"


def test_it_waits_until_it_is_ready(well: FakeGateway, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.client.commands.deploy.POLL_S", 0.01)
    starting = Says({"ready": True, "checks": {}, "degraded": ["audit"]})
    ready = Says({"ready": True, "checks": {}, "degraded": []})
    well.on("GET /readyz", Says({"ready": False, "checks": {}}, 503), starting, ready)
    assert tool("deploy", "smoke", "--deploy-id", "d7", "--wait", "30s").exit_code == 0
    assert tool("deploy", "smoke", "--deploy-id", "d7", "--wait", "soon").exit_code == 2


def test_a_guide_is_uploaded_under_the_path_that_is_expected(well: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    guide = {"path": "rollback.md", "version": 2, "sha256": SUM, "size_bytes": 3, "reason": "", "uploaded_at": NOW,
             "uploaded_by": "ann"}  # fmt: skip
    well.on("POST /api/ops/deploy/guides", Says({"guide": guide, "changed": True}, 201))
    file = tmp_path / "x.md"
    file.write_bytes("back\r\n되".encode())
    result = tool("guides", "upload", str(file), "--reason", "clearer")
    assert (result.exit_code, "version 2" in result.stdout) == (0, True), result.output
    asked = well.asked[-1].json
    assert asked == {"path": "rollback.md", "content": "back\r\n되", "reason": "clearer"}
    file.write_bytes(b"\xff\xfe")
    assert tool("guides", "upload", str(file)).exit_code == 2
    file.write_bytes(b"x" * (256 * 1024 + 1))
    assert tool("guides", "upload", str(file)).exit_code == 2
    assert tool("guides", "upload", str(tmp_path / "none")).exit_code == 2
