"""Which routes are watched: by their template, with ``*`` for any characters, and with a method or of any. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_PATTERNS = 200


@dataclass(frozen=True, slots=True)
class Watched:
    """``whole``: what is named with its method and without ``*``, and so is told of also where nobody asks it."""

    patterns: tuple[re.Pattern[str], ...]
    whole: tuple[tuple[str, str], ...] = ()

    def holds(self, method: str, route: str) -> bool:
        """Whether this route is watched."""
        return any(one.fullmatch(f"{method} {route}") for one in self.patterns)


def watched(texts: Sequence[str]) -> Watched:
    """Of patterns such as ``*``, ``/api/gates/{gate}/runs`` and ``GET /api/ops/*``. Raises ValueError."""
    if not 0 < len(texts) <= MAX_PATTERNS:
        raise ValueError(f"1 to {MAX_PATTERNS} patterns are watched, not {len(texts)}")
    patterns, whole = [], []
    for text in texts:
        method, _, route = text.rpartition(" ")
        if (method and method not in METHODS) or not re.fullmatch(r"[*/]\S{0,199}", route):
            raise ValueError(f"{text!r} is no route such as /api/gates/{{gate}}/runs or GET /api/ops/*")
        patterns.append(re.compile((method or r"\S+") + " " + re.escape(route).replace(r"\*", ".*"), re.ASCII))
        if method and "*" not in route:
            whole.append((method, route))
    return Watched(tuple(patterns), tuple(whole))


EVERYTHING = watched(("*",))
