"""Rates of wrong and missed alerts, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.notifier.domain.noise import Counts, Limits, judge, monday

LIMITS = Limits(5.0, 1.0, 2)
NONE, FINE, NOISY, DEAF = Counts(), Counts(right=99, wrong=5), Counts(right=18, wrong=1), Counts(right=98, missed=1)


@pytest.mark.parametrize(
    ("counts", "wrong", "missed", "standing"),
    [
        (NONE, None, None, "no_data"),
        (FINE, 4.81, 0.0, "ok"),
        (Counts(right=19, wrong=1), 5.0, 0.0, "ok"),  # at the limit
        (NOISY, 5.26, 0.0, "above"),
        (Counts(right=99, missed=1), 0.0, 1.0, "ok"),  # at the limit
        (DEAF, 0.0, 1.01, "above"),
        (Counts(missed=1), None, 100.0, "above"),
        (Counts(wrong=1), 100.0, None, "above"),
        (Counts(right=189_999, wrong=10_001), 5.0, 0.0, "above"),  # above, though the rounded rate is not
    ],
)
def test_rates(counts: Counts, wrong: float | None, missed: float | None, standing: str) -> None:
    assert (counts.wrong_percent, counts.missed_percent, counts.standing(LIMITS)) == (wrong, missed, standing)


@pytest.mark.parametrize(
    ("window", "weeks", "status"),
    [
        (NONE, (NONE, NONE), "no_data"),
        (FINE, (FINE, FINE), "ok"),
        (FINE, (FINE, NOISY), "ok"),
        (FINE, (NOISY, FINE), "warning"),
        (NOISY, (FINE, FINE), "warning"),
        (FINE, (NOISY, DEAF), "critical"),
        (NOISY, (NOISY, NONE), "warning"),  # a week of which nothing is known is no week above
        (NONE, (NOISY, NOISY), "critical"),
        (FINE, (NONE, NONE), "ok"),
    ],
)
def test_status(window: Counts, weeks: tuple[Counts, ...], status: str) -> None:
    found, message = judge(window, weeks, LIMITS)
    assert found == status
    assert message.endswith(".")


def test_a_week_begins_on_monday() -> None:
    assert monday(datetime(2026, 11, 28, 17, tzinfo=UTC)) == datetime(2026, 11, 23, tzinfo=UTC)
    assert monday(datetime(2026, 11, 23, tzinfo=UTC)) == datetime(2026, 11, 23, tzinfo=UTC)
