"""What became of each test of a JUnit report, when one test may stand there several times.

A failed attempt before a passed one of the same id is a retry: the test counts once, as passed and *flaky*. A pass
before a failure excuses nothing. An id that only passes several times (parametrised names cut off) is as many tests.
Suites on different hosts (``hostname``: a browser in Playwright, a machine in pytest) run different tests.
"""

from __future__ import annotations

SKIPPED, PASSED, FAILED, ERROR = range(4)

# One small whole number per test: bits 0 and 1, then how many failures and errors wait for a pass.
_RAN, _FLAKY = 1, 2
_WAITING = 2
_BITS = 20
_MOST = (1 << _BITS) - 1


class Runs:
    """Counts of tests. ``retried``: failed attempts that a pass followed, which are no tests of their own."""

    def __init__(self) -> None:
        self.passed = self.failed = self.errors = self.skipped = self.retried = 0
        self._states: dict[str, int] = {}

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped

    def add(self, test_id: str, host: str, outcome: int, *, flaky: bool = False) -> bool:
        """Count one ``<testcase>``; ``flaky``: it says itself that it failed before. True if the id came before."""
        key = f"{test_id}\0{host}" if host else test_id
        state = self._states.get(key)
        known = state is not None
        now = state or 0
        if outcome == SKIPPED:
            self.skipped += 1
            self._states[key] = now
            return known
        now |= _RAN
        failed, errors = now >> _WAITING & _MOST, now >> (_WAITING + _BITS)
        if outcome == PASSED:
            self.passed += 1
            self.failed -= failed
            self.errors -= errors
            self.retried += failed + errors
            now = _RAN | (now & _FLAKY) | (_FLAKY if flaky or failed or errors else 0)
        elif outcome == FAILED:
            self.failed += 1
            now += 1 << _WAITING
        else:
            self.errors += 1
            now += 1 << (_WAITING + _BITS)
        self._states[key] = now
        return known

    def lists(self) -> tuple[list[str], list[str], list[str], list[str]]:
        """Sorted ids: failing, flaky (and failing nowhere), all that ran, those that only were skipped."""
        broken: set[str] = set()
        flaky: set[str] = set()
        ran: set[str] = set()
        idle: set[str] = set()
        for key, state in self._states.items():
            test_id = key.partition("\0")[0]
            (ran if state & _RAN else idle).add(test_id)
            if state >> _WAITING:
                broken.add(test_id)
            elif state & _FLAKY:
                flaky.add(test_id)
        return sorted(broken), sorted(flaky - broken), sorted(ran), sorted(idle - ran)
