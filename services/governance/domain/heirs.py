"""A baseline's parts under the names that they have now.

A report without a name of its own was part ``default`` until it got its file's name, and a scanner that begins to name
its category turns ``CodeQL`` into ``CodeQL:frontend``. Such a part has not gone missing: the parts that are new in its
place are its heirs, and what it held is compared with what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.governance.domain.facts import Fact
from services.governance.domain.report_base import DEFAULT_PART

TESTS, COVERAGE = "test.junit", "coverage.cobertura"


def renamed(kind: str, current: Sequence[Fact], baseline: Sequence[Fact]) -> list[Fact]:
    """The baseline of one kind with each part that has heirs under their names. The data were checked before."""
    now = {fact.part for fact in current}
    new = sorted(now - {fact.part for fact in baseline})
    found: list[Fact] = []
    for fact in baseline:
        heirs = [part for part in new if fact.part == DEFAULT_PART or part.startswith(f"{fact.part}:")]
        if fact.part in now or not heirs or (kind == COVERAGE and len(heirs) > 1):
            # Coverage has no ids: which of several reports goes on with its lines can't be told.
            found.append(fact)
        elif kind == TESTS:
            found += _shared_out(fact, {one.part: _tests(one) for one in current if one.part in heirs})
        else:
            found += [replace(fact, part=part) for part in heirs]
    return found


def _tests(fact: Fact) -> list[str]:
    data: Any = fact.data
    return list(data["tests"])


def _shared_out(fact: Fact, ran: Mapping[str, Sequence[str]]) -> Iterator[Fact]:
    """Each test goes to the heirs that ran it, and to the first if none did: there it has vanished."""
    everywhere = {test for tests in ran.values() for test in tests}
    for place, (part, tests) in enumerate(ran.items()):
        here = set(tests)
        kept = [test for test in _tests(fact) if test in here or (place == 0 and test not in everywhere)]
        data: Any = fact.data
        yield replace(fact, part=part, data={**data, "tests": kept})
