"""Months of the log, by UTC, and where they are cut. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

SETTLED = timedelta(hours=1)
"""After the end of a month: whoever took an entry in just before it has committed it by then."""


def window(month: str) -> tuple[datetime, datetime]:
    """The first moment of a month such as ``2026-10``, and that of the next one."""
    year, number = map(int, month.split("-"))
    start = datetime(year, number, 1, tzinfo=UTC)
    return start, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def month_of(moment: datetime) -> str:
    """The month that a moment lies in."""
    return f"{moment.astimezone(UTC):%Y-%m}"


def after(month: str) -> str:
    """The next month."""
    return month_of(window(month)[1])


def is_over(month: str, now: datetime) -> bool:
    """Whether nothing can be added to a month any more."""
    return window(month)[1] + SETTLED <= now


async def first_from(moment: datetime, last_seq: int, recorded_at: Callable[[int], Awaitable[datetime]]) -> int:
    """The first entry that was taken in at this moment or later; ``last_seq`` + 1 if there is none.

    Times grow with the numbers, so some 20 looks find it among a million.
    """
    low, high = 1, last_seq + 1
    while low < high:
        middle = (low + high) // 2
        if await recorded_at(middle) < moment:
            low = middle + 1
        else:
            high = middle
    return low
