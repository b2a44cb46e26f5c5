"""Open failures: tests that a report of a version showed failing and that no later one has shown passing.

A test that is merely absent from the newest report has not been mended: it was left out, renamed, or the run ended
early. So within a version each test has the state in which it was shown last, and the order in which reports arrive
changes nothing. Skipped is not shown; flaky (failed, then passed in one report) is shown passing.

A failure without a name (a class or suite that could not begin) is never seen passing itself: it is over when a later
report shows a test of that class or suite passing.

A failure that one report showed on one of several hosts (``shop::pays [firefox]``) is over when that host passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from libs.judge.facts import Fact, OpenFailure
from libs.judge.junit_runs import host_suffix
from libs.judge.test_ids import fingerprint, is_nameless, owner_of, prints, unpack

KIND = "test.junit"
MAX_OPEN = 50_000  # kept of one part: as many as one report may name. Beyond it the part fails for good in this version
MAX_READ = 101  # of one part, by a verdict
NAMED = 3
MAX_NAME_CHARS = 60
REST = ""  # stands for those beyond MAX_OPEN; no test has this id

Mark = tuple[datetime, int]  # effective time and signal id: the order of signals


@dataclass(frozen=True, slots=True)
class Shown:
    """What one report shows: ids of failing and of passing tests.

    ``prints``: fingerprints of all that ran, where a very large report keeps those only, and of what passed on which
    of several hosts. ``owners``: classes and suites in which a test passed, beside those that ``passing`` tells.
    ``host``: the one on which all ran (often ""), None if there are several. Of a report that tells of more failures
    than it names, only ``failing`` is filled.
    """

    mark: Mark
    failing: frozenset[str]
    passing: frozenset[str] = frozenset()
    prints: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    host: str | None = ""

    def passes(self, test: str) -> bool:
        """Whether the report shows this test passing."""
        if test in self.failing:
            return False
        if is_nameless(test):
            owner = owner_of(test)
            return owner in self.owners or any(one.startswith(f"{owner}::") or not owner for one in self.passing)
        if self._ran_well(test):
            return True
        if self.host is None or not test.endswith(suffix := host_suffix(self.host)):
            return False
        plain = test.removesuffix(suffix)
        return plain not in self.failing and self._ran_well(plain)

    def _ran_well(self, test: str) -> bool:
        return test in self.passing or (bool(self.prints) and fingerprint(test) in self.prints)


def shown_by(data: Mapping[str, Any], mark: Mark) -> Shown:
    """What the (valid) data of a test report show."""
    failing = frozenset(data["failed_tests"])
    if data.get("unnamed_failures", max(0, data["failed"] + data["errors"] - len(failing))):
        # It does not say which tests these are, so any of the others may be one of them.
        return Shown(mark, failing)
    passing = frozenset(data["tests"]) - failing
    packed = frozenset(prints(data)) if data.get("tests_packed") else frozenset()
    packed |= unpack(data.get("passed_on_packed") or "")
    host = None if "passed_on_packed" in data else data.get("host", "")
    return Shown(mark, failing, passing, packed, frozenset(data.get("passed_in", ())), host)


def follow(kept: Mapping[str, Mark], reports: Iterable[Shown], passed: Mapping[str, Mark]) -> dict[str, Mark]:
    """The open failures of a part after more reports of it: test id to the newest report that shows it failing.

    ``kept``: those before. ``passed``: for tests that fail in ``reports``, the newest report of all that came so far
    that shows them passing, as far as there is one.
    """
    still = dict(kept)
    for report in sorted(reports, key=lambda one: one.mark):
        for test in report.failing:
            if test in passed and passed[test] > report.mark:
                continue  # a report that was made later, but came before, shows it mended
            if test not in still or still[test] < report.mark:
                still[test] = report.mark
        over = [test for test, mark in still.items() if mark < report.mark and report.passes(test)]
        for test in over:
            del still[test]
    return _bounded(still)


def _bounded(still: dict[str, Mark]) -> dict[str, Mark]:
    names = sorted(still.keys() - {REST})
    if len(names) <= MAX_OPEN:
        return still
    cut = {test: still[test] for test in names[:MAX_OPEN]}
    return {**cut, REST: max(still.values())}


def still_failing(current: Sequence[Fact], now: datetime) -> dict[str, Any]:
    """What a condition sees of the open failures of all parts: their number and the first few, with where and when."""
    found = sorted(
        ((fact, one) for fact in current for one in fact.open_failures),
        key=lambda pair: (pair[1].test, pair[0].part),
    )
    return {
        "still_failing_count": len(found),
        "still_failing": [_words(fact, one, now) for fact, one in found[:NAMED]],
    }


def _words(fact: Fact, one: OpenFailure, now: datetime) -> str:
    test = one.test if len(one.test) <= MAX_NAME_CHARS else one.test[: MAX_NAME_CHARS - 1] + "…"
    name = "more tests than are kept" if one.test == REST else test
    return f"{name}: signal {one.last.signal_id}, report {fact.part}, {age_words(now - one.last.time)} ago"


def age_words(age: timedelta) -> str:
    """An age as people say it: ``90 minutes``, ``37 hours``, ``4 days``."""
    minutes = max(int(age / timedelta(minutes=1)), 0)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 72 * 60 else f"{minutes // 1440} days"
