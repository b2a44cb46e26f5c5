"""The past verdicts of a gate, as rules read them: streaks, trends, and how long ago. Nobody can state them.

They are what the database holds of the same gate, subject and line, before the verdict that is made. A GO of this very
version that still holds is left out, since it would count itself; so is one that only the clock made, which says
nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

KIND = "gate.history"
MAX_RUNS = 50  # of the line, that totals are made of
LOOKED_BACK = 500  # runs of the subject; what lies before those is not known
KEYS = (
    *("run_count", "go_count", "no_go_count", "go_streak", "no_go_streak", "flips", "last_score", "lowest_score"),
    *("score_slope", "hours_since_last_go", "hours_since_last_no_go", "last_version", "last_go_version"),
)
BY_CLOCK = "hours_since_"
_HOUR = timedelta(hours=1)
HORIZON = timedelta(days=7)  # each hour costs a look of some microseconds, and a GO that is looked at again costs a run


@dataclass(frozen=True, slots=True)
class PastRun:
    """A verdict that was stored, at ``decided_at`` (with a zone)."""

    run_number: int
    version: str
    line: str
    decision: Literal["go", "no_go"]
    score_percent: float
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """``runs``: newest first, at most `MAX_RUNS` of the line, and the last GO of another version, of whatever line.

    ``is_whole``: none of the subject lies further back. ``newest_number``: the highest number of all of the subject.
    """

    runs: tuple[PastRun, ...] = ()
    is_whole: bool = False
    newest_number: int = 0

    def of(self, line: str, version: str | None) -> tuple[PastRun, ...]:
        """Those of a line, and of one version of it unless that is None."""
        mine = [run for run in self.runs if run.line == line and version in (None, run.version)]
        return tuple(mine[:MAX_RUNS])

    def last_other_go(self, version: str) -> str:
        """The version of the last GO that is not of ``version``, "" where none is known."""
        return next((run.version for run in self.runs if run.decision == "go" and run.version != version), "")


def totals(runs: Sequence[PastRun], now: datetime) -> dict[str, Any]:
    """What conditions see as ``derived``, with `KEYS`; ``runs``: newest first. None: nothing tells."""
    goes = [run for run in runs if run.decision == "go"]
    no_goes = [run for run in runs if run.decision == "no_go"]
    scores = [run.score_percent for run in runs]
    return {
        "run_count": len(runs),
        "go_count": len(goes),
        "no_go_count": len(no_goes),
        "go_streak": _streak(runs, "go"),
        "no_go_streak": _streak(runs, "no_go"),
        "flips": sum(one.decision != other.decision for one, other in pairwise(runs)),
        "last_score": scores[0] if scores else None,
        "lowest_score": min(scores, default=None),
        "score_slope": _slope(scores[::-1]),
        "last_version": runs[0].version if runs else "",
        "last_go_version": goes[0].version if goes else "",
        **_since(goes, no_goes, now),
    }


def _since(goes: Sequence[PastRun], no_goes: Sequence[PastRun], now: datetime) -> dict[str, int | None]:
    return {
        f"{BY_CLOCK}last_{word}": max(0, (now - found[0].decided_at) // _HOUR) if found else None
        for word, found in (("go", goes), ("no_go", no_goes))
    }


def _streak(runs: Sequence[PastRun], decision: str) -> int:
    """How many of the newest say so, without a break."""
    return next((place for place, run in enumerate(runs) if run.decision != decision), len(runs))


def _slope(scores: Sequence[float]) -> float | None:
    """Points by which the score rises from run to run, by least squares; the oldest first."""
    count = len(scores)
    if count < 2:
        return None
    middle, mean = (count - 1) / 2, sum(scores) / count
    over = sum((place - middle) * (score - mean) for place, score in enumerate(scores))
    return round(over / sum((place - middle) ** 2 for place in range(count)), 4)


def turns_at(runs: Sequence[PastRun], now: datetime, holds: Callable[[Mapping[str, Any]], bool]) -> datetime | None:
    """When what holds now over these totals does so no more because hours go by; None: not within `HORIZON`.

    Each full hour after the last GO and the last NO_GO is tried: no other moment changes the totals.
    """
    goes = [run for run in runs if run.decision == "go"]
    no_goes = [run for run in runs if run.decision == "no_go"]
    held = totals(runs, now)
    last = now + HORIZON
    for at in sorted({at for found in (goes, no_goes) if found for at in _hours(found[0].decided_at, now, last)}):
        if not holds(held | _since(goes, no_goes, at)):
            return at
    return None


def _hours(since: datetime, now: datetime, last: datetime) -> list[datetime]:
    first = since + _HOUR * max(1, (now - since) // _HOUR + 1)
    return [first + _HOUR * step for step in range((last - first) // _HOUR + 1)]
