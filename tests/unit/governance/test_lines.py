"""Lines: derived from a version by a pattern that no version can make slow, and never guessed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.problems import Invalid
from libs.judge.capsule import canonical, check, make_statement
from libs.judge.combine import combine
from libs.judge.facts import Facts
from libs.judge.lines import MAX_LINE_CHARS, check_pattern, line_of
from libs.judge.policy import PolicyError, parse_policy
from libs.judge.verdict import judge
from services.governance.catalog import Target
from tests.unit.governance.samples import NOW, RELEASE, good_release, rule
from tests.unit.governance.test_capsule import KEYS

TEXT = RELEASE.text.replace("subject_mode: version", 'subject_mode: version\nline_pattern: "{1}.{2}"')
LINED = parse_policy(TEXT.encode(), "release.yaml")
OLD_CAPSULE = Path(__file__).with_name("old_capsule.json")


@pytest.mark.parametrize(
    ("pattern", "version", "line"),
    [
        ("{1}.{2}", "1.4.2", "1.4"),
        ("{1}.{2}", "v1.4.2-rc.1", "1.4"),
        ("{1}", "2026.11.28", "2026"),
        ("line {2} of {1}", "release-7.3+build.9", "line 3 of 7"),
        ("{1}.{1}", "04", "04.04"),
        ("{9}", "1.2.3.4.5.6.7.8.9", "9"),
    ],
)
def test_a_line_is_made_of_the_first_dotted_number(pattern: str, version: str, line: str) -> None:
    check_pattern(pattern)
    assert line_of(pattern, version) == line


@pytest.mark.parametrize("version", ["main", "2-rc.1", "1..2", "٣.٤", "1 .2"])
def test_a_number_that_is_too_short_gives_no_line(version: str) -> None:
    with pytest.raises(ValueError, match="has no part"):
        line_of("{1}.{2}", version)


def test_a_line_that_is_too_long_is_refused() -> None:
    assert len(line_of("{1}", "9" * MAX_LINE_CHARS)) == MAX_LINE_CHARS
    with pytest.raises(ValueError, match="more than 100"):
        line_of("{1}", "9" * (MAX_LINE_CHARS + 1))


@pytest.mark.parametrize("pattern", ["", "main", "{0}", "{1", "{1}}", "{x}", "{10}", "{1}" * 40, "{1}\n"])
def test_a_pattern_that_places_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_pattern(pattern)


@given(st.text(max_size=200))
def test_no_version_makes_it_raise_anything_else_or_slow(version: str) -> None:
    begun = time.perf_counter()
    with contextlib.suppress(ValueError):
        line_of("{1}.{2}.{3}", version)
    assert time.perf_counter() - begun < 1


def test_a_policy_says_it_and_a_site_does_not_change_it() -> None:
    assert (RELEASE.line_pattern, LINED.line_pattern) == ("", "{1}.{2}")
    other = parse_policy(TEXT.replace("{1}.{2}", "{1}").encode(), "release.yaml")
    assert combine(LINED, other).line_pattern == "{1}.{2}"
    assert combine(RELEASE, other).line_pattern == "{1}"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"{1}.{2}"', "main", "must hold places"),
        ("subject_mode: version", "subject_mode: site", "line_pattern needs subject_mode version"),
        ('"{1}.{2}"', "7", "must be text"),
    ],
)
def test_a_policy_that_can_not_derive_is_refused(before: str, after: str, words: str) -> None:
    text = TEXT.replace(before, after).replace(
        "scope: version", "scope: subject" if "site" in after else "scope: version"
    )
    with pytest.raises(PolicyError, match=words):
        parse_policy(text.encode(), "release.yaml")


def test_nobody_picks_another_line_than_the_derived_one() -> None:
    target = Target("release", "global", "app", "1.4.2")
    assert target.placed(LINED).line == "1.4"
    assert Target("release", "global", "app", "1.4.2", "1.4").placed(LINED).line == "1.4"
    assert Target("release", "global", "app", "1.4.2", "hotfix").placed(RELEASE).line == "hotfix"
    with pytest.raises(Invalid, match=r"puts 1\.4\.2 into the line 1\.4, not into hotfix"):
        Target("release", "global", "app", "1.4.2", "hotfix").placed(LINED)
    with pytest.raises(Invalid, match=r"its number \(it has none\) has no part 1"):
        Target("release", "global", "app", "main").placed(LINED)


def test_a_line_without_a_baseline_says_so() -> None:
    facts = Facts(tuple(good_release()), (), None, "1.0", (), "1")
    assert rule(judge(RELEASE, facts, NOW), "tests_passed").message.endswith("Baseline: none in the line 1.")


def test_capsules_of_before_there_were_lines_are_proven() -> None:
    content = OLD_CAPSULE.read_bytes()
    assert b'"line"' not in content
    assert check(content, KEYS)[0] == []


def test_a_statement_names_the_line() -> None:
    body = check(OLD_CAPSULE.read_bytes(), KEYS)[1]
    body["about"]["line"] = "1.4"
    assert b'"resourceUri":"headgate:global/small/app/1.0#line=1.4"' in make_statement(canonical(body))
