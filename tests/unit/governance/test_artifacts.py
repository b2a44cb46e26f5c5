"""Artifacts: what is told of another build never counts, and a version that is another build now is no GO."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from libs.judge.approval_evidence import evidence_of
from libs.judge.capsule import canonical, check, make_statement
from libs.judge.combine import combine
from libs.judge.facts import Fact, Facts
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.standing import Standing
from libs.judge.verdict import Verdict, judge
from tests.unit.governance.samples import NOW, RELEASE, good_release, rule
from tests.unit.governance.test_capsule import KEYS
from tests.unit.governance.test_emergency import override
from tests.unit.governance.test_lines import OLD_CAPSULE

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TEXT = RELEASE.text.replace("subject_mode: version", "subject_mode: version\ndigest: required")
REQUIRED = parse_policy(TEXT.encode(), "release.yaml")


def facts(digest: str, **more: Any) -> Facts:
    """Good facts whose version's tests are told of this artifact."""
    told = [replace(one, artifact_digest=digest) if one.kind == "test.junit" else one for one in good_release()]
    return Facts(tuple(told), tuple(good_release()), 1, "1.0", **more)


def every(digest: str, **more: Any) -> Facts:
    """Good facts, of which each of the version is told of this artifact."""
    told = (replace(one, artifact_digest=digest) if one.version else one for one in good_release())
    return Facts(tuple(told), tuple(good_release()), 1, "1.0", **more)


def said(policy: Policy, about: Facts) -> Verdict:
    return judge(policy, about, NOW)


def test_a_fact_counts_that_is_about_the_artifact_or_names_none() -> None:
    assert said(RELEASE, facts("", artifact_digest=A)).decision == "go"
    assert said(RELEASE, facts(A, artifact_digest=A)).decision == "go"
    assert said(RELEASE, facts(A)).decision == "go"  # nobody asks which


def test_a_fact_about_another_artifact_fails_its_rule_and_says_both() -> None:
    result = rule(said(RELEASE, facts(B, artifact_digest=A)), "tests_passed")
    assert (result.status, result.has_evidence) == ("fail", False)
    assert f"is about {B}, judged is {A}; wanted one about what is judged." in result.message


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (every(A, artifact_digest=A), ""),
        (every("", artifact_digest=A), "names no artifact's digest; wanted one that names sha256:aaa"),
        (every(B, artifact_digest=A), "is about sha256:bbb"),
        (every(A), "o signal of this version names the artifact's digest"),
        (every(""), "o signal of this version names the artifact's digest"),
    ],
)
def test_a_policy_that_wants_digests_takes_only_facts_that_name_the_right_one(about: Facts, words: str) -> None:
    verdict = said(REQUIRED, about)
    assert verdict.decision == ("no_go" if words else "go"), verdict.reasons
    assert not words or words in rule(verdict, "tests_passed").message


def test_a_version_that_is_another_artifact_now_is_no_go() -> None:
    verdict = said(RELEASE, facts("", artifact_digest=A, named_digest=B))
    assert verdict.reasons == (f"Version 1.0 is {B} by the newest signal that names an artifact, and judged is {A}.",)
    assert all(one.status == "pass" for one in verdict.rules)
    assert said(RELEASE, facts("", artifact_digest=A, named_digest=A)).decision == "go"


def test_no_override_goes_over_to_another_artifact() -> None:
    failing = facts(B, artifact_digest=A)
    given = override(failing)
    overridden = replace(given, evidence=evidence_of(RELEASE, failing, Standing(), said(RELEASE, failing).rules, NOW))
    standing = Standing(overrides=(overridden,))
    assert judge(RELEASE, failing, NOW, standing).decision == "go"
    assert judge(RELEASE, replace(failing, named_digest=B), NOW, standing).decision == "no_go"


def test_facts_of_another_artifact_alone_are_no_facts() -> None:
    text = RELEASE.text.replace("required: true", "required: false")
    advisory = parse_policy(
        text.replace("min_weighted_score_percent: 100", "min_weighted_score_percent: 0").encode(), "r"
    )
    of_version = [one for one in every(B).current if one.version]
    assert said(advisory, Facts(tuple(of_version), (), None, "1.0", artifact_digest=A)).decision == "no_go"
    assert said(advisory, Facts(tuple(of_version), (), None, "1.0", artifact_digest=B)).decision == "go"


def test_the_stricter_of_two_policies_holds() -> None:
    assert combine(RELEASE, REQUIRED).digest_required
    assert combine(REQUIRED, RELEASE).digest_required
    with pytest.raises(PolicyError, match="a site is no artifact"):
        parse_policy(
            TEXT.replace("subject_mode: version", "subject_mode: site")
            .replace("scope: version", "scope: subject")
            .encode(),
            "release.yaml",
        )


def test_evidence_that_was_approved_is_of_one_artifact() -> None:
    def evidence(about: Facts) -> str:
        return evidence_of(RELEASE, about, Standing(), said(RELEASE, about).rules, NOW).sha256

    seen = {evidence(one) for one in (facts(""), facts("", artifact_digest=A), facts("", artifact_digest=B), facts(A))}
    assert len(seen) == 4


def test_a_statement_has_the_artifact_as_a_subject() -> None:
    body = check(OLD_CAPSULE.read_bytes(), KEYS)[1]
    before = json.loads(make_statement(canonical(body)))["subject"]
    assert len(before) == 1
    body["about"]["artifact_digest"] = A
    assert json.loads(make_statement(canonical(body)))["subject"][1] == {
        "name": "app 1.0",
        "digest": {"sha256": "a" * 64},
    }


def test_a_fact_of_the_subject_is_of_no_artifact() -> None:
    stray: tuple[Fact, ...] = tuple(
        replace(one, artifact_digest=B) if not one.version else one for one in good_release()
    )
    assert said(RELEASE, Facts(stray, tuple(good_release()), 1, "1.0", artifact_digest=A)).decision == "go"
