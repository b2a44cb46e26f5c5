"""Who may say it: what a rule with ``sources`` or ``actors`` hears of facts that several people sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from libs.judge.facts import Fact, Facts, OpenFailure, Seen
from libs.judge.plain import plain, read
from libs.judge.policy import Policy, parse_policy
from libs.judge.policy_tests import run_cases
from libs.judge.results import RuleResult
from libs.judge.verdict import judge
from libs.judge.voices import heard_kinds
from tests.unit.governance.samples import NOW, fact, finding, junit_data, scan_data, tiny_policy

TESTS = {
    "subject_mode": "subject_mode: version",
    "scope": "    scope: version",
    "kind": "    kind: test.junit",
    "condition": "    condition: derived.not_passed == 0",
    "observed": '    observed: "{derived.not_passed} not passed"',
    "wanted": '    wanted: "0"\n    actors: [ci-*]',
}
SCANS = {
    **TESTS,
    "kind": "    kind: scan.sarif",
    "condition": "    condition: derived.new_severe_count == 0",
    "observed": '    observed: "{derived.new_severe_count} new"',
}


def policy(**changes: str) -> Policy:
    return parse_policy(tiny_policy(**changes), "tiny.yaml")


def said(actor: str, data: Any, minutes: int, *, kind: str = "test.junit", part: str = "unit", **more: Any) -> Fact:
    one = fact(kind, data, part=part, age=timedelta(minutes=minutes), version="1.0")
    return replace(one, actor=actor, voice=actor, **more)


def told(*facts: Fact, **more: Any) -> Facts:
    """The facts as they are stored: the newest of each actor, and of each part the newest of all."""
    parts: dict[tuple[str, str], Fact] = {}
    for one in facts:
        kept = parts.get((one.kind, one.part))
        parts[one.kind, one.part] = one if kept is None or kept.time < one.time else kept
    return Facts((*(replace(one, voice="") for one in parts.values()), *facts), version="1.0", **more)


def result(of: Policy, facts: Facts) -> RuleResult:
    return judge(of, facts, NOW).rules[0]


GOOD, BAD = junit_data("a", "b"), junit_data("a", failed=("b",))


def test_what_a_stranger_sends_later_neither_passes_nor_fails() -> None:
    rule = policy(**TESTS)
    cheat = result(rule, told(said("ci-1", BAD, 20), said("eve", GOOD, 10)))
    assert (cheat.passed, cheat.message) == (False, "1 not passed; wanted 0. Baseline: none.")
    spoiled = result(rule, told(said("ci-1", GOOD, 20), said("eve", BAD, 10), said("eve", BAD, 10, part="more")))
    assert spoiled.passed
    assert [note.partition(" is not judged")[2] for note in spoiled.notes] == [": it hears actors ci-*"] * 2
    assert "of eve (/test)" in spoiled.notes[0]


SIGNED = {**TESTS, "wanted": '    wanted: "0"\n    signers: ["key:global/*"]'}
KEY = "key:global/ci"


def test_a_rule_that_wants_a_signature_hears_no_report_without_one() -> None:
    rule = policy(**SIGNED)
    assert result(rule, told(said("ci", GOOD, 10, signer=KEY, signers=(KEY,)))).passed
    for signer in ("", "key:berlin/ci", "oidc:global/ci/x"):
        alone = result(rule, told(said("ci", GOOD, 10, signer=signer)))
        assert alone.observed == "no test report of version 1.0 was received, and it hears signers key:global/*"
    cheat = result(rule, told(said("ci", BAD, 20, signer=KEY, signers=(KEY,)), said("eve", GOOD, 10)))
    assert not cheat.passed
    assert "of eve (/test, not signed) is not judged: it hears signers key:global/*" in cheat.notes[0]


def test_a_later_word_without_a_signature_hides_none_that_was_signed() -> None:
    hidden = said("ci", GOOD, 10, part="e2e", signers=("key:global/old", KEY))
    found = result(policy(**SIGNED), told(said("ci", GOOD, 10, signer=KEY, signers=(KEY,)), hidden))
    assert not found.passed
    assert "it comes from /test, not signed: it hears signers key:global/*" in found.observed
    other = said("ci", GOOD, 10, part="e2e", signers=("key:berlin/other",))
    assert result(policy(**SIGNED), told(said("ci", GOOD, 10, signer=KEY, signers=(KEY,)), other)).passed


def test_an_unreadable_report_counts_if_its_sender_is_heard() -> None:
    good = said("ci", GOOD, 20, signer=KEY, signers=(KEY,))
    for sender, signer, passes in (("eve", "", True), ("ci", "", False), ("eve", KEY, False)):
        bad = said(sender, {}, 10, part="x", signer=signer, problems=("no XML",))
        found = result(policy(**SIGNED), told(good, unread=(replace(bad, voice=""), bad)))
        assert found.passed is passes, (sender, signer)


def test_where_only_strangers_speak_nothing_was_received() -> None:
    alone = result(policy(**TESTS), told(said("eve", GOOD, 10)))
    assert not alone.passed
    assert alone.observed == "no test report of version 1.0 was received, and it hears actors ci-*"
    assert not alone.facts_used
    # A signal from before actors were noted has no voice, and nobody is named by a pattern that takes all.
    old = Facts((fact("test.junit", GOOD, version="1.0"),), version="1.0")
    assert not result(policy(**TESTS), old).passed
    assert not result(policy(**{**TESTS, "wanted": '    wanted: "0"\n    actors: ["*"]'}), old).passed
    assert result(policy(**{**TESTS, "wanted": '    wanted: "0"'}), old).passed


def test_a_rule_that_names_nobody_looks_at_the_newest_of_all() -> None:
    anybody = policy(**{**TESTS, "wanted": '    wanted: "0"'})
    assert heard_kinds(anybody) == {}
    assert not result(anybody, told(said("ci-1", GOOD, 20), said("eve", BAD, 10))).passed
    open_ = (OpenFailure("c", Seen(1, NOW)),)
    assert result(anybody, told(said("ci-1", GOOD, 20, open_failures=open_), said("eve", GOOD, 10))).passed


def test_beside_a_rule_with_names_one_without_still_sees_what_all_left_open() -> None:
    anybody = policy(**{**TESTS, "wanted": '    wanted: "0"'})
    of_ci = said("ci-1", GOOD, 10)
    of_all = replace(of_ci, voice="", open_failures=(OpenFailure("c", Seen(1, NOW)),))
    for order in ((of_ci, of_all), (of_all, of_ci)):
        assert not result(anybody, Facts(order, version="1.0")).passed
    unread = said("ci-1", {}, 10, problems=("it ends early",))
    assert result(anybody, replace(told(of_ci), unread=(unread,))).passed  # the newest of all of that sender is another


def test_the_newest_of_those_that_are_named_counts_with_what_others_of_them_left_open() -> None:
    rule = policy(**TESTS)
    assert result(rule, told(said("ci-1", BAD, 20), said("ci-2", GOOD, 10))).passed
    assert not result(rule, told(said("ci-1", GOOD, 20), said("ci-2", BAD, 10))).passed
    left = result(rule, told(said("ci-1", BAD, 20), said("ci-2", junit_data("a"), 10)))
    assert not left.passed
    assert left.observed.startswith("1 tests were not shown passing since they failed (b: ")
    earlier = (OpenFailure("c", Seen(1, NOW - timedelta(hours=1))),)
    assert not result(rule, told(said("ci-1", GOOD, 20, open_failures=earlier), said("ci-2", GOOD, 10))).passed
    shown = junit_data("a", "b", "c")
    assert result(rule, told(said("ci-1", GOOD, 20, open_failures=earlier), said("ci-2", shown, 10))).passed


def test_a_broken_report_of_one_that_is_named_is_not_hidden() -> None:
    broken = told(said("ci-1", {}, 10, problems=("it ends early",)), said("eve", GOOD, 5))
    assert "is broken: it ends early" in result(policy(**TESTS), broken).observed
    unread = said("ci-1", {}, 10, problems=("it ends early",))
    assert not result(policy(**TESTS), replace(told(said("ci-1", GOOD, 20)), unread=(unread,))).passed
    of_eve = said("eve", {}, 10, problems=("it ends early",))
    both = (of_eve, replace(of_eve, voice=""))
    assert result(policy(**TESTS), replace(told(said("ci-1", GOOD, 20)), unread=both)).passed


def test_sources_and_actors_must_both_fit_and_only_the_star_is_special() -> None:
    both = {**TESTS, "wanted": '    wanted: "0"\n    sources: ["/ci/[main]*"]\n    actors: [ci]'}
    for source, actor, passed in (
        ("/ci/[main]/7", "ci", True),
        ("/ci/m/7", "ci", False),
        ("/ci/[main]/7", "cia", False),
        ("x/ci/[main]", "ci", False),
    ):
        assert result(policy(**both), told(said(actor, GOOD, 5, source=source))).passed is passed, source
    assert heard_kinds(policy(**both)) == {"test.junit": ("ci",)}


def test_an_actor_that_goes_on_from_another_source_hides_nothing() -> None:
    sources = policy(**{**TESTS, "wanted": '    wanted: "0"\n    sources: [/main]'})
    other, good = said("ci", GOOD, 5, source="/branch"), said("ci", GOOD, 9, part="more", source="/main")
    assert result(sources, told(good, other)).passed  # a part that only the branch ever told of
    covering = result(sources, told(good, replace(other, mixed=True)))
    assert (covering.passed, covering.has_evidence) == (False, False)
    assert "is broken: it comes from /branch: it hears sources /main" in covering.observed
    assert result(sources, told(good, replace(other, mixed=True, source="/main"))).passed


def test_what_a_stranger_found_in_the_baseline_is_not_known() -> None:
    rule = policy(**SCANS)
    now = told(said("ci-1", scan_data(finding("x")), 5, kind="scan.sarif"))
    before = said("ci-1", scan_data(finding("x")), 90, kind="scan.sarif")
    assert result(rule, replace(now, baseline=(before,), baseline_run=1)).passed
    of_eve = replace(before, actor="eve")
    assert not result(rule, replace(now, baseline=(of_eve,), baseline_run=1)).passed


def test_kinds_that_are_needed_or_read_beside_are_heard_in_the_same_way() -> None:
    needs = policy(**{**TESTS, "wanted": TESTS["wanted"] + "\n    needs: [ops.preflight]"})
    preflight = {"overall_status": "ok", "error_count": 0, "warning_count": 0}
    tests = said("ci-1", GOOD, 5)
    assert not result(needs, told(tests, said("eve", preflight, 5, kind="ops.preflight"))).passed
    assert result(needs, told(tests, said("ci-9", preflight, 5, kind="ops.preflight"))).passed
    # An older word of a named one that was broken is over when the next is right.
    mended = (said("ci-1", {}, 9, kind="ops.preflight"), said("ci-2", preflight, 5, kind="ops.preflight"))
    assert result(needs, told(tests, *mended)).passed
    scans = policy(**{**SCANS, "kind": "    kind: scan.vulnerabilities"})
    read = ("scan.vulnerabilities", "vex.statements", "vuln.exploited")
    assert heard_kinds(scans) == dict.fromkeys(read, ("ci-*",))


def test_a_policys_test_says_who_speaks() -> None:
    facts = "{kind: test.junit, actor: %s, data: {total: 1, passed: 1, failed: 0, errors: 0, skipped: 0, " \
        "failed_tests: [], tests: [a], skipped_tests: []}}"  # fmt: skip
    tests = "\ntests:\n" + "\n".join(
        f"  - {{name: {actor}, facts: [{facts % actor}], expect: {{decision: {decision}}}}}"
        for actor, decision in (("ci-1", "go"), ("eve", "no_go"))
    )
    assert run_cases(parse_policy(tiny_policy(**TESTS) + tests.encode(), "tiny.yaml")) == ()


def test_facts_that_were_written_before_they_had_an_actor_can_be_read() -> None:
    written = plain(replace(fact("test.junit", None), actor="", voice=""))
    del written["actor"], written["voice"]
    assert read(Fact, written).actor == ""
    for wrong in ({**written, "more": 1}, {key: held for key, held in written.items() if key != "kind"}, 3):
        with pytest.raises(ValueError, match="is no Fact with"):
            read(Fact, wrong)
