"""The data of a ``test.junit`` fact, from the tests that a reader of any format counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from libs.judge.junit_runs import PASSED, Runs
from libs.judge.report_base import DEFAULT_PART, JSON, BadReport, ParsedSignal, Remarks, clean_text, counted
from libs.judge.test_ids import MAX_LISTED_BYTES, PRINT_CHARS, can_list, listed_bytes, nameless_id, owner_of, pack
from services.governance.domain.readers.report_text import Source

KIND = "test.junit"  # named after the first format that was read; it is a test report whatever wrote it
MAX_TESTS = 500_000
MAX_SKIPPED_LISTED = 1_000
MAX_OWNER_CHARS = 400
MAX_OWNERS_LISTED = 10_000
# A signal with its data must fit into one NATS message (8 MiB), or nobody could look at it.
MAX_LISTS_BYTES = 5 * 1024 * 1024 + 512 * 1024  # of what ran and what failed together
MAX_OWNERS_BYTES = 512 * 1024
MAX_FLAKY_BYTES = 256 * 1024
MAX_ON_HOSTS = 200_000
NAMED = 3  # how many ids the summary names
MAX_NAMED_CHARS = 50
WHOLE = "whole runs"  # what `Remarks.short` says is missing of a run that broke off


@dataclass(slots=True)
class Tests:
    """What a report's tests add up to. ``passed_in``: classes, files and suites with a test that passed.

    ``what`` names the format in sentences.
    """

    what: str
    runs: Runs = field(default_factory=Runs)
    passed_in: set[str] = field(default_factory=set)
    duration_s: float = 0.0
    _count: int = 0
    _nameless: Counter[str] = field(default_factory=Counter)
    _named: Counter[str] = field(default_factory=Counter)

    def id_of(self, owner: str, name: str, *, once: bool = False) -> str:
        """``owner::name``, or the position in the owner where there is no name.

        ``once``: the format has no retries, so a name that comes again is another test and gets its number.
        """
        owner, name = owner.strip(), name.strip()
        if not name:
            self._nameless[owner] += 1
            return clean_text(nameless_id(clean_text(owner, MAX_OWNER_CHARS), self._nameless[owner]))
        found = clean_text(f"{owner}::{name}" if owner else name)
        if once:
            self._named[found] += 1
            if self._named[found] > 1:
                return clean_text(
                    f"{owner}::{name} ({self._named[found]})" if owner else f"{name} ({self._named[found]})"
                )
        return found

    def add(self, test_id: str, outcome: int, *, owner: str = "", host: str = "", flaky: bool = False) -> bool:
        """Count a test; True if its id came before. Raises BadReport beyond ``MAX_TESTS``."""
        self._count += 1
        if self._count > MAX_TESTS:
            raise BadReport(f"The {self.what} report has more than {MAX_TESTS} tests: split it into parts.")
        if outcome == PASSED:
            self.passed_in.add(clean_text(owner.strip(), MAX_OWNER_CHARS))
        return self.runs.add(test_id, host, outcome, flaky=flaky)


def tests_signal(source: Source, tests: Tests, hidden: int, remarks: Remarks) -> list[ParsedSignal]:
    """The fact of a report, with the keys that `junit.parse_junit` says.

    ``hidden``: failures that only totals tell. Each takes a passed test's place, as nobody knows which.
    """
    if source.mixed:
        remarks.note("Some bytes are not in the encoding that the report declares; they were read as Windows-1252.")
    return [ParsedSignal(KIND, DEFAULT_PART, _data(tests, hidden, remarks))]


def seconds(text: str | None) -> float:
    """A duration; what is no number, NaN, infinite or negative counts as 0."""
    try:
        value = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value >= 0 else 0.0


def _data(reader: Tests, hidden: int, remarks: Remarks) -> dict[str, JSON]:
    runs = reader.runs
    shown = min(hidden, runs.passed)
    total, passed, failed = runs.total + hidden - shown, runs.passed - shown, runs.failed + hidden
    if runs.retried:
        remarks.note(f"{counted(runs.retried, 'failed attempt')} stood before a passed one of the same test.")
    broken, flaky, ran, skipped = runs.lists()
    named = _kept(broken, min(MAX_LISTED_BYTES, MAX_LISTS_BYTES - PRINT_CHARS * len(ran)))
    packed: dict[str, JSON] = {}
    if not can_list(ran, min(MAX_LISTED_BYTES, MAX_LISTS_BYTES - listed_bytes(named))):
        packed = {"tests_packed": pack(ran)}
        remarks.note(f"The ids of {len(ran)} tests are kept as fingerprints, so vanished ones can only be counted.")
    if len(named) < len(broken):
        remarks.note(f"{len(broken)} tests failed, too many for all their ids to be kept.")
    return {
        "total": total,
        "passed": passed,
        "failed": failed,
        "errors": runs.errors,
        "skipped": runs.skipped,
        "flaky": min(len(flaky), passed),
        "duration_s": round(reader.duration_s, 3),
        "failed_tests": named,
        "unnamed_failures": hidden + len(broken) - len(named),
        "flaky_tests": _kept(flaky, MAX_FLAKY_BYTES),
        "tests": [] if packed else ran,
        **packed,
        "skipped_tests": skipped[:MAX_SKIPPED_LISTED],
        "passed_in": _owners_beyond(reader.passed_in, () if packed else ran),
        **_hosts(runs, remarks),
        **remarks.data(_summary(total, passed, failed, runs, flaky, named)),
    }


def _owners_beyond(owners: set[str], test_ids: Sequence[str]) -> list[JSON]:
    """Those of the owners that the ids don't show: suites around classes, and all of them where no ids are kept."""
    beyond = sorted(owners - set(map(owner_of, test_ids)) - {""})
    return list(_kept(beyond[:MAX_OWNERS_LISTED], MAX_OWNERS_BYTES))


def _hosts(runs: Runs, remarks: Remarks) -> dict[str, JSON]:
    """On which host it passed, so that a failure on one is not mended by another."""
    if len(runs.hosts) < 2:
        return {"host": host} if (host := next(iter(runs.hosts), "")) else {}
    passed = runs.passed_on()
    if len(passed) > MAX_ON_HOSTS:
        remarks.note(f"{len(passed)} tests passed on several hosts, too many to mend failures on one: send each alone.")
        passed = []
    return {"passed_on_packed": pack(passed)}


def _kept(test_ids: list[str], max_bytes: int) -> list[str]:
    """As many of the first ones as fit, to a factor of two."""
    while not can_list(test_ids, max_bytes):
        test_ids = test_ids[: len(test_ids) // 2]
    return test_ids


def _summary(total: int, passed: int, failed: int, runs: Runs, flaky: list[str], broken: list[str]) -> str:
    words = [f"{passed} passed"]
    if flaky:
        words[0] += f" of which {len(flaky)} flaky (failed, then passed: {_first(flaky)})"
    words += [f"{failed} failed"] if failed else []
    words += [counted(runs.errors, "error")] if runs.errors else []
    if broken:
        words[-1] += f" ({_first(broken)})"
    words += [f"{runs.skipped} skipped"] if runs.skipped else []
    return f"{counted(total, 'test')}: {', '.join(words)}"


def _first(test_ids: list[str]) -> str:
    names = [clean_text(test_id, MAX_NAMED_CHARS) for test_id in test_ids[:NAMED]]
    return ", ".join([*names, "..."] if len(test_ids) > NAMED else names)
