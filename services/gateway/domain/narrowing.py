"""What a token is bound to, beside its sites: operations, subjects and networks. None: not bound.

A token may what its user's role allows *and* it is bound to, at each request. It is bound once, when it is issued, and
what is made by it is never less bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

ANY = "*"
# Whoever holds a token may ask what it is.
ALWAYS = frozenset({"me:read"})


@dataclass(frozen=True, slots=True)
class Narrowing:
    """``permissions`` as in the table of roles; ``subjects`` exact names, or beginnings that end in ``*``; ``cidrs``
    networks in CIDR notation.
    """

    permissions: frozenset[str] | None = None
    subjects: tuple[str, ...] | None = None
    cidrs: tuple[str, ...] | None = None

    def allows(self, permission: str) -> bool:
        """Whether the token is bound to no operations, or to this one."""
        return self.permissions is None or permission in self.permissions or permission in ALWAYS

    def has_subject(self, name: str) -> bool:
        """Whether the token is bound to no subjects, or to this one."""
        return self.subjects is None or any(_matches(pattern, name) for pattern in self.subjects)

    def works_from(self, address: str) -> bool:
        """Whether the token may be used from this address; one that can't be read is nowhere."""
        return self.cidrs is None or _lies_in(self.cidrs, address)

    def reaches_beyond(self, outer: Narrowing) -> str | None:
        """The first way in which this reaches further than ``outer``, as the end of a sentence; None: in none."""
        if outer.permissions is not None:
            if self.permissions is None:
                return "it is not bound to operations"
            if more := self.permissions - outer.permissions - ALWAYS:
                return f"it may {', '.join(sorted(more))}"
        if outer.subjects is not None:
            if self.subjects is None:
                return "it is not bound to subjects"
            for pattern in self.subjects:
                if not any(_covers(wide, pattern) for wide in outer.subjects):
                    return f"it is for the subjects {pattern}"
        if outer.cidrs is not None:
            if self.cidrs is None:
                return "it is not bound to networks"
            for cidr in self.cidrs:
                if not any(_is_inside(cidr, wide) for wide in outer.cidrs):
                    return f"it works from {cidr}"
        return None

    def bound_by(self, outer: Narrowing) -> Narrowing:
        """The same, and bound as ``outer`` where this says nothing."""
        return Narrowing(
            permissions=outer.permissions if self.permissions is None else self.permissions,
            subjects=outer.subjects if self.subjects is None else self.subjects,
            cidrs=outer.cidrs if self.cidrs is None else self.cidrs,
        )


WHOLE = Narrowing()


def narrowing(
    permissions: Iterable[str] | None, subjects: Iterable[str] | None, cidrs: Iterable[str] | None
) -> Narrowing:
    """Of what is stored or sent, each list sorted and without repeats. An empty list binds to nothing at all."""
    return Narrowing(
        permissions=None if permissions is None else frozenset(permissions),
        subjects=None if subjects is None else tuple(sorted(set(subjects))),
        cidrs=None if cidrs is None else tuple(sorted(set(cidrs))),
    )


def network(text: str) -> str:
    """A network as it is stored. Raises `ValueError` for what is none, and for one with bits beside its mask."""
    return str(ip_network(text))


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith(ANY) else name == pattern


def _covers(wide: str, pattern: str) -> bool:
    """Whether all names of ``pattern`` are names of ``wide``."""
    if not wide.endswith(ANY):
        return wide == pattern
    return pattern.removesuffix(ANY).startswith(wide[:-1])


@lru_cache(maxsize=4096)
def _lies_in(cidrs: tuple[str, ...], address: str) -> bool:
    try:
        place: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(place, IPv6Address) and place.ipv4_mapped is not None:
        place = place.ipv4_mapped
    return any(place in ip_network(cidr) for cidr in cidrs)


def _is_inside(inner: str, outer: str) -> bool:
    small, large = ip_network(inner), ip_network(outer)
    return small.version == large.version and small.subnet_of(large)  # type: ignore[arg-type]
