"""When a mean time to recovery is a breach, and when a breach is told again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notifier.domain.mttr_slo import cooldown_left_minutes, reasons

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, ["mttr"]),
        ({"mttr_minutes": 45.0}, []),  # above, not at
        ({"mttr_minutes": 45.01}, ["mttr"]),
        ({"incident_count": 4}, []),
        ({"mttr_minutes": None}, []),  # nothing has recovered: no mean
        ({"enabled": False, "open_since": NOW - timedelta(days=9)}, []),
        # One that never recovers is in no mean, however many there are.
        ({"incident_count": 1, "mttr_minutes": None, "open_since": NOW - timedelta(minutes=46)}, ["open_outage"]),
        ({"mttr_minutes": None, "open_since": NOW - timedelta(minutes=45)}, []),
        ({"open_since": NOW - timedelta(days=2)}, ["mttr", "open_outage"]),
    ],
)
def test_reasons(changed: dict[str, Any], wanted: list[str]) -> None:
    given: dict[str, Any] = {
        "enabled": True, "min_incidents": 5, "threshold_minutes": 45, "incident_count": 5, "mttr_minutes": 60.0,
        "open_since": None, "now": NOW,
    }  # fmt: skip
    assert reasons(**given | changed) == wanted


@pytest.mark.parametrize(
    ("minutes_ago", "cooldown", "left"),
    [(None, 120, 0.0), (0, 120, 120.0), (119.5, 120, 0.5), (120, 120, 0.0), (500, 120, 0.0), (0, 0, 0.0)],
)
def test_the_cooldown_counts_from_the_last_message(minutes_ago: float | None, cooldown: int, left: float) -> None:
    last = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    assert cooldown_left_minutes(last, cooldown, NOW) == left
