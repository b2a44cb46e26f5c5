"""May a board be completed? The spec's seven checks, and an eighth: a claim that no run has confirmed is not done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of items of one board; all but ``closed`` count active items only."""

    active: int = 0
    closed: int = 0
    pending: int = 0
    in_progress: int = 0
    done: int = 0
    blocked: int = 0
    missing_assignee: int = 0
    critical_open: int = 0
    overdue: int = 0
    missing_completion_checked: int = 0
    unverified_done: int = 0


@dataclass(frozen=True, slots=True)
class Assessment:
    """``blockers`` holds a sentence for each thing in the way; ``ready`` means that there is none."""

    score_percent: int
    blockers: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Nothing is in the way."""
        return not self.blockers


def completion_rate_percent(counts: Counts) -> int:
    """Share of active items that are done (claimed), 0 to 100; 100 if there are none."""
    return round(100 * counts.done / counts.active) if counts.active else 100


def assess(counts: Counts, decision: str | None) -> Assessment:
    """Judge a board by its counts and its gate's last ``decision`` (``go``, ``no_go``; None: never judged).

    Score = round(100 · passed checks / 8), raised to the completion rate if that is larger, at most 99 while anything
    is in the way; 100 when ready; 0 for a gate never judged, because no data is not a pass.
    """
    if decision is None:
        return Assessment(0, ("The gate has not been judged yet: sync the board or run the gate.",))
    checks = (
        (counts.pending, "pending"),
        (counts.in_progress, "in progress"),
        (counts.blocked, "blocked"),
        (counts.missing_assignee, "without an assignee"),
        (counts.missing_completion_checked, "not checked as complete"),
        (counts.critical_open, "open although a required rule fails"),
        (counts.overdue, "overdue"),
        (counts.unverified_done, "claimed done but not yet confirmed by a passing gate run"),
    )
    blockers = [f"{_items(count)} {what}." for count, what in checks if count]
    if decision != "go":
        blockers.append("The gate's last verdict is NO_GO.")
    if not blockers:
        return Assessment(100, ())
    score = round(100 * sum(not count for count, _ in checks) / len(checks))
    return Assessment(min(99, max(score, completion_rate_percent(counts))), tuple(blockers))


def _items(count: int) -> str:
    return "1 item is" if count == 1 else f"{count} items are"
