"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.client.errors import UsageProblem
from libs.client.moments import moment

NOW = datetime(2026, 3, 1, 9, 0, 0, 123, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("+7d", "2026-03-08T09:00:00Z"),
        ("+36h", "2026-03-02T21:00:00Z"),
        ("+5m", "2026-03-01T09:05:00Z"),
        ("2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        ("2026-04-01T00:00:00+02:00", "2026-04-01T00:00:00+02:00"),
    ],
)
def test_a_time_or_how_far_it_is(typed: str, meant: str) -> None:
    assert moment(typed, NOW) == meant


@pytest.mark.parametrize("typed", ["tomorrow", "7", "7d", "+7", "+7w", "2026-04-01", "2026-04-01T00:00:00", "+999999d"])
def test_what_is_no_time_says_how_to_write_one(typed: str) -> None:
    with pytest.raises(UsageProblem, match=r"is no time with a zone; write one such as 2026-03-01T09:00:00Z, or \+7d"):
        moment(typed, NOW)
