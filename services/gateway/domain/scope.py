"""Site scopes: which sites a caller may see, and what to answer about the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

ALL = "*"
RESERVED_SITE = "global"

Scope = tuple[str, ...]


class Verdict(Enum):
    """``HIDDEN`` is answered with 404: whether a foreign site's object exists is nobody's business."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class SiteChoice:
    """The site that a request concerns, and whether it may."""

    site: str
    verdict: Verdict


def narrow(first: Iterable[str], second: Iterable[str]) -> Scope:
    """What both scopes allow: sorted site names, or ``("*",)`` if both allow all."""
    left, right = set(first), set(second)
    if ALL in left:
        return (ALL,) if ALL in right else tuple(sorted(right))
    return tuple(sorted(left if ALL in right else left & right))


def covers(scope: Iterable[str], site: str) -> bool:
    """Whether the scope allows the site."""
    allowed = set(scope)
    return ALL in allowed or site in allowed


def within(inner: Iterable[str], outer: Iterable[str]) -> bool:
    """Whether every site of ``inner`` is allowed by ``outer``; only ``*`` allows ``*``."""
    allowed = set(outer)
    return ALL in allowed or set(inner) <= allowed


def choose(scope: Iterable[str], asked: str | None, *, names_object: bool) -> SiteChoice:
    """Which site a request concerns: the one asked for, else the reserved one.

    A foreign site that is asked for by name is forbidden. Where none is asked for and the path names an object by its
    id, the object is hidden, since it may belong to any site.
    """
    site = RESERVED_SITE if asked is None else asked
    if covers(scope, site):
        return SiteChoice(site, Verdict.ALLOWED)
    return SiteChoice(site, Verdict.HIDDEN if asked is None and names_object else Verdict.FORBIDDEN)
