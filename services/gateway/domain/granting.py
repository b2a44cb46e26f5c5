"""Nobody gives what they don't hold: what somebody may and where, compared. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.domain.scope import ALL, Scope


@dataclass(frozen=True, slots=True)
class Reach:
    """Permissions, and the sites where each of them counts."""

    permissions: frozenset[str]
    sites: Scope

    def beyond(self, outer: Reach) -> Excess | None:
        """What of this is not within ``outer``; None: nothing."""
        permissions = tuple(sorted(self.permissions - outer.permissions))
        sites = () if ALL in outer.sites else tuple(sorted(set(self.sites) - set(outer.sites)))
        return Excess(permissions, sites) if permissions or sites else None


@dataclass(frozen=True, slots=True)
class Excess:
    """What is too much, sorted."""

    permissions: tuple[str, ...]
    sites: tuple[str, ...]

    def __str__(self) -> str:
        """As the end of a sentence that begins with who it is."""
        places = ["all sites" if site == ALL else site for site in self.sites[:20]]
        where = f"reaches {', '.join(places)}" if places else ""
        what = f"may {', '.join(self.permissions)}" if self.permissions else ""
        return " and ".join(part for part in (what, where) if part)
