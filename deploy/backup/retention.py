"""Which backups are kept: the last of each day, week and month, so many of each (grandfather, father, son)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days, weeks (ISO) and months (all in UTC) that have a backup keep their last one."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12


def kept(backups: Mapping[str, datetime], keep: Keep) -> dict[str, str]:
    """The backups that stay, by id, each with why; the rest may go. The newest always stays.

    ``backups`` are whole ones with the moment that each was begun at: damaged ones neither stay nor push others out.
    """
    newest_first = sorted(backups, key=lambda one: (backups[one], one), reverse=True)
    reasons: dict[str, list[str]] = {one: ["newest"] for one in newest_first[:1]}
    spans: tuple[tuple[str, int, Callable[[datetime], object]], ...] = (
        ("daily", keep.daily, lambda at: at.date()),
        ("weekly", keep.weekly, lambda at: at.isocalendar()[:2]),
        ("monthly", keep.monthly, lambda at: (at.year, at.month)),
    )
    for name, count, span_of in spans:
        seen: set[object] = set()
        for one in newest_first:
            span = span_of(backups[one])
            if span not in seen and len(seen) < count:
                seen.add(span)
                reasons.setdefault(one, []).append(name)
    return {one: ", ".join(why) for one, why in reasons.items()}
