"""DORA's four keys, counted of recorded deployments. Pure.

A *change* is a deployment that is no rollback. It has failed if it was critical, or if what was deployed next to its
environment was a rollback. A *failure* lasts until the next good deployment of its environment: from when the critical
one ended; of a change that had looked good, from when its rollback began, since nobody knows since when it was bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Literal

Band = Literal["elite", "high", "medium", "low"]
MIN_FOR_BAND = 5
GOOD = ("success", "warning")
HOUR = timedelta(hours=1)
# Accelerate State of DevOps Report 2023: elite, high, medium; what is worse is low. A month has 30.4 days there.
_HOURS = (24.0, 7 * 24.0, 30.4 * 24.0)
AT_MOST: Mapping[str, tuple[float, float, float]] = {
    "lead_time": _HOURS,
    "change_failure_rate": (5.0, 10.0, 15.0),
    "time_to_restore": (1.0, 24.0, 7 * 24.0),
}
AT_LEAST_PER_DAY = (1.0, 1 / 7, 1 / 30.4)
BANDS: tuple[Band, Band, Band] = ("elite", "high", "medium")


@dataclass(frozen=True, slots=True)
class Deployed:
    """The newest record of a deployment. ``status``: success, warning or critical."""

    environment: str
    deploy_id: str
    status: str
    rollback: bool
    committed_at: datetime | None
    started_at: datetime
    finished_at: datetime

    @property
    def is_good(self) -> bool:
        """Whether what is there since then works."""
        return self.status in GOOD


@dataclass(frozen=True, slots=True)
class Failure:
    """``restored_at`` None: it lasts."""

    since: datetime
    restored_at: datetime | None


@dataclass(frozen=True, slots=True)
class Counted:
    """What of an environment, or of several, lies in the window; ``lead`` and ``restore`` are hours."""

    good: int = 0
    changes: int = 0
    failed: int = 0
    rollbacks: int = 0
    without_commit: int = 0
    lead: tuple[float, ...] = ()
    restore: tuple[float, ...] = ()
    open_since: tuple[datetime, ...] = ()

    def __add__(self, other: Counted) -> Counted:
        return Counted(
            self.good + other.good,
            self.changes + other.changes,
            self.failed + other.failed,
            self.rollbacks + other.rollbacks,
            self.without_commit + other.without_commit,
            self.lead + other.lead,
            self.restore + other.restore,
            self.open_since + other.open_since,
        )


@dataclass(frozen=True, slots=True)
class Key:
    """One of the four: its value, of how many, and the band."""

    state: Literal["ok", "few_data", "no_data"]
    value: float | None
    sample_count: int
    band: Band | None


def count(deployed: Sequence[Deployed], since: datetime) -> Counted:
    """Count those of one environment that ended at ``since`` or later; older ones only say what went before."""
    ordered = sorted(deployed, key=lambda one: (one.finished_at, one.deploy_id))
    taken_back = _taken_back(ordered)
    recent = [(place, one) for place, one in enumerate(ordered) if one.finished_at >= since]
    changes = [(place, one) for place, one in recent if not one.rollback]
    good = [one for _, one in changes if one.is_good]
    lead = [max(one.finished_at - one.committed_at, timedelta()) / HOUR for one in good if one.committed_at]
    failures = failures_of(ordered)
    return Counted(
        good=len(good),
        changes=len(changes),
        failed=sum(not one.is_good or place in taken_back for place, one in changes),
        rollbacks=sum(one.rollback for _, one in recent),
        without_commit=len(good) - len(lead),
        lead=tuple(lead),
        restore=tuple(
            (one.restored_at - one.since) / HOUR for one in failures if one.restored_at and one.restored_at >= since
        ),
        open_since=tuple(one.since for one in failures if one.restored_at is None),
    )


def _taken_back(ordered: Sequence[Deployed]) -> set[int]:
    """The places of good changes that the next good deployment took back."""
    found: set[int] = set()
    last: int | None = None
    for place, one in enumerate(ordered):
        if one.rollback and last is not None:
            found.add(last)
            last = None
        elif one.is_good and not one.rollback:
            last = place
        elif not one.rollback:  # it failed by itself: what goes back goes back from this one
            last = None
    return found


def failures_of(ordered: Sequence[Deployed]) -> list[Failure]:
    """The failures of one environment, in the order of time; several in a row are one."""
    found: list[Failure] = []
    since: datetime | None = None
    stands = False  # a good change that nobody has taken back yet
    for one in ordered:
        if not one.is_good:
            since, stands = since or (one.started_at if one.rollback and stands else one.finished_at), False
            continue
        if since is None and one.rollback and stands:
            since = min(one.started_at, one.finished_at)
        if since is not None:
            found.append(Failure(since, one.finished_at))
        since, stands = None, not one.rollback
    return [*found, Failure(since, None)] if since is not None else found


def keys_of(found: Counted, days: int) -> dict[str, Key]:
    """The four keys, by name."""
    rate = 100 * found.failed / found.changes if found.changes else None
    per_day = found.good / days if found.changes else None
    return {
        "deployment_frequency": _key(per_day, found.good, _frequency_band),
        "lead_time": _timed("lead_time", found.lead),
        "change_failure_rate": _key(rate, found.changes, lambda value: _band("change_failure_rate", value)),
        "time_to_restore": _timed("time_to_restore", found.restore, least=1, spoilt=bool(found.open_since)),
    }


def _timed(name: str, hours: Sequence[float], *, least: int = MIN_FOR_BAND, spoilt: bool = False) -> Key:
    """A median. ``spoilt``: something lasts that is not in it, so that no band can be given."""
    made = _key(median(hours) if hours else None, len(hours), lambda value: _band(name, value), least)
    return Key("few_data", made.value, made.sample_count, None) if spoilt and made.value is not None else made


def _key(value: float | None, samples: int, band: Callable[[float], Band], least: int = MIN_FOR_BAND) -> Key:
    if value is None:
        return Key("no_data", None, 0, None)
    if samples < least:
        return Key("few_data", round(value, 3), samples, None)
    return Key("ok", round(value, 3), samples, band(value))


def _band(name: str, value: float) -> Band:
    return next((band for band, limit in zip(BANDS, AT_MOST[name], strict=True) if value <= limit), "low")


def _frequency_band(per_day: float) -> Band:
    return next((band for band, limit in zip(BANDS, AT_LEAST_PER_DAY, strict=True) if per_day >= limit), "low")
