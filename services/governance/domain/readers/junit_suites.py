"""Compares what the suites of a JUnit report announce in their attributes with the tests that are there.

Tools count in their own ways, and these explain a difference: Surefire counts reruns, pytest a test whose teardown
breaks twice, others leave out skipped tests or don't list them; failures and errors are often mixed up, so only their
sum is compared. What remains: fewer announced is a note; more announced is not there, and the report is incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.judge.junit_runs import ERROR, FAILED, SKIPPED
from libs.judge.report_base import Remarks, clean_text, counted, whole_number

MAX_NESTED_SUITES = 16
MAX_SENTENCES = 100

_RERUNS = {"rerunFailure", "rerunError", "flakyFailure", "flakyError"}
_SKIPPED_WORDS = ("skipped", "disabled", "ignored", "skips", "notrun")


class Suite:
    """A suite's attributes and what its elements add up to, those of nested suites included."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.name = clean_text(attributes.get("name", "").strip(), 200)
        self.hostname = clean_text(attributes.get("hostname", ""), 100)
        self._tests = whole_number(attributes.get("tests"))
        self._kinds = [whole_number(attributes.get(name)) for name in ("failures", "errors")]
        self._bad = None if self._kinds == [None, None] else sum(number or 0 for number in self._kinds)
        self._idle = sum(whole_number(attributes.get(word)) or 0 for word in _SKIPPED_WORDS)
        # Of elements: tests, those in this suite itself, not passed ones, skipped ones, an id's second and later runs.
        self.tests = self.own = self.bad = self.errors = self.idle = self.repeated = 0
        self.bad_elements = self.double = self.reruns = 0
        self.told_tests = self.told_bad = 0  # by nested suites that tell more than they hold
        self.fewer: list[str] = []  # a sentence for each difference that is only worth a note
        self.unlisted = 0

    def count(self, outcome: int, children: Sequence[str], *, repeated: bool) -> None:
        """Add a test of this suite itself."""
        elements = sum(child in ("failure", "error") for child in children)
        self.tests += 1
        self.own += 1
        self.repeated += repeated
        self.bad += outcome in (FAILED, ERROR)
        self.errors += outcome == ERROR
        self.idle += outcome == SKIPPED
        self.bad_elements += max(elements, outcome in (FAILED, ERROR))
        self.double += max(0, elements - 1) + (outcome == ERROR)
        self.reruns += sum(child in _RERUNS for child in children)
        self.told_tests += 1
        self.told_bad += max(elements, outcome in (FAILED, ERROR))

    def add(self, nested: Suite) -> None:
        """Add a nested suite that is finished."""
        nested.settle()
        for name in ("tests", "repeated", "bad", "errors", "idle", "bad_elements", "double", "reruns", "unlisted"):
            setattr(self, name, getattr(self, name) + getattr(nested, name))
        self.told_tests += nested.told_tests
        self.told_bad += nested.told_bad
        if len(self.fewer) < MAX_SENTENCES:
            self.fewer += nested.fewer

    def settle(self) -> None:
        """Compare the attributes, once all elements are counted."""
        if self._tests is not None and self._tests != self.own:
            low = self.tests - self.double - self.idle - self.repeated
            high = self.tests + self.reruns + self.double
            if self._tests > high:
                missing_idle = max(0, self._idle - self.idle)
                if self._tests - missing_idle <= high:
                    self.unlisted = max(self.unlisted, self._tests - high)
                else:
                    self.told_tests = max(self.told_tests, self._tests)
            elif self._tests < low:
                self._fewer("test", self._tests, self.tests)
        if self._bad is not None:
            if self._bad > self.bad_elements + self.reruns:
                self.told_bad = max(self.told_bad, self._bad)
            elif not self.repeated and self._bad < self.bad:
                self._fewer("failure", self._bad, self.bad)
            elif self._bad == self.bad and None not in self._kinds and self._kinds[1] != self.errors:
                told = [number or 0 for number in self._kinds]
                self._differs(
                    f"{counted(told[0], 'failure')} and {counted(told[1], 'error')} are announced; "
                    f"{counted(self.bad - self.errors, 'failure')} and {counted(self.errors, 'error')} are there"
                )

    def _fewer(self, noun: str, told: int, found: int) -> None:
        self._differs(f"{counted(told, noun)} {'is' if told == 1 else 'are'} announced and {found} are there")

    def _differs(self, sentence: str) -> None:
        if not self.fewer:  # else a nested suite has said it
            self.fewer.append(f"In {f'suite {self.name!r}' if self.name else 'a suite without a name'} {sentence}.")


def compare(root: Suite, remarks: Remarks) -> int:
    """Write the differences down; gives the number of failures that are announced and that no element shows."""
    root.settle()
    for sentence in root.fewer[:3]:
        remarks.note(sentence)
    if len(root.fewer) > 3:
        remarks.note(f"{len(root.fewer) - 3} more suites announce less than they hold.")
    if root.unlisted:
        remarks.note(f"{counted(root.unlisted, 'skipped test')} announced and not listed.")
    if root.told_tests > root.tests:
        remarks.short("tests", root.told_tests, root.tests)
    hidden = max(0, root.told_bad - root.bad_elements)
    if hidden:
        remarks.short("failures", root.told_bad, root.bad_elements)
    return hidden
