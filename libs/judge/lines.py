"""Lines: which versions of a subject follow each other, such as all of 1.4, so that a hotfix is compared with its own.

A policy derives the line of a version by a pattern such as ``{1}.{2}``: places stand for the parts of the first dotted
number in the version, all else for itself. That takes one look at the version, whatever it holds: a regular expression
of a policy's author could hang on a version that a stranger made up.
"""

from __future__ import annotations

import re

MAX_LINE_CHARS = 100
_PLACE = re.compile(r"\{([1-9])\}")
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def check_pattern(pattern: str) -> None:
    """Raise ValueError saying what is wrong with a pattern."""
    rest = _PLACE.sub("", pattern)
    if len(pattern) > MAX_LINE_CHARS or not pattern.isprintable():
        raise ValueError(f"must be at most {MAX_LINE_CHARS} printable characters")
    if rest == pattern or "{" in rest or "}" in rest:
        raise ValueError(
            "must hold places such as {1}.{2}, which are the parts of a version's number, and no other braces"
        )


def line_of(pattern: str, version: str) -> str:
    """The line of a version: `1.4` of `v1.4.2-rc.1` by `{1}.{2}`. Raises ValueError where its number is too short."""
    found = _DOTTED.search(version)
    parts = found[0].split(".") if found is not None else []
    missing = next((place for place in _PLACE.findall(pattern) if int(place) > len(parts)), None)
    if missing is not None:
        raise ValueError(f"its number {'.'.join(parts) or '(it has none)'} has no part {missing}")
    line = _PLACE.sub(lambda match: parts[int(match[1]) - 1], pattern)
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"its line would have more than {MAX_LINE_CHARS} characters")
    return line
