"""When the mean time to recovery is a breach, and when a breach is told again."""

from __future__ import annotations

from datetime import datetime, timedelta


def reasons(
    *,
    enabled: bool,
    min_incidents: int,
    threshold_minutes: int,
    incident_count: int,
    mttr_minutes: float | None,
    open_since: datetime | None,
    now: datetime,
) -> list[str]:
    """Why it is a breach; empty: it is none. ``open_since``: the begin of the outage that has lasted longest.

    An outage that lasts is in no mean, so it is looked at by itself: a target that never recovers would else never be
    noticed.
    """
    if not enabled:
        return []
    found = []
    if incident_count >= min_incidents and mttr_minutes is not None and mttr_minutes > threshold_minutes:
        found.append("mttr")
    if open_since is not None and now - open_since > timedelta(minutes=threshold_minutes):
        found.append("open_outage")
    return found


def cooldown_left_minutes(last_notified_at: datetime | None, cooldown_minutes: int, now: datetime) -> float:
    """How long a breach is not told again; it counts from when one was told last, not from when there was one."""
    if last_notified_at is None:
        return 0.0
    left = last_notified_at + timedelta(minutes=cooldown_minutes) - now
    return max(round(left.total_seconds() / 60, 2), 0.0)
