"""Kinds of one's own: what may be declared, what the data must hold, and what rules make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.judge.capsule import About, check, digest, make_body, make_statement, seal
from libs.judge.dsse import Signer, public_keys
from libs.judge.facts import Fact, Facts
from libs.judge.lint import lint_kinds
from libs.judge.own_kinds import OwnKind, by_name, compiled, may_be_own, problems_of, samples
from libs.judge.own_schemas import BadSchema, check_of
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_tests import run_cases
from libs.judge.standing import Standing
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, fact, tiny_policy

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["state", "score"],
    "properties": {
        "state": {"enum": ["open", "done"]},
        "score": {"type": "number", "minimum": 0, "maximum": 10},
        "open_count": {"type": "integer", "minimum": 0},
        "reviewers": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "at": {"type": ["string", "null"], "format": "date-time"},
    },
}
REVIEW = OwnKind.of("acme.review", "design review", SCHEMA, ["open_count"])
GOOD = {"state": "done", "score": 7.5, "open_count": 0}


def policy(condition: str = "fact.state == 'done' && fact.score >= 5.0", **changes: str) -> Policy:
    lines = {
        "kind": "    kind: acme.review",
        "condition": f'    condition: "{condition}"',
        "observed": '    observed: "{fact.state} with {fact.score}"',
        "wanted": '    wanted: "done with at least 5"',
    }
    return parse_policy(tiny_policy(**{**lines, **changes}), "tiny.yaml")


def told(*data: Any, **more: Any) -> Facts:
    facts = (fact("acme.review", one, part=f"part-{at}") for at, one in enumerate(data))
    return Facts(tuple(facts), **{"kinds": (REVIEW,), **more})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (GOOD, None),
        ({**GOOD, "at": None, "reviewers": ["a"], "more": {"x": [1]}}, None),
        ({"state": "done"}, "score is missing"),
        ({**GOOD, "state": "DONE"}, "state must be one of open, done"),
        ({**GOOD, "score": True}, "score must be a number of 0 to 10"),
        ({**GOOD, "score": float("nan")}, "score must be a number of 0 to 10"),
        ({**GOOD, "score": 10**400}, "score must be a number of 0 to 10"),
        ({**GOOD, "open_count": 1.0}, "open_count must be a whole number of 0 to"),
        ({**GOOD, "reviewers": ["a", "b", "c", "d"]}, "reviewers must be a list of 0 to 3"),
        ({**GOOD, "reviewers": ["a", 3]}, "reviewers [1] must be text of 0 to 500 letters"),
        ({**GOOD, "at": "yesterday"}, "at must be an RFC 3339 time"),
        ({**GOOD, "more": "x" * 70_000}, "data of acme.review have more than 65536 letters"),
        ([GOOD], "data of acme.review must be an object"),
    ],
)
def test_data_that_do_not_fit_the_schema_are_told_what_is_wrong(data: Any, problem: str | None) -> None:
    found = problems_of("acme.review", data, by_name((REVIEW,)))
    assert (found == []) if problem is None else found[0].startswith(problem), found


@pytest.mark.parametrize(
    "name", ["review", "test.review", "OPS.x", "a..b", "acme.", "acme.x y", "1.2", "a" * 119 + ".b"]
)
def test_a_name_of_headgates_or_of_one_word_is_none_of_ones_own(name: str) -> None:
    assert not may_be_own(name)
    with pytest.raises(BadSchema, match="can't be declared"):
        compiled(replace(REVIEW, name=name))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "pattern": "(a+)+$"}, "pattern is not known in a schema of type string"),
        ({"$ref": "#/x"}, r"\$ref is not known in a schema without a type"),
        ({"type": "string", "default": "x"}, "default is not known"),
        ({}, "needs a type or an enum"),
        (True, "is no schema"),
        ({"type": ["string", "number"]}, "type must be one of"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "minimum is above maximum"),
        ({"type": "number", "maximum": float("inf")}, "maximum must be a number"),
        ({"type": "string", "maxLength": 10**9}, "minLength and maxLength must be in order"),
        ({"type": "array"}, "items is no schema"),
        ({"type": "array", "items": {"type": "boolean"}, "maxItems": 10**9}, "minItems and maxItems"),
        ({"type": "object", "required": ["x"]}, "required names x"),
        ({"type": "object", "additionalProperties": {}}, "additionalProperties true or false"),
        ({"enum": []}, "enum must list 1 to 200"),
        ({"enum": [{}]}, "enum must list 1 to 200"),
        ({"type": "string", "format": "uri"}, "date-time"),
    ],
)
def test_what_a_schema_may_not_say_is_refused_and_never_passed_over(schema: Any, said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        check_of(schema, "here")


def test_a_deep_schema_is_refused_without_a_deep_call() -> None:
    deep: Any = {"type": "string"}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    with pytest.raises(BadSchema, match="deeper than 8"):
        check_of(deep, "here")
    nested = '{"type":"object","properties":{"x":' + "[" * 8_000 + "]" * 8_000 + "}}"
    with pytest.raises(BadSchema):
        compiled(replace(REVIEW, schema=nested, totals=()))


def test_a_rule_passes_only_over_a_declared_kind_whose_data_fit() -> None:
    passed = judge(policy(), told(GOOD), NOW)
    assert (passed.decision, passed.rules[0].message) == ("go", "Done with 7.5; wanted done with at least 5.")
    low = judge(policy(), told({**GOOD, "score": 2}), NOW)
    assert (low.decision, low.rules[0].observed) == ("no_go", "done with 2")
    none = judge(policy(), told(), NOW)
    assert none.rules[0].observed == "no design review was received"
    odd = judge(policy(), told({**GOOD, "state": "maybe"}), NOW)
    assert "the design review part-0 (signal" in odd.rules[0].observed.lower()
    assert "state must be one of open, done" in odd.rules[0].observed


def test_a_kind_that_was_removed_fails_its_rules_whatever_there_is() -> None:
    for facts in (told(GOOD, kinds=()), told(kinds=()), told(GOOD, kinds=(replace(REVIEW, schema="{"),))):
        verdict = judge(policy("true"), facts, NOW)
        assert verdict.decision == "no_go"
        assert verdict.rules[0].observed == "the kind acme.review is not declared here"
        assert not verdict.rules[0].has_evidence
    needs = policy(needs="    needs: [acme.audit]")
    assert "no acme.audit was received" in judge(needs, told(GOOD), NOW).rules[0].observed


def test_facts_are_judged_by_the_present_declaration() -> None:
    stricter = OwnKind.of("acme.review", "design review", {**SCHEMA, "required": ["state", "score", "at"]}, [])
    verdict = judge(policy(), told(GOOD, kinds=(stricter,)), NOW)
    assert "at is missing" in verdict.rules[0].observed


def test_totals_are_over_all_parts_and_null_where_one_has_none() -> None:
    rule = policy("derived.open_count_sum <= 3 && derived.open_count_max <= 2 && derived.part_count == 2")
    assert judge(rule, told({**GOOD, "open_count": 1}, {**GOOD, "open_count": 2}), NOW).decision == "go"
    assert judge(rule, told({**GOOD, "open_count": 1}, {**GOOD, "open_count": 3}), NOW).decision == "no_go"
    lacking = {key: value for key, value in GOOD.items() if key != "open_count"}
    assert judge(rule, told({**GOOD, "open_count": 1}, lacking), NOW).decision == "no_go"


def test_a_baseline_of_an_older_schema_holds_nothing_up() -> None:
    before = (fact("acme.review", {"old": 1}, part="part-0"), fact("acme.review", {"old": 1}, part="gone"))
    facts = told(GOOD, baseline=before, baseline_run=3)
    assert judge(policy("derived.missing_parts == ['gone']"), facts, NOW).decision == "go"


@pytest.mark.parametrize(
    ("before", "passes"),
    [
        ({"part-0": 3}, True),
        ({"part-0": 4}, False),
        ({"other": 3}, True),
        ({"part-0": 3, "other": 3}, False),  # nobody knows which of them to compare with
        ({"part-0": "three"}, False),
        ({"part-0": True}, False),
        ({}, False),
    ],
)
def test_the_figure_of_the_last_go_is_that_of_its_only_part(before: dict[str, Any], passes: bool) -> None:
    old = tuple(fact("acme.review", {"open_count": count}, part=part) for part, count in before.items())
    facts = told(GOOD, baseline=old, baseline_run=3 if old else None)
    verdict = judge(policy("derived.open_count_before == 3"), facts, NOW)
    assert (verdict.decision == "go") is passes, verdict.reasons


def test_an_age_counts_from_a_key_of_the_data() -> None:
    of_key = policy(max_age="    max_age_hours: 1\n    age_of: at")
    at = (NOW - timedelta(hours=2)).isoformat()
    assert "2 hours old" in judge(of_key, told({**GOOD, "at": at}), NOW).rules[0].observed
    assert "no run is recorded" in judge(of_key, told(GOOD), NOW).rules[0].observed


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("fact.state == 'done'", ()),
        ("fact.state == 'done' && 'fact.nope' != fact.state", ()),
        ("fact.nope == 1", ("fact.nope is no key of acme.review",)),
        ("derived.nope == 1", ("derived.nope is no key of acme.review",)),
        ("fact.state == 'done' && fact.score.startsWith('5')", ("condition: over data that fit",)),
        ("fact.score > 'high'", ("condition: over data that fit",)),
        ("fact.reviewers[0].startsWith('a')", ()),
        ("parts.all(one, one.rating > 1)", ("condition: over data that fit",)),
        ("derived.open_count_sum < 3 && derived.part_count > 0", ()),
        ("10 / fact.open_count > 1", ()),
    ],
)
def test_lint_knows_the_keys_and_types_of_a_declared_kind(condition: str, said: tuple[str, ...]) -> None:
    found = lint_kinds(policy(condition), (REVIEW,))
    assert len(found) == len(said), found
    assert all(words in one for words, one in zip(said, found, strict=True))


def test_lint_names_what_is_not_declared() -> None:
    wants = policy(needs="    needs: [acme.audit]", wanted='    wanted: "{fact.nope}"\n    age_of: neither')
    assert [one.partition("rule one: ")[2] for one in lint_kinds(wants, (REVIEW,))] == [
        "the kind acme.audit is not declared here; publish it among the kinds first",
        "fact.nope is no key of acme.review",
        "fact.neither is no key of acme.review",
    ]
    with pytest.raises(PolicyError, match="or one of your own"):
        policy(kind="    kind: test.jnit")


def test_a_policys_tests_read_declared_kinds() -> None:
    tests = """
tests:
  - name: good
    facts: [{kind: acme.review, data: {state: done, score: 7}}]
    expect: {decision: go}
"""
    whole = parse_policy(policy().text.encode() + tests.encode(), "tiny.yaml")
    assert run_cases(whole, (REVIEW,)) == ()
    assert "the kind acme.review is not declared here" in run_cases(whole)[0]


def test_a_capsule_carries_the_declarations_it_was_judged_by() -> None:
    signer, one = Signer.from_secret("x" * 30), policy()
    text = json.dumps(GOOD)
    facts, standing = told(GOOD), Standing("tiny", "global", "site")
    about = About("global", "tiny", "site", "", 1, 1, "api", "me", "test")
    digests = {held.signal_id: digest(text.encode()) for held in facts.current}
    body = make_body(about, one, facts, NOW, judge(one, facts, NOW, standing), digests, standing)

    def capsule(written: bytes) -> bytes:
        held = {digest(text.encode()): text, digest(one.text.encode()): one.text}
        statement = make_statement(written)
        return seal(written, statement, signer.public.key_id, signer.sign(statement), held)

    keys = public_keys(signer.public)
    assert check(capsule(body), keys)[0] == []
    forged = body.replace(b'\\"maximum\\": 10', b'\\"maximum\\": 1')
    assert forged != body
    assert "Judged again, the verdict differs" in check(capsule(forged), keys)[0][0]


WORDS = st.sampled_from(["a", "b"])
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | WORDS
SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 2}, {"type": "number"}])
    | st.lists(SCALARS, min_size=1, max_size=3).map(lambda words: {"enum": words}),
    lambda inner: (
        st.builds(lambda one: {"type": "array", "items": one, "minItems": 1}, inner)
        | st.dictionaries(WORDS, inner, max_size=2).map(
            lambda held: {"type": "object", "properties": held, "required": sorted(held)}
        )
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_the_samples_of_a_schema_fit_it(inner: dict[str, Any]) -> None:
    kind = OwnKind.of("acme.any", "any", {"type": "object", "properties": {"x": inner}, "required": ["x"]}, [])
    assert all(problems_of("acme.any", one, by_name((kind,))) == [] for one in samples(kind))


@given(SCHEMAS, st.recursive(SCALARS, lambda one: st.lists(one, max_size=2) | st.dictionaries(WORDS, one, max_size=2)))
def test_no_data_break_a_check(inner: dict[str, Any], value: Any) -> None:
    assert check_of(inner, "here")(value) is None or isinstance(check_of(inner, "here")(value), str)


def test_facts_of_others_are_none_of_ones_own() -> None:
    other = Fact("acme.other", "x", 9, "/s", "e", NOW, {}, "")
    assert judge(policy(), Facts((other,), kinds=(REVIEW,)), NOW).decision == "no_go"
