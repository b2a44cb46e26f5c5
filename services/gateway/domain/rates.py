"""Rates: the classes that requests are counted in, and a window of a minute that slides. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

WINDOW_S = 60
# At most so much of a limit is lent to one gateway at a time, and at most so much of what is left.
PORTIONS, OF_THE_REST = 50, 8
Rate = Literal["public-read", "public-heavy", "auth-read", "auth-write", "auth-admin", "auth-upload", "auth-heavy"]
RATES: tuple[Rate, ...] = get_args(Rate)
# The proportions of the replaced system (requests of one token in a minute).
OF_TOKENS: Mapping[Rate, int] = {
    "auth-read": 300, "auth-write": 120, "auth-admin": 180, "auth-upload": 40, "auth-heavy": 40,
}  # fmt: skip
OF_STRANGERS: Mapping[Rate, int] = {"public-read": 120, "public-heavy": 60}
HEAVY_ENDS = tuple(f"{mark}{kind}" for mark in "./" for kind in ("csv", "pdf", "ics"))
LOOKS = frozenset({"GET", "HEAD"})


def limits(tokens: int, strangers: int, said: Mapping[Rate, int]) -> dict[Rate, int]:
    """What each class allows in a minute: ``said``, or its part of what one token or one stranger may read."""
    found = {name: max(1, tokens * part // OF_TOKENS["auth-read"]) for name, part in OF_TOKENS.items()}
    found |= {name: max(1, strangers * part // OF_STRANGERS["public-read"]) for name, part in OF_STRANGERS.items()}
    return found | dict(said)


def of_operation(method: str, path: str, permission: str, *, uploads: bool, downloads: bool) -> Rate:
    """The class of a known caller's request: a file comes in (``uploads``), a file or a whole list goes out."""
    if uploads:
        return "auth-upload"
    if downloads:
        return "auth-heavy"
    if path.startswith("/api/admin/") or permission.startswith(("identity:", "user:")):
        return "auth-admin"
    return of_method(method)


def of_method(method: str) -> Rate:
    """The class of a known caller's request that is nothing special."""
    return "auth-read" if method in LOOKS else "auth-write"


def of_stranger(route: str) -> Rate:
    """The class of a request without a valid token; ``route`` is the template, never what the caller wrote."""
    return "public-heavy" if route.endswith(HEAVY_ENDS) else "public-read"


def weighed(before: int, elapsed_s: float) -> int:
    """How much of the minute before still counts, so many seconds into this one."""
    return math.floor(before * (WINDOW_S - elapsed_s) / WINDOW_S)


def reset_s(before: int, elapsed_s: float) -> int:
    """Whole seconds until another request may pass: when one of the minute before leaves, or the minute ends."""
    left_s = WINDOW_S - elapsed_s
    leaves_s = left_s % (WINDOW_S / before) if before else left_s
    return min(WINDOW_S, max(1, math.ceil(min(leaves_s, left_s))))


def portion(limit: int, rest: int, needed: int) -> int:
    """How much a gateway asks for at once. Near the end ever less, so that little is lent that nobody spends."""
    return max(needed, min(limit // PORTIONS, rest // OF_THE_REST))


def granted(asked: int, total: int, free: int) -> int:
    """What of a portion counts, if with it so many were lent in all and no more than ``free`` may be."""
    return asked - min(asked, max(0, total - free))
