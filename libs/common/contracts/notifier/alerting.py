"""Whether alerts reach anybody: what operations asks of the notifier, over all sites. No route: nobody else asks."""

from __future__ import annotations

from uuid import UUID

from libs.common.contracts.base import Model, Open, Query, Time
from libs.common.contracts.notifier.noise import NoiseStatus

MAX_NAMED = 20


class DispatchKey(Model):
    event_id: UUID


class Dispatch(Open):
    """What became of an event of the site ``global``, so far.

    ``heard``: the notifier has made its deliveries; before that the counts say nothing. ``failing_count``: tried, and
    never with success; ``waiting_count``: not tried yet. ``error`` is what the newest failure said.
    """

    heard: bool
    delivery_count: int
    delivered_count: int
    failing_count: int
    waiting_count: int
    error: str | None


class QuietTarget(Open):
    """A target that fails at a type of event: held back (``quarantined``), or still sent."""

    site: str
    target: int
    name: str
    event_type: str
    quarantined: bool
    error: str


class SiteNoise(Open):
    site: str
    status: NoiseStatus
    message: str
    due: bool


class Alerting(Open):
    """Of all sites. Lists hold at most 20, ``global`` first; the counts are of all.

    ``unprobed_count``: circuits whose probe has been due for 3 hours and could be sent. ``late_count``: deliveries that
    have been due for 10 minutes, but for those that are paused, up to 1,000. ``unkept_sites``: retention has not run
    for 36 hours while something is over. ``unchecked_sites``: they have had targets for 6 hours, and no check of the
    MTTR SLO in the last 6.
    """

    quarantined_global_count: int
    quarantined_other_count: int
    failing_count: int
    targets: list[QuietTarget]
    unprobed_count: int
    late_count: int
    oldest_late_at: Time | None
    unkept_sites: list[str]
    unchecked_sites: list[str]
    breaching_sites: list[str]
    noise: list[SiteNoise]


dispatch_of = Query("notifier.dispatches.get", params=DispatchKey, result=Dispatch, sited=False)
get_alerting = Query("notifier.alerting.get", result=Alerting, sited=False)
