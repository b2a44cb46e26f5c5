"""What looks wrong about the autopilot's runs, by the codes and limits of the facility system."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["warning", "critical"]
MAX_RECOMMENDATIONS = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the runs of a window. The last three are of its newest run: None if it has none, or failed."""

    total_runs: int
    success_rate_percent: float
    skipped_rate_percent: float
    cooldown_blocked_runs: int
    error_runs: int
    consecutive_cooldown_skips: int
    latest_status: str | None
    latest_critical_open: int | None
    latest_overdue: int | None


class Found(NamedTuple):
    """Something that looks wrong: what is observed beside what it should be, and what to do."""

    code: str
    severity: Severity
    message: str
    observed: float
    target: float
    recommendation: str


def percent(part: int, whole: int, none: float) -> float:
    """A share to one place; ``none`` if there is nothing to take it of."""
    return round(100 * part / whole, 1) if whole else none


def cooldown_skips(skip_reasons: Iterable[str | None]) -> int:
    """How many of the newest runs, one after another, the cooldown held back; newest first."""
    count = 0
    for reason in skip_reasons:
        if reason != "cooldown_active":
            break
        count += 1
    return count


def anomalies(seen: Figures) -> list[Found]:
    """All that looks wrong: critical ones first, then by code."""
    return sorted([*_of_window(seen), *_of_latest(seen)], key=lambda one: (one.severity != "critical", one.code))


def recommendations(found: Sequence[Found]) -> list[str]:
    """The first five that differ."""
    return list(dict.fromkeys(one.recommendation for one in found))[:MAX_RECOMMENDATIONS]


def health(found: Sequence[Found]) -> Literal["healthy", "warning", "critical"]:
    """As bad as the worst."""
    if not found:
        return "healthy"
    return "critical" if any(one.severity == "critical" for one in found) else "warning"


def _of_window(seen: Figures) -> Iterator[Found]:
    runs = seen.total_runs
    if not runs:
        yield Found(
            "no_recent_runs", "critical", "The autopilot has not run in this window.", 0, 1,
            "See whether its job is scheduled (headgate jobs list) and whether it is stopped.",
        )  # fmt: skip
        return
    if runs < 5:
        yield Found(
            "low_sample_size", "warning", f"Only {runs} runs: too few to judge by.", runs, 5,
            "Look at a longer window, or wait for more runs.",
        )  # fmt: skip
    yield from _low(
        seen.success_rate_percent, 70, 85, ("low_success_rate", "degraded_success_rate"),
        "{:g} % of the runs ended with success.", "Read the newest runs that did not, and see what they say.",
    )  # fmt: skip
    skipped = (seen.skipped_rate_percent, "{:g} % of the runs were skipped.", "Compare its triggers with the boards.")
    blocked = (
        seen.cooldown_blocked_runs, "The cooldown held back {:g} runs.", "Shorten the cooldown, or run less often.",
    )  # fmt: skip
    failed = (seen.error_runs, "Something failed in {:g} runs.", "Read the errors of these runs, and mend the cause.")
    streak = (
        seen.consecutive_cooldown_skips, "The cooldown held back the newest {:g} runs, one after another.",
        "Shorten the cooldown, or run less often.",
    )  # fmt: skip
    yield from _high(*skipped, critical=("high_skip_rate", 60), warning=("elevated_skip_rate", 35))
    yield from _high(*blocked, critical=("cooldown_blocks_excessive", 9), warning=("cooldown_blocks_high", 4))
    yield from _high(*failed, critical=("error_runs_high", 4), warning=("error_runs_detected", 0))
    again = "consecutive_cooldown_skips"
    yield from _high(*streak, critical=(again, 5), warning=(again, 2))


def _low(
    observed: float, critical: float, warning: float, codes: tuple[str, str], message: str, advice: str
) -> Iterator[Found]:
    """Something of which there is too little; ``codes``: of a critical one, of a warning."""
    if observed < critical:
        yield Found(codes[0], "critical", message.format(observed), observed, critical, advice)
    elif observed < warning:
        yield Found(codes[1], "warning", message.format(observed), observed, warning, advice)


def _high(
    observed: float, message: str, advice: str, *, critical: tuple[str, float], warning: tuple[str, float]
) -> Iterator[Found]:
    """Something of which there is too much: more than the target."""
    grades: tuple[tuple[Severity, str, float], ...] = (("critical", *critical), ("warning", *warning))
    for severity, code, target in grades:
        if observed > target:
            yield Found(code, severity, message.format(observed), observed, target, advice)
            return


def _of_latest(seen: Figures) -> Iterator[Found]:
    if seen.latest_status in ("critical", "failed"):
        yield Found(
            "latest_run_critical", "critical", f"The newest run ended as {seen.latest_status}.", 1, 0,
            "Read its errors (headgate autopilot latest), and mend the cause.",
        )  # fmt: skip
    if seen.latest_critical_open:
        yield Found(
            "critical_open_items", "warning",
            f"{seen.latest_critical_open} critical items were open after the newest run.",
            seen.latest_critical_open, 0, "Have the critical items done first.",
        )  # fmt: skip
    if seen.latest_overdue:
        yield Found(
            "overdue_items_open", "warning", f"{seen.latest_overdue} items were overdue after the newest run.",
            seen.latest_overdue, 0, "Look at who has the overdue items, and share the work out anew.",
        )  # fmt: skip
