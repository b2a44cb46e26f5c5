"""What somebody may who holds several roles, each at its own sites. Pure.

Roles are never thrown together: a viewer everywhere who is an operator at one site runs nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from services.gateway.domain.rights import Power, sites_where
from services.gateway.domain.scope import Scope, covers, within

LONGEST_WARNING = timedelta(hours=24)
_NEVER = datetime.max.replace(tzinfo=UTC)


def live(powers: Iterable[Power], now: datetime) -> tuple[Power, ...]:
    """Those whose time is not over."""
    return tuple(power for power in powers if power.ends_at is None or power.ends_at > now)


def held_throughout(powers: Iterable[Power], sites: Scope) -> frozenset[str]:
    """What is held at every one of these sites, by whichever roles; at no sites: nothing."""
    every = tuple(powers)
    names = frozenset(name for power in every for name in power.permissions)
    return frozenset(name for name in names if sites and within(sites, sites_where(every, name)))


def held_at(powers: Iterable[Power], site: str) -> frozenset[str]:
    """What is held at this one site."""
    return frozenset(name for power in powers if covers(power.sites, site) for name in power.permissions)


def held_until(powers: Iterable[Power], site: str, permissions: Iterable[str]) -> datetime | None:
    """When the first of these, all held at this site now, is held there no more by the clock alone; None: never."""
    every = tuple(power for power in powers if covers(power.sites, site))
    lasts = [
        max((power.ends_at or _NEVER for power in every if name in power.permissions), default=_NEVER)
        for name in permissions
    ]
    first = min(lasts, default=_NEVER)
    return None if first == _NEVER else first


def warns_at(given_at: datetime, ends_at: datetime) -> datetime:
    """From when on it is told that a grant ends: a day before, of a short one in its last quarter."""
    return ends_at - min(LONGEST_WARNING, (ends_at - given_at) / 4)
