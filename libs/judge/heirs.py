"""A baseline's parts under the names that they have now.

A report without a name of its own was part ``default`` until it got its file's name, and a scanner that begins to name
its category turns ``CodeQL`` into ``CodeQL:frontend``. Such a part has not gone missing: the parts that are new in its
place are its heirs, and what it held is compared with what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from libs.judge.facts import Fact
from libs.judge.report_base import DEFAULT_PART
from libs.judge.test_ids import fingerprint, prints, unpack

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
            found += _shared_out(fact, [one for one in current if one.part in heirs])
        else:
            found += [replace(fact, part=part) for part in heirs]
    return found


def _shared_out(fact: Fact, heirs: Sequence[Fact]) -> Iterator[Fact]:
    """Each test goes to the heirs that ran it, and to the first if none did: there it has vanished.

    Where one of the reports is so large that only fingerprints are kept, all are compared by those.
    """
    before = _data(fact)
    packed = any(bool(_data(one).get("tests_packed")) for one in (fact, *heirs))
    held = {test: test for test in before["tests"]}
    if before.get("tests_packed"):
        held = {one: one for one in unpack(before["tests_packed"])}
    elif packed:
        held = {test: fingerprint(test) for test in before["tests"]}
    ran = {heir.part: prints(_data(heir)) if packed else set(_data(heir)["tests"]) for heir in heirs}
    everywhere = set[str]().union(*ran.values())
    for place, (part, here) in enumerate(ran.items()):
        kept = [test for test, key in held.items() if key in here or (place == 0 and key not in everywhere)]
        own = {"tests_packed": "".join(sorted(kept))} if before.get("tests_packed") else {"tests": kept}
        yield replace(fact, part=part, data={**before, **own})


def _data(fact: Fact) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", fact.data)
