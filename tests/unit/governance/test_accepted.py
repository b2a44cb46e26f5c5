"""Accepted baselines in the judge: they end by the clock, cover just what was there, and prove themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.judge.accepted import AcceptedBaseline, AcceptedPart, narrowed, present
from libs.judge.facts import Facts
from libs.judge.plain import plain, read
from libs.judge.policy import parse_policy
from libs.judge.standing import Standing
from libs.judge.test_ids import pack
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, RELEASE, fact, finding, good_release, rule, scan_data, tiny_policy

RULE = "sarif_no_new_high"


def facts(*names: str, severity: str = "high", packed: str = "", **more: Any) -> Facts:
    """A release with these findings."""
    data = {**scan_data(*(finding(name, severity) for name in names)), "severe_packed": packed}
    scan = fact("scan.sarif", data, part="bandit", version="1.0")
    tests, coverage, _, beat = good_release()
    return Facts((tests, coverage, scan, beat), version="1.0", **more)


def standing(*names: str, **changes: Any) -> Standing:
    """A baseline that accepted these findings."""
    parts = (AcceptedPart("scan.sarif", "bandit", findings=pack(names)),)
    day = timedelta(days=1)
    one = AcceptedBaseline(1, "release", "app", "", NOW - day, NOW + day, "old", "OPS-1", "ann", "bob", parts)
    return Standing("release", "global", "app", baselines=(replace(one, **changes),))


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": "other"},
        {"subject": "other"},
        {"line": "1.x"},
        {"ends_at": NOW},
        {"begins_at": NOW + timedelta(seconds=1)},
        {"parts": (AcceptedPart("scan.sarif", "other", findings=pack(["a"])),)},
        {"parts": (AcceptedPart("lint.findings", "bandit", findings=pack(["a"])),)},
    ],
)
def test_it_is_about_one_gate_subject_line_time_and_part(changes: dict[str, Any]) -> None:
    assert judge(RELEASE, facts("a"), NOW, standing("a")).verdict == "GO_WITH_WARNINGS"
    assert judge(RELEASE, facts("a"), NOW, standing("a", **changes)).decision == "no_go"


@given(seconds=st.integers(-200_000, 200_000), length=st.integers(1, 200_000))
def test_no_accepted_baseline_outlives_its_end(seconds: int, length: int) -> None:
    begin = NOW + timedelta(seconds=seconds)
    end = begin + timedelta(seconds=length)
    verdict = judge(RELEASE, facts("a"), NOW, standing("a", begins_at=begin, ends_at=end))
    assert (verdict.decision == "go") is (begin <= NOW < end)
    if verdict.decision == "go":
        assert verdict.next_change_at is not None
        assert verdict.next_change_at <= end
        assert rule(verdict, RULE).status == "waived"


@given(
    there=st.sets(st.sampled_from("abcdef"), min_size=1), known=st.sets(st.sampled_from("abcdef")), big=st.booleans()
)
def test_just_what_was_accepted_is_covered(there: set[str], known: set[str], big: bool) -> None:
    seen = facts(packed=pack(there)) if big else facts(*there)
    verdict = judge(RELEASE, seen, NOW, standing(*known))
    assert (verdict.decision == "go") is (there <= known)
    (one,) = standing(*known).baselines
    left = narrowed(one, seen)
    assert {name for name in known if pack([name]) in "".join(part.findings for part in left.parts)} == there & known
    again = judge(RELEASE, seen, NOW, Standing("release", "global", "app", baselines=(left,)))
    assert again.decision == verdict.decision


def test_what_grew_worse_was_not_accepted() -> None:
    assert present(facts("a", severity="medium"), ["scan.sarif"]) == ()
    (part,) = present(facts("a"), ["scan.sarif", "lint.findings"])
    assert part == AcceptedPart("scan.sarif", "bandit", findings=pack(["a"]))
    broken = facts("a")
    unfinished = replace(broken.current[2], data={**broken.current[2].data, "execution_successful": False})  # type: ignore[dict-item]
    assert present(replace(broken, current=(unfinished,)), ["scan.sarif"]) == ()


def test_a_scan_that_did_not_finish_is_not_covered_and_forgets_nothing() -> None:
    text = tiny_policy(
        subject_mode="subject_mode: version",
        kind="    kind: scan.sarif",
        scope="    scope: version",
        condition="    condition: derived.new_severe_count == 0",  # it does not ask whether the scan finished
        observed='    observed: "{derived.new_severe_count} new"',
    )
    seen = facts("a")
    cut = replace(seen.current[2], data={**scan_data(finding("a"), finished=False), "severe_packed": ""})
    held = replace(standing("a", gate="tiny"), gate="tiny")
    for scan, decision in ((seen.current[2], "go"), (cut, "no_go")):
        given_ = replace(seen, current=(scan,))
        assert judge(parse_policy(text, "tiny.yaml"), given_, NOW, held).decision == decision
    nothing = replace(cut, data={**scan_data(finished=False), "severe_packed": ""})
    (one,) = standing("a").baselines
    assert narrowed(one, replace(seen, current=(nothing,))) == one
    assert narrowed(one, replace(seen, current=())) == one


def test_tests_of_a_part_that_is_missing_or_renamed() -> None:
    def tests(*names: str, part: str = "unit", version: str = "0.9") -> Any:
        data = {"total": len(names), "passed": len(names), "failed": 0, "errors": 0, "skipped": 0, "failed_tests": [],
                "tests": sorted(names), "skipped_tests": []}  # fmt: skip
        return fact("test.junit", data, part=part, version=version)

    def gone(now: Any, before: Any) -> tuple[AcceptedPart, ...]:
        return present(Facts((now,), (before,), 7, "1.0"), ["test.junit"])

    assert gone(tests("a", version="1.0"), tests("a", "b")) == (AcceptedPart("test.junit", "unit", vanished=pack("b")),)
    assert gone(tests("a", part="x", version="1.0"), tests("a", "b")) == ()
    heir = gone(tests("a", part="x", version="1.0"), tests("a", "b", part="default"))
    assert heir == (AcceptedPart("test.junit", "default", vanished=pack("b")),)


def test_it_reads_the_same_from_a_capsule_and_rules_without_it_are_written_as_before() -> None:
    held = standing("a")
    assert read(Standing, plain(held)) == held
    assert "accepted" not in plain(judge(RELEASE, facts(), NOW, held).rules[0])
    assert plain(rule(judge(RELEASE, facts("a"), NOW, held), RULE))["accepted"][0]["finding_count"] == 1
