"""What made a verdict another one: the rules that flipped it, and nothing that merely differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from libs.judge.plain import plain
from libs.judge.results import RuleStatus, Verdict, VerdictWord
from libs.judge.verdict import Facts, judge
from services.governance.domain.backtest import MAX_CHARS, MAX_RULES, difference
from tests.unit.governance.samples import NOW, OPERATIONS

NAMES = tuple(rule.id for rule in OPERATIONS.rules)
SOME = judge(OPERATIONS, Facts(), NOW)


def verdict(word: VerdictWord, *statuses: RuleStatus, reasons: tuple[str, ...] = ()) -> Verdict:
    rules = tuple(replace(rule, status=status) for rule, status in zip(SOME.rules, statuses, strict=False))
    return replace(SOME, verdict=word, rules=rules, reasons=reasons)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # A failure decides; that another rule warns now, and one passes now, does not.
        (
            verdict("GO_WITH_WARNINGS", "pass", "pass", "warning"),
            verdict("NO_GO", "fail", "warning", "pass"),
            [(NAMES[0], "pass", "fail")],
        ),
        (
            verdict("NO_GO", "fail", "warning", "pass"),
            verdict("GO_WITH_WARNINGS", "pass", "pass", "warning"),
            [(NAMES[0], "fail", "pass")],
        ),
        # Without a failure: of what warns, only what did not before.
        (verdict("GO_WITH_WARNINGS", "warning"), verdict("NO_GO", "pass", "warning"), [(NAMES[1], None, "warning")]),
        # A rule that is new, gone, waived or only in shadow.
        (verdict("GO", "pass"), verdict("NO_GO", "pass", "fail"), [(NAMES[1], None, "fail")]),
        (verdict("NO_GO", "pass", "fail"), verdict("GO", "pass"), [(NAMES[1], "fail", None)]),
        (verdict("NO_GO", "fail"), verdict("GO_WITH_WARNINGS", "waived"), [(NAMES[0], "fail", "waived")]),
        (verdict("NO_GO", "fail"), verdict("GO", "shadow"), [(NAMES[0], "fail", "shadow")]),
        (verdict("GO", "pass"), verdict("GO_WITH_WARNINGS", "warning"), [(NAMES[0], "pass", "warning")]),
    ],
)
def test_the_rules_that_flipped_it(before: Verdict, after: Verdict, expected: list[Any]) -> None:
    found = difference(plain(before), after)
    assert found is not None
    assert [one[:3] for one in found.rules] == expected
    assert (found.before, found.after) == (before.verdict, after.verdict)


def test_the_score_alone_is_told_by_its_sentence() -> None:
    low = "The weighted score is 80 percent; wanted at least 90 percent."
    worse = difference(plain(verdict("GO_WITH_WARNINGS", "warning")), verdict("NO_GO", "warning", reasons=(low,)))
    assert worse is not None
    assert (worse.rules, worse.reasons) == ((), (low,))
    better = difference(plain(verdict("NO_GO", "warning", reasons=(low,))), verdict("GO_WITH_WARNINGS", "warning"))
    assert better is not None
    assert (better.rules, better.reasons) == ((), (low,))


def test_the_same_word_is_no_flip_and_what_is_told_is_bounded() -> None:
    assert difference(plain(verdict("NO_GO", "fail", "pass")), verdict("NO_GO", "pass", "fail")) is None
    many = tuple(replace(SOME.rules[0], id=f"rule_{n}", status="fail", message="x" * 999) for n in range(40))
    found = difference(plain(verdict("GO")), replace(verdict("NO_GO"), rules=many))
    assert found is not None
    assert (len(found.rules), {len(one[3]) for one in found.rules}) == (MAX_RULES, {MAX_CHARS})
