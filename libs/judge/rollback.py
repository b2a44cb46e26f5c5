"""Whether the version before is proven restorable: a rehearsal of it, not of some other version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from libs.judge.facts import Fact
from libs.judge.history import History

KIND = "rollback.readiness"
KEYS = ("last_go_version", "is_first_release", "is_of_last_go_version", "all_passed", "missing_parts")


def readiness(
    current: Sequence[Fact], baseline: Sequence[Fact], history: History | None, version: str
) -> dict[str, Any]:
    """What conditions see as ``derived``. What runs now is taken to be the last GO of another version.

    ``is_first_release``: it is known that there is none. A rehearsal then counts if it says so, too (null).
    """
    known = history or History()
    before = known.last_other_go(version)
    is_first = known.is_whole and not before
    data = [fact.data if isinstance(fact.data, Mapping) else {} for fact in current]
    said = [one.get("previous_version") for one in data]
    return {
        "last_go_version": before,
        "is_first_release": is_first,
        "is_of_last_go_version": all(one == before if before else is_first and one is None for one in said),
        "all_passed": all(one.get("smoke_passed") is True for one in data),
        "missing_parts": sorted({fact.part for fact in baseline} - {fact.part for fact in current}),
    }
