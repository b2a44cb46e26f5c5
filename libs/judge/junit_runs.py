"""What became of each test of a JUnit report, when one test may stand there several times.

A failed attempt before a passed one of the same id is a retry: the test counts once, as passed and *flaky*. A pass
before a failure excuses nothing. An id that only passes several times (parametrised names cut off) is as many tests.
Suites on different hosts (``hostname``: a browser in Playwright, a machine in pytest) run different tests. The host
stands in the id of a failure only where one report has the id under several, as pytest's machines have random names.
"""

from __future__ import annotations

from libs.judge.report_base import clean_text

SKIPPED, PASSED, FAILED, ERROR = range(4)

# One small whole number per test: bits 0 and 1, then how many failures and errors wait for a pass.
_RAN, _FLAKY = 1, 2
_WAITING = 2
_BITS = 20
_MOST = (1 << _BITS) - 1


def id_on(test_id: str, host: str) -> str:
    """The id of a test on one of several hosts: ``shop::pays [firefox]``."""
    return clean_text(test_id + host_suffix(host))


def host_suffix(host: str) -> str:
    """What `id_on` puts behind an id that is short enough."""
    return f" [{host or 'no hostname'}]"


class Runs:
    """Counts of tests. ``retried``: failed attempts that a pass followed, which are no tests of their own."""

    def __init__(self) -> None:
        self.passed = self.failed = self.errors = self.skipped = self.retried = 0
        self.hosts: set[str] = set()
        self._states: dict[str, int] = {}

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped

    def add(self, test_id: str, host: str, outcome: int, *, flaky: bool = False) -> bool:
        """Count one ``<testcase>``; ``flaky``: it says itself that it failed before. True if the id came before."""
        self.hosts.add(host)
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
        """Sorted ids: failing, flaky (and failing nowhere), all that ran, those that only were skipped.

        Failing ones that stand under several hosts are named with each host on which they fail.
        """
        several = self._on_several_hosts()
        named: set[str] = set()
        broken: set[str] = set()
        flaky: set[str] = set()
        ran: set[str] = set()
        idle: set[str] = set()
        for key, state in self._states.items():
            test_id, _, host = key.partition("\0")
            (ran if state & _RAN else idle).add(test_id)
            if state >> _WAITING:
                broken.add(test_id)
                named.add(id_on(test_id, host) if test_id in several else test_id)
            elif state & _FLAKY:
                flaky.add(test_id)
        return sorted(named), sorted(flaky - broken), sorted(ran), sorted(idle - ran)

    def passed_on(self) -> list[str]:
        """Ids with their hosts of what ran and did not fail there; empty if all stands under one host."""
        if len(self.hosts) < 2:
            return []
        good = (key for key, state in self._states.items() if state & _RAN and not state >> _WAITING)
        return [id_on(test_id, host) for test_id, _, host in (key.partition("\0") for key in good)]

    def _on_several_hosts(self) -> set[str]:
        once: set[str] = set()
        several: set[str] = set()
        for key in self._states if len(self.hosts) > 1 else ():
            test_id = key.partition("\0")[0]
            (several if test_id in once else once).add(test_id)
        return several
