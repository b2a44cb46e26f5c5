"""The table by which a recorded smoke test is judged, row by row; and how a checklist gets its version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from libs.common.contracts.operations.deployments import OWN_CHECKS, SmokeRecord
from libs.common.contracts.operations.guides import GuideUpload
from services.operations.deployments.checklist import STEPS
from services.operations.domain.checklists import signature_of, version_of
from services.operations.domain.smokes import GATE_CHECKS, Check, Expected, Judged, Said, judge, word

MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUM, OTHER = "a" * 64, "b" * 64
EXPECTED = Expected(True, "2026.03.v1", "rollback.md", SUM)
GOOD = Said(
    status="success", checks=(Check("ui_main_shell", "ok", ""),), runbook_gate_passed=True, rollback_ready=True,
    checklist_version="2026.03.v1", guide_path="rollback.md", guide_sha256=SUM,
)  # fmt: skip


def judged(expected: Expected = EXPECTED, **changed: Any) -> Judged:
    return judge(replace(GOOD, **changed), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ok", "ok"), ("success", "ok"), ("Healthy", "ok"), ("warning", "warning"), ("warn", "warning"),
        ("degraded", "warning"), ("critical", "critical"), ("failed", "critical"), (" ERROR ", "critical"),
        ("splendid", "warning"), (None, "ok"), ("", "ok"),
    ],
)  # fmt: skip
def test_words_of_status(text: str | None, expected: str) -> None:
    assert word(text) == expected


def test_what_fits_is_a_success() -> None:
    found = judged()
    assert (found.status, found.version_match, found.path_match, found.sha256_match) == ("success", True, True, True)
    assert [(one.id, one.status) for one in found.added] == [
        ("rollback_guide_binding", "ok"),
        ("checklist_version_binding", "ok"),
    ]
    assert judged(status=None).status == "success"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"runbook_gate_passed": False}, "warning"),
        ({"rollback_ready": False}, "warning"),
        ({"checklist_version": "2026.02.v1"}, "warning"),
        ({"checklist_version": ""}, "warning"),
        ({"checks": ()}, "warning"),
        ({"checks": (Check("ui_main_shell", "warning", ""),)}, "warning"),
        ({"checks": (Check("ui_main_shell", "critical", ""),)}, "critical"),
        ({"guide_path": "other.md"}, "warning"),
        ({"guide_path": ""}, "warning"),
        ({"guide_sha256": OTHER}, "warning"),
        ({"guide_sha256": None}, "success"),  # the gate asks for it all the same
        ({"status": "warn"}, "warning"),
        ({"status": "failed"}, "critical"),
        ({"status": "failed", "rollback_ready": False}, "critical"),
        # A status that is better than its own checks is not believed.
        ({"checks": (*GOOD.checks, Check("database", "critical", ""))}, "critical"),
        ({"checks": (*GOOD.checks, Check("database", "warning", ""))}, "warning"),
        ({"checks": (*GOOD.checks, Check("runbook_gate", "critical", ""))}, "success"),
    ],
)
def test_the_table_of_downgrades(changed: dict[str, Any], status: str) -> None:
    assert judged(**changed).status == status


def test_a_guide_that_the_server_does_not_hold_is_critical() -> None:
    found = judged(replace(EXPECTED, guide_sha256=None))
    assert (found.status, found.sha256_match) == ("critical", False)
    assert found.added[0].status == "critical"
    assert "upload it" in found.added[0].message


def test_the_runbook_gate_may_be_left_away() -> None:
    assert judged(replace(EXPECTED, require_runbook_gate=False), runbook_gate_passed=False).status == "success"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"guide_path": "docs/x.md"}, "the guide at hand is docs/x.md"),
        ({"guide_path": ""}, "was not named"),
        ({"guide_sha256": OTHER}, "another version"),
        ({"guide_sha256": None}, "no SHA-256"),
    ],
)
def test_what_the_binding_of_the_guide_says(changed: dict[str, Any], said: str) -> None:
    check = judged(**changed).added[0]
    assert check.status == "warning"
    assert said in check.message


def test_a_page_that_was_not_checked_is_told() -> None:
    found = judged(checks=())
    assert found.ui_status is None
    assert [one.id for one in found.added] == [name for name in OWN_CHECKS if name != "artifact_archive"]


def test_versions_count_by_signature_within_a_month() -> None:
    recorded = [("2026.03.v1", "one"), ("2026.03.v2", "two"), ("2026.02.v9", "three"), ("2026.03.vx", "four")]
    assert version_of(MARCH, "one", []) == ("2026.03.v1", False)
    assert version_of(MARCH, "one", recorded) == ("2026.03.v1", True)
    assert version_of(MARCH, "three", recorded) == ("2026.03.v3", False)
    assert version_of(MARCH.replace(month=4), "one", recorded) == ("2026.04.v1", False)
    assert version_of(MARCH, "new", [("by hand", "new"), ("2026.03.v007", "new")]) == ("2026.03.v1", False)
    assert version_of(MARCH, "one", [*recorded, ("2026.03.v5", "one")]) == ("2026.03.v5", True)


def test_the_signature_is_of_policy_and_steps_and_of_nothing_else() -> None:
    steps = [one.model_dump(mode="json") for one in STEPS]
    before = signature_of({"a": 1, "b": ["x"]}, steps)
    assert signature_of({"b": ["x"], "a": 1}, steps) == before
    assert len(before) == 12
    assert signature_of({"a": 2, "b": ["x"]}, steps) != before
    assert signature_of({"a": 1, "b": ["x"]}, steps[:-1]) != before


def test_the_steps_are_those_of_the_checklist() -> None:
    assert [one.id for one in STEPS] == [
        "pre_01_backup", "pre_02_release_note", "smoke_01_health", "smoke_02_ui_main_shell",
        "smoke_03_auth_and_runbook", "smoke_04_security", "rollback_01_trigger", "rollback_02_checklist",
    ]  # fmt: skip
    assert all(one.required for one in STEPS)
    assert frozenset({"runbook_gate", "runbook_checks"}) == GATE_CHECKS


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.md", "a//b", "a/./b", "", "a\\b", "a\x00b", "x" * 201, " a"])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(ValidationError):
        GuideUpload(path=path, content="x")


@pytest.mark.parametrize(
    "changed",
    [
        {"checks": [{"id": "a"}, {"id": "a"}]},
        {"checks": [{"id": "rollback_guide_binding", "status": "ok"}]},
        {"checks": [{"id": str(number)} for number in range(51)]},
        {"started_at": "2026-03-01T12:00:00Z", "finished_at": "2026-03-01T11:00:00Z"},
        {"started_at": "2026-03-01T12:00:00"},
        {"committed_at": "2026-03-01T12:00:00Z", "finished_at": "2026-03-01T11:00:00Z"},
        {"deploy_id": ""},
        {"checklist": "a typo"},
    ],
)
def test_records_that_can_not_be_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SmokeRecord.model_validate({"deploy_id": "d1", **changed})
