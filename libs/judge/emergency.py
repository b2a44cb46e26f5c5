"""Emergency overrides: one person answers for a GO against the verdict, for a while, and for one run only. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from libs.judge.approvals import Evidence, differing


@dataclass(frozen=True, slots=True)
class Override:
    """A run that was NO_GO is to be GO from ``given_at`` until before ``ends_at``, over the evidence of that run.

    Unless a second person has confirmed it (``confirmed_by``), it counts only until ``confirm_until``.
    """

    override_id: int
    run_id: int
    given_by: str
    given_at: datetime
    ends_at: datetime
    confirm_until: datetime
    reason: str
    issue: str
    evidence: Evidence
    confirmed_by: str | None = None

    @property
    def until(self) -> datetime:
        """When it ends by the clock, as far as it is confirmed."""
        return self.ends_at if self.confirmed_by is not None else min(self.ends_at, self.confirm_until)


@dataclass(frozen=True, slots=True)
class OverrideUsed:
    """An override as the verdict shows it. ``against``: the reasons for which it would be NO_GO."""

    override_id: int
    run_id: int
    given_by: str
    given_at: datetime
    until: datetime
    reason: str
    issue: str
    confirmed_by: str | None
    against: tuple[str, ...]


def overriding(given: Iterable[Override], evidence: Evidence, now: datetime) -> Override | None:
    """The override that covers this evidence now; of several the one that lasts longest."""
    fitting = [one for one in given if one.given_at <= now < one.until and not differing(one.evidence, evidence)]
    return max(fitting, key=lambda one: (one.until, -one.override_id), default=None)


def used(one: Override, against: Iterable[str]) -> OverrideUsed:
    """What of an override a verdict shows."""
    return OverrideUsed(
        one.override_id,
        one.run_id,
        one.given_by,
        one.given_at,
        one.until,
        one.reason,
        one.issue,
        one.confirmed_by,
        tuple(against),
    )
