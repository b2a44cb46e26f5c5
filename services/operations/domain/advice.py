"""What a quality report recommends: which sentences follow from its figures. Pure; elsewhere are the sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOW_SUCCESS_PERCENT = 95.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What recommendations go by; None is not known. ``failing_jobs``: those with runs that failed or were critical."""

    missing: Sequence[str]
    check_count: int | None
    failed_check_count: int
    critical_findings: int | None
    failing_jobs: Sequence[str]
    delivery_success_percent: float | None
    critical_duties: int | None
    unassigned_duties: int | None
    streak_weeks: int
    target_weeks: int
    preflight_errors: int | None
    noise: str | None


def advise(at: Figures) -> list[tuple[str, Mapping[str, object]]]:
    """The names of the sentences, with their values; what matters most comes first. Never empty."""
    found: list[tuple[str, Mapping[str, object]]] = []
    if at.missing:
        found.append(("missing", {"parts": ", ".join(at.missing)}))
    if at.critical_findings:
        found.append(("critical", {"count": at.critical_findings}))
    if at.preflight_errors:
        found.append(("preflight", {"count": at.preflight_errors}))
    if at.failed_check_count:
        found.append(("failed_checks", {"count": at.failed_check_count}))
    if at.check_count == 0:
        found.append(("no_checks", {}))
    if at.failing_jobs:
        named = ", ".join(at.failing_jobs[:5]) + (" …" if len(at.failing_jobs) > 5 else "")
        found.append(("jobs", {"jobs": named}))
    if at.delivery_success_percent is not None and at.delivery_success_percent < LOW_SUCCESS_PERCENT:
        found.append(("deliveries", {"percent": at.delivery_success_percent}))
    if at.noise in ("warning", "critical"):
        found.append(("noise", {}))
    if at.critical_duties:
        found.append(("duties", {"count": at.critical_duties}))
    if at.unassigned_duties:
        found.append(("unassigned", {"count": at.unassigned_duties}))
    if at.streak_weeks < at.target_weeks:
        found.append(("streak", {"weeks": at.streak_weeks, "target": at.target_weeks}))
    return found or [("calm", {})]
