"""The runbook's checks of deployments at their borders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.contracts.operations.checklist import Checklist, ChecklistPolicy
from libs.common.contracts.operations.deployments import ArtifactArchive, Deployment, SmokeCheck, SmokeDetail
from libs.common.contracts.operations.guides import Guide
from services.operations.deployments.telling import fact
from services.operations.runbook.deploys import deploy_smoke_checklist, migration_rollback_guide
from services.operations.runbook.readings import Readings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUM = "a" * 64


def checklist(**changed: Any) -> Checklist:
    policy: dict[str, Any] = {
        "environment": "production", "deploy_smoke_recent_hours": 48, "require_runbook_gate": True,
        "rollback_on_failure_recommended": True, "rollback_guide_required": True, "rollback_guide_path": "rollback.md",
        "rollback_guide_exists": True, "rollback_guide_sha256": SUM, "ui_core_path": "/docs", "ui_core_markers": [],
        "version_rule": "",
    }  # fmt: skip
    values: dict[str, Any] = {
        "version": "2026.03.v1", "version_source": "recorded", "signature": "abc", "generated_at": NOW, "steps": [],
    }  # fmt: skip
    for name, value in changed.items():
        (policy if name in policy else values)[name] = value
    return Checklist(**values, policy=ChecklistPolicy(**policy))


def deployment(hours_ago: float = 1, status: Any = "success", **changed: Any) -> Deployment:
    detail: dict[str, Any] = {
        "deploy_id": "d7", "environment": "production", "base_url": "", "version": "", "commit": "",
        "committed_at": None, "rollback": False, "checklist_version": "2026.03.v1",
        "checklist_version_expected": "2026.03.v1", "checklist_version_match": True, "checklist_signature": "abc",
        "checklist_version_source": "next", "rollback_reference": "rollback.md",
        "rollback_reference_expected": "rollback.md", "rollback_reference_match": True,
        "rollback_reference_exists": True, "rollback_reference_sha256": SUM,
        "rollback_reference_expected_sha256": SUM, "rollback_reference_sha256_match": True, "rollback_ready": True,
        "runbook_gate_passed": True, "ui_main_shell_path": "/docs", "ui_main_shell_markers": [],
        "ui_main_shell_checked": True, "ui_main_shell_status": "ok", "notes": "", "checks": [], "recorded_by": "ann",
        "tells_gates": True, "artifact_archive": ArtifactArchive(path="checks", retention_days=30),
    }  # fmt: skip
    at = NOW - timedelta(hours=hours_ago)
    return Deployment(
        run_id=7, status=status, started_at=at, finished_at=at, detail=SmokeDetail(**{**detail, **changed})
    )


def checked(found: Deployment | None, now: Checklist | None = None) -> tuple[str, str]:
    status, message, _ = deploy_smoke_checklist(Readings(NOW, {"deployment": (found, now or checklist())}))
    return status, message


def test_nothing_was_deployed_yet() -> None:
    assert checked(None) == ("warning", "no deployment to production was tested yet")


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (deployment(), "ok", "60 min old"),
        (deployment(-1), "ok", ""),
        (deployment(48), "ok", "48 h"),
        (deployment(48.1), "warning", "it is 48 h old"),
        (deployment(status="critical", checks=[SmokeCheck(id="database", status="critical", message="")]),
         "critical", "failed: database"),
        (deployment(ui_main_shell_status="critical"), "critical", "failed"),
        (deployment(status="warning"), "warning", "ended as warning"),
        (deployment(runbook_gate_passed=False), "warning", "runbook gate"),
        (deployment(rollback_ready=False), "warning", "could not go back"),
        (deployment(checklist_version="2026.02.v1"), "warning", "is now 2026.03.v1"),
        (deployment(ui_main_shell_checked=False, ui_main_shell_status=None), "warning", "main page"),
    ],
)  # fmt: skip
def test_the_newest_smoke_test(found: Deployment, status: str, said: str) -> None:
    assert checked(found)[0] == status
    assert said in checked(found)[1]


def test_the_runbook_gate_may_be_left_away() -> None:
    now = checklist(require_runbook_gate=False)
    assert checked(deployment(runbook_gate_passed=False), now)[0] == "ok"


def test_a_month_that_ends_asks_for_no_other_test_and_another_content_does() -> None:
    later = checklist(version="2026.04.v1", version_source="next")
    assert checked(deployment(), later)[0] == "ok"
    assert fact(deployment(), later)["current_checklist_version"] == "2026.03.v1"
    other = checklist(version="2026.04.v1", signature="other", rollback_guide_sha256="b" * 64)
    assert checked(deployment(), other)[0] == "warning"
    told = fact(deployment(), other)
    assert (told["checklist_version_match"], told["rollback_reference_sha256_match"]) == (False, False)
    assert told["rollback_reference_match"] is True
    by_hand = checklist(version="ours", version_source="setting")
    assert fact(deployment(), by_hand)["checklist_version_match"] is False


def test_a_guide_that_is_gone_matches_nothing() -> None:
    told = fact(deployment(), checklist(rollback_guide_sha256=None, rollback_guide_exists=False))
    assert (told["rollback_reference_match"], told["rollback_reference_sha256_match"]) == (False, False)
    assert fact(deployment(rollback_reference_sha256=None), checklist())["rollback_reference_sha256_match"] is None


def test_the_guide() -> None:
    guide = Guide(
        path="rollback.md", version=2, sha256=SUM, size_bytes=9, reason="", uploaded_at=NOW, uploaded_by="ann"
    )
    for found, status in (((guide, True), "ok"), ((guide, False), "critical"), ((None, False), "critical")):
        assert migration_rollback_guide(Readings(NOW, {"guide": found}))[0] == status
