"""Months at their borders, and which deployments a review finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.operations.deployments.reviews import Outstanding
from services.operations.domain.reviews import before, candidate, month_of, problems, window
from services.operations.runbook.deploys import runbook_critical_monthly_review
from services.operations.runbook.readings import Readings

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_months() -> None:
    assert window("2026-12") == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert window("2026-02")[1] == NOW
    assert (before("2026-01"), before("2026-03")) == ("2025-12", "2026-02")
    assert month_of(NOW - timedelta(microseconds=1)) == "2026-02"
    assert month_of(datetime(2026, 3, 1, 8, tzinfo=timezone(timedelta(hours=9)))) == "2026-02"


@pytest.mark.parametrize(
    ("status", "gate_passed", "checks", "kind"),
    [
        ("success", True, {"ui": "ok"}, None),
        ("success", True, {"ui": "warning"}, None),  # the test was a success all the same
        ("warning", True, {"ui": "warning"}, "false_negative"),
        ("critical", True, {"ui": "critical"}, "false_negative"),
        ("warning", True, {"ui": "ok"}, None),
        ("critical", True, {"fatal": "critical", "runbook_gate": "critical", "runbook_checks": "warning"}, None),
        ("warning", False, {"ui": "ok", "runbook_gate": "critical"}, "false_positive"),
        ("success", False, {}, "false_positive"),
        ("warning", False, {"ui": "warning"}, None),
    ],
)
def test_where_runbook_and_test_do_not_agree(
    status: str, gate_passed: bool, checks: dict[str, str], kind: str | None
) -> None:
    assert candidate(status, gate_passed=gate_passed, found=problems(checks.items())) == kind


@pytest.mark.parametrize(
    ("open_", "status", "said"),
    [
        (Outstanding([], {}), "ok", "no past month"),
        (Outstanding(["2026-02"], {}), "warning", "2026-02 was not reviewed"),
        (Outstanding([], {"2026-01": 1, "2026-02": 2}), "warning", "1 of 2026-01 waits for a word, 2 of 2026-02 wait"),
    ],
)
def test_the_runbook_says_what_people_have_not_done(open_: Outstanding, status: str, said: str) -> None:
    found = runbook_critical_monthly_review(Readings(NOW, {"reviews": open_}))
    assert found[0] == status
    assert said in found[1]
