"""Keptn's SLO files become policies that score as Keptn does, and say what they can't."""

from __future__ import annotations

from typing import Any

import pytest

from libs.judge.facts import Facts
from libs.judge.keptn import Imported, import_slo
from libs.judge.lint import lint, lint_kinds
from libs.judge.policy import PolicyError, parse_policy
from libs.judge.results import Verdict
from libs.judge.verdict import judge
from tests.unit.governance.samples import NOW, fact

SLO = """---
spec_version: "1.0"
comparison:
  compare_with: "single_result"
  include_result_with_score: "pass"
  aggregate_function: "avg"
objectives:
  - sli: "response_time_p95"
    displayName: "Response time"
    pass:
      - criteria:
          - "<=+10%"
          - "<600"
    warning:
      - criteria:
          - "<=800"
    weight: 2
  - sli: "error_rate"
    key_sli: true
    pass:
      - criteria: ["<5"]
  - sli: "throughput"
    pass:
      - criteria: [">=100"]
      - criteria: [">=-20%", ">50"]
  - sli: "cpu"
total_score:
  pass: "90%"
  warning: "75%"
"""
SLI = b"""
spec_version: "1.0"
indicators:
  response_time_p95: "histogram_quantile(0.95, sum(rate(http_bucket[5m])) by (le))"
  error_rate: |
    sum(rate(errors[5m]))
      / sum(rate(requests[5m]))
"""
GOOD = {"response_time_p95": 300, "error_rate": 0.5, "throughput": 120.0, "cpu": 0.4}


def imported(text: str = SLO, **more: Any) -> Imported:
    return import_slo(text.encode(), "shop", "slo.yaml", **more)


def judged(made: Imported, *, before: dict[str, Any] | None = None, **figures: Any) -> Verdict:
    """What the policy says of figures; ``before``: those of the last GO."""
    assert made.kind is not None, made.problems
    kind = made.kind.name
    baseline = (fact(kind, before, version="0.9"),) if before else ()
    current = (fact(kind, {**GOOD, **figures}, version="1.0"),)
    facts = Facts(current, baseline, 3 if before else None, "1.0", kinds=(made.kind,))
    return judge(parse_policy(made.text.encode(), "shop.yaml"), facts, NOW)


def test_a_file_becomes_a_policy_that_may_be_published() -> None:
    made = imported(sli=SLI)
    assert made.kind is not None
    policy = parse_policy(made.text.encode(), "shop.yaml")
    assert (*lint(policy, NOW), *lint_kinds(policy, (made.kind,))) == ()
    assert policy.min_weighted_score_percent == 75
    assert [(rule.id, rule.required, rule.weight) for rule in policy.rules] == [
        ("figures_told", True, 0),
        ("response_time_p95", False, 1),
        ("response_time_p95_warning", False, 1),
        ("error_rate", True, 1),
        ("throughput", False, 1),
    ]
    assert "# error_rate: sum(rate(errors[5m])) / sum(rate(requests[5m]))\n" in made.text
    assert made.notes == (
        "a score of 75 and more is GO, with warnings; set min_score_percent to 90 and it must pass",
        "throughput has no query in the SLI file",
        "cpu has no query in the SLI file",
        "cpu has no criteria to pass: its figure is wanted and shown, and not judged",
    )


@pytest.mark.parametrize(
    ("figures", "before", "verdict", "score"),
    [
        ({}, None, "GO", 100.0),
        ({"response_time_p95": 700}, None, "GO_WITH_WARNINGS", 75.0),  # it warns: half of its weight
        ({"response_time_p95": 900}, None, "NO_GO", 50.0),
        ({"error_rate": 5}, None, "NO_GO", 75.0),  # a key SLI
        ({"throughput": 80}, None, "GO", 100.0),  # nothing to compare with
        ({"throughput": 80}, {"throughput": 90}, "GO", 100.0),
        ({"throughput": 71.9}, {"throughput": 90}, "GO_WITH_WARNINGS", 75.0),
        ({"response_time_p95": 330}, {"response_time_p95": 300}, "GO", 100.0),
        ({"response_time_p95": 331}, {"response_time_p95": 300}, "GO_WITH_WARNINGS", 75.0),
    ],
)
def test_scores_are_those_of_keptn(
    figures: dict[str, Any], before: dict[str, Any] | None, verdict: str, score: float
) -> None:
    found = judged(imported(), before={**GOOD, **before} if before else None, **figures)
    assert (found.verdict, found.summary.weighted_score_percent) == (verdict, score), found.reasons


def test_no_figure_is_no_pass() -> None:
    made = imported()
    assert made.kind is not None
    policy = parse_policy(made.text.encode(), "shop.yaml")
    assert judge(policy, Facts(version="1.0", kinds=(made.kind,)), NOW).decision == "no_go"
    lacking = {key: value for key, value in GOOD.items() if key != "cpu"}
    facts = Facts((fact("keptn.shop", lacking, version="1.0"),), version="1.0", kinds=(made.kind,))
    assert "cpu is missing" in " ".join(judge(policy, facts, NOW).reasons)
    two = tuple(fact("keptn.shop", GOOD, version="1.0", part=part) for part in ("a", "b"))
    assert judge(policy, Facts(two, version="1.0", kinds=(made.kind,)), NOW).decision == "no_go"


def test_what_the_last_go_did_not_tell_is_not_compared() -> None:
    before = {key: value for key, value in GOOD.items() if key != "throughput"}
    assert judged(imported(), before=before, throughput=80).verdict == "GO"


def changed(old: str, new: str) -> str:
    assert old in SLO
    return SLO.replace(old, new)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed('compare_with: "single_result"', 'compare_with: "several_results"'), "knows the last GO alone"),
        (changed('"<600"', '"<six"'), "the criterion '<six' of response_time_p95 can't be read"),
        (changed('"<600"', '"<1e3"'), "can't be read"),
        (changed('["<5"]', "[]"), "each a list (line"),
        (changed('["<5"]', "[<5, {a: 1}]"), "can't be read"),
        (changed("key_sli: true", "key_sli: maybe"), "key_sli of error_rate must be true or false (line"),
        (changed("weight: 2", "weight: -2"), "the weight of response_time_p95 must be a number of 0 to 1000 (line"),
        (changed("weight: 2", "weight: .nan"), "the weight of response_time_p95"),
        (changed("weight: 2", "weight: 2\n    owner: me"), "owner is not known in an SLO file"),
        (changed('spec_version: "1.0"', 'spec_version: "1.0"\nbudget: 3'), "budget is not known"),
        (changed('"throughput"', '"error_rate"'), "error_rate stands here twice"),
        (changed('"throughput"', '"error.rate"').replace('"error_rate"', '"error-rate"'), "can't be told from"),
        (changed('pass: "90%"', 'pass: "most"'), "total_score.pass must be a percentage"),
        (changed('  pass: "90%"\n', ""), "total_score.pass is missing"),
        (changed('  - sli: "cpu"', '  - sli: "cpu"\n    key_sli: true'), "cpu has no criteria to pass"),
        (changed('  - sli: "cpu"', "  - cpu"), "objective 4 must be a mapping with sli"),
        ("objectives: []\ntotal_score: {pass: 90%}", "objectives must list 1 to 45"),
        ("objectives: [{sli: a}]\ntotal_score: {pass: 90%}", "no objective has criteria to pass"),
    ],
)
def test_what_can_not_be_kept_is_refused_with_its_line(text: str, said: str) -> None:
    made = imported(text)
    assert any(said in problem for problem in made.problems), made.problems
    assert (made.text, made.kind) == ("", None)


@pytest.mark.parametrize("text", ["", "- a", "a: &x [*x]", "a: !!python/object:os.system x", "[" * 5_000, "a: 1\na: 2"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        imported(text)


def test_an_indicator_without_criteria_may_stand_there_twice() -> None:
    made = imported(changed('  - sli: "cpu"', '  - sli: "cpu"\n  - sli: "cpu"'))
    assert "cpu stands here a second time without criteria; once is enough" in made.notes
    assert made.kind is not None


def test_odd_names_and_criteria_are_told() -> None:
    text = changed('"throughput"', '"through put/s {x}"').replace('"<5"', '"<5%"')
    text = text.replace('include_result_with_score: "pass"', 'include_result_with_score: "all"')
    text = text.replace("objectives:", "filter: {handler: x}\nobjectives:")
    made = imported(text.replace('"cpu"', '"in"'))
    assert made.kind is not None, made.problems
    policy = parse_policy(made.text.encode(), "shop.yaml")
    assert lint_kinds(policy, (made.kind,)) == ()
    assert "through put/s {x} is told as through_put_s__x_, since conditions name it" in made.notes
    assert "in is told as sli_in, since conditions name it" in made.notes
    assert "<5% of error_rate is no change, as it has no sign: it is taken as <5" in made.notes
    assert any(note.startswith("filter is not kept") for note in made.notes)
    assert "relative criteria compare with the last GO, whatever its score; the file says all" in made.notes
