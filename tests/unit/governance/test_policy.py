"""Policies: what the shipped ones say, what a file may not say, and overrides."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from libs.judge.policy import PolicyError, apply_overrides, load_policies, parse_policy, settings_view
from libs.judge.policy_model import look_up
from tests.unit.governance.samples import OPERATIONS, POLICIES_FOLDER, RELEASE, tiny_policy

ONE_MORE_RULE = tiny_policy().split(b"rules:\n")[1].decode()


def test_the_operations_policy_is_the_one_of_the_facility_system() -> None:
    assert [(rule.id, rule.required, rule.weight, rule.owner_role, rule.sla_hours) for rule in OPERATIONS.rules] == [
        ("preflight_no_error", True, 1.5, "Platform Owner", 4),
        ("runbook_no_critical", True, 2.0, "Ops Lead", 4),
        ("security_risk_within_max", True, 1.25, "Security Manager", 8),
        ("daily_check_recent", False, 1.0, "Ops PM", 12),
        ("dr_restore_valid_recent", False, 2.0, "DR Owner", 24),
        ("deploy_smoke_binding_recent", False, 1.5, "Release Manager", 8),
        ("weekly_streak_target_met", False, 0.75, "Operations Excellence Lead", 24),
    ]
    assert sum(rule.weight for rule in OPERATIONS.rules) == 10.0
    assert settings_view(OPERATIONS) == {
        "allow_warning": True,
        "max_security_risk_level": "high",
        "require_preflight_no_error": True,
        "require_runbook_no_critical": True,
        "require_daily_check_recent": False,
        "daily_check_max_age_hours": 36,
        "require_dr_restore_valid_recent": False,
        "dr_max_age_days": 35,
        "require_deploy_smoke_binding_recent": False,
        "deploy_smoke_max_age_hours": 72,
        "require_weekly_streak_target_met": False,
        "security_dashboard_days": 30,
        "dr_weight": 2.0,
        "min_weighted_score_percent": 75.0,
    }


def test_the_release_policy() -> None:
    ids = ["tests_passed", "coverage_line", "sarif_no_new_high", "alerts_none_critical"]
    assert [rule.id for rule in RELEASE.rules] == ids
    assert all(rule.required and rule.max_age_hours for rule in RELEASE.rules)
    assert [rule.scope for rule in RELEASE.rules] == ["version", "version", "version", "subject"]
    assert [rule.max_age_hours for rule in RELEASE.rules] == [24, 24, 24, 0.25]
    assert RELEASE.digest == sha256((POLICIES_FOLDER / "release.yaml").read_bytes()).hexdigest()
    assert RELEASE.kinds == {"test.junit", "coverage.cobertura", "scan.sarif", "alert.alertmanager"}


def test_a_small_policy_and_its_defaults() -> None:
    policy = parse_policy(tiny_policy(), "tiny.yaml")
    rule = policy.rules[0]
    assert (rule.owner_role, rule.sla_hours, rule.action) == ("Ops Manager", 24, "")
    assert rule.age_limit == timedelta(hours=1)
    ageless = parse_policy(tiny_policy(max_age="    ageless_reason: It never changes."), "tiny.yaml").rules[0]
    assert (ageless.age_limit, ageless.max_age_hours, ageless.ageless_reason) == (None, None, "It never changes.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"condition": "    condition: facst == 0"}, "rule one: condition, column 1: undeclared reference to 'facst'"),
        (
            {"condition": "    condition: |\n      fact.error_count == 0\n      && facst"},
            "rule one: condition, line 2, column 4: undeclared reference to 'facst' (file line ",
        ),
        ({"condition": "    condition: 1 + 1"}, "rule one: condition, column 1: the expression gives INT, not BOOL"),
        ({"condition": "    condition: ''"}, "rule one: condition must not be empty"),
        ({"condition": ""}, "rule one: when is missing"),
        ({"condition": "    condition: 3"}, "rule one: condition must be text (line 17)"),
        ({"kind": "    kind: ops.none"}, "rule one: kind must be one of"),
        ({"scope": "    scope: version"}, "scope version needs subject_mode version"),
        ({"max_age": ""}, "max_age_hours is missing; without one, say why in ageless_reason"),
        ({"max_age": "    max_age_hours: 1\n    max_age_days: 1"}, "give one of max_age_minutes"),
        ({"max_age": "    max_age_hours: 0"}, "must be above 0"),
        ({"max_age": "    max_age_hours: .nan"}, "must be 0 to 100000"),
        ({"max_age": "    max_age_hours: '36'"}, "max_age_hours must be a number"),
        ({"max_age": "    max_age_hours: 1\n    age_of: latest_run_at"}, "age_of must be every_part"),
        ({"max_age": "    max_age_hours: 1\n    age_of: watchdog"}, "age_of must be every_part"),
        ({"max_age": "    max_age_hours: 1\n    ageless_reason: x"}, "unknown key ageless_reason"),
        ({"required": "    required: 'true'"}, "required must be true or false"),
        ({"required": "    required: 1"}, "required must be true or false"),
        ({"weight": "    weight: true"}, "weight must be a number"),
        ({"weight": "    weight: -1"}, "weight must be 0 to 1000"),
        ({"weight": "    weight: 0"}, "at least one rule that is enforced needs a weight above 0"),
        ({"weight": "    weight: 1\n    wieght: 2"}, "rule one: unknown key wieght (line "),
        ({"weight": "    weight: 1\n    sla_hours: 0"}, "sla_hours must be 1 to"),
        ({"weight": "    weight: 1\n    sla_hours: 1.5"}, "sla_hours must be a whole number"),
        ({"weight": "    weight: 1\n    detail: {x: fact.nope}"}, "detail x: unknown lookup fact.nope"),
        ({"weight": "    weight: 1\n    detail: {x: 3}"}, "detail x: unknown lookup 3"),
        ({"weight": "    weight: 1\n    detail: 3"}, "detail must be a mapping"),
        ({"observed": '    observed: "{fact.eror_count} errors"'}, "observed: unknown lookup {fact.eror_count}"),
        ({"wanted": '    wanted: "{params.least}"'}, "wanted: unknown lookup {params.least}"),
        ({"wanted": '    wanted: "{x"'}, "wanted: a brace that is not part of a lookup"),
        ({"weight": "    weight: 1\n    reasons: [3]"}, "reason 1: is not a mapping"),
        (
            {"weight": "    weight: 1\n    reasons: [{when: '1', observed: a, wanted: b}]"},
            "rule one: reason 1: when, column 1: the expression gives INT",
        ),
        ({"id": "  - id: One"}, "rule One: id must begin with a-z"),
        ({"wanted": '    wanted: "0"\n' + ONE_MORE_RULE}, "rule one: stands here a second time"),
        ({"wanted": '    wanted: "0"\n  - 3'}, "rule number 2 is not a mapping"),
        ({"name": "name: A Name"}, "name must be 1 to 40"),
        ({"name": ""}, "name is missing"),
        ({"title": "title: Tiny\ntitle: Again"}, "line 3, column 1: the key title stands here a second time"),
        ({"title": "title: Tiny\n1: x"}, "keys must be text"),
        ({"title": "title: Tiny\nextra: x"}, "unknown key extra (line 3)"),
        ({"title": "title: &t Tiny"}, "anchors and aliases are not allowed"),
        ({"title": "title: *t"}, "anchors and aliases are not allowed"),
        ({"title": "title: !!python/object:os.system x"}, "tags are not allowed"),
        ({"title": "title: [x"}, "tiny.yaml, line "),
        ({"title": "title: " + "[" * 5_000}, "nested too deep"),
        ({"title": "title: " + "x" * 530_000}, "at most 524288 are read"),
        ({"title": "title: 2026-01-01"}, "title must be text"),
        ({"subject_mode": "subject_mode: both"}, "subject_mode must be one of site, version"),
        ({"min_weighted_score_percent": "min_weighted_score_percent: 101"}, "must be 0 to 100"),
        ({"parameters": "parameters: {most: [1]}"}, "parameter most must be a number"),
        ({"parameters": "parameters: {most: .inf}"}, "parameter most must be a finite number"),
        ({"settings": "settings: {X: 3}"}, "setting X: is not a mapping"),
        ({"settings": "settings: {X: {name: x, target: parameters.no}}"}, "setting X: there is no parameters.no"),
        ({"settings": "settings: {X: {name: x, target: rules.one.kind}}"}, "there is no rules.one.kind"),
        (
            {"settings": "settings: {X: {name: x, target: rules.one.max_age_days}}"},
            "there is no rules.one.max_age_days",
        ),
        ({"settings": "settings: {X: {name: x, target: title}}"}, "there is no title"),
        ({"settings": "settings: {X: {name: x, target: parameters.most, minimum: 5}}"}, "outside its own limits"),
        ({"settings": "settings: {X: {name: x, target: parameters.most, oops: 5}}"}, "setting X: unknown key oops"),
    ],
)
def test_bad_policies_name_file_rule_and_place(changes: dict[str, str], words: str) -> None:
    with pytest.raises(PolicyError) as raised:
        parse_policy(tiny_policy(**changes), "tiny.yaml")
    assert raised.value.message.startswith("tiny.yaml")
    assert words in raised.value.message


@pytest.mark.parametrize("content", [b"", b"- a", b"\xff", b"a: \x01"])
def test_files_that_are_no_policy(content: bytes) -> None:
    with pytest.raises(PolicyError, match=r"tiny\.yaml"):
        parse_policy(content, "tiny.yaml")


def test_a_gate_without_rules_is_refused() -> None:
    head = tiny_policy().split(b"rules:\n")[0]
    with pytest.raises(PolicyError, match="rules must hold 1 to 1000 rules"):
        parse_policy(head + b"rules: []\n", "tiny.yaml")


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="holds no policy"):
        load_policies(tmp_path)
    (tmp_path / "a.yaml").write_bytes(tiny_policy())
    assert load_policies(tmp_path).keys() == {"tiny"}
    (tmp_path / "b.yaml").write_bytes(tiny_policy())
    with pytest.raises(PolicyError, match=r"b\.yaml: the name tiny is taken by a\.yaml"):
        load_policies(tmp_path)
    (tmp_path / "b.yaml").write_bytes(tiny_policy(condition="    condition: facst.x == 1"))
    with pytest.raises(PolicyError, match=r"b\.yaml: rule one: condition, column 6: undeclared reference to 'facst"):
        load_policies(tmp_path)


def test_too_many_policies(tmp_path: Path) -> None:
    for number in range(101):
        (tmp_path / f"{number}.yaml").touch()
    with pytest.raises(PolicyError, match="at most 100 are read"):
        load_policies(tmp_path)


def test_overrides_change_values_clamp_numbers_and_change_the_digest() -> None:
    changed = apply_overrides(
        OPERATIONS,
        {
            "ALLOW_WARNING": "False",
            "MAX_SECURITY_RISK_LEVEL": "MEDIUM",
            "REQUIRE_DR_RESTORE_VALID": "on",
            "DAILY_CHECK_MAX_AGE_HOURS": "0",
            "DR_MAX_AGE_DAYS": "-5",
            "SECURITY_DASHBOARD_DAYS": "3",
            "DR_WEIGHT": "0.25",
            "MIN_WEIGHTED_SCORE_PERCENT": "250",
            "DEPLOY_SMOKE_MAX_AGE_HOURS": "1e30",
        },
    )
    view = settings_view(changed)
    assert (view["allow_warning"], view["max_security_risk_level"]) == (False, "medium")
    assert view["require_dr_restore_valid_recent"] is True
    assert (view["daily_check_max_age_hours"], view["dr_max_age_days"]) == (1, 1)
    assert (view["security_dashboard_days"], view["dr_weight"], view["min_weighted_score_percent"]) == (7, 1.0, 100)
    assert view["deploy_smoke_max_age_hours"] == 1_000_000
    assert changed.digest != OPERATIONS.digest
    assert settings_view(OPERATIONS)["allow_warning"] is True


def test_overrides_that_change_nothing_keep_the_digest() -> None:
    assert apply_overrides(OPERATIONS, {}) is OPERATIONS
    assert apply_overrides(OPERATIONS, {"ALLOW_WARNING": "true"}).digest == OPERATIONS.digest


@pytest.mark.parametrize(
    ("suffix", "value", "words"),
    [
        ("ALLOW_WARNING", "maybe", "must be true or false"),
        ("ALLOW_WARNING", "", "must be true or false"),
        ("MAX_SECURITY_RISK_LEVEL", "extreme", "must be one of low, medium, high, critical"),
        ("DR_MAX_AGE_DAYS", "many", "must be a number"),
        ("DR_MAX_AGE_DAYS", "nan", "must be a number"),
        ("DR_MAX_AGE_DAYS", "inf", "must be a number"),
        ("DR_MAX_AGE", "3", "no setting DR_MAX_AGE; known are ALLOW_WARNING"),
    ],
)
def test_overrides_that_do_not_fit_are_errors(suffix: str, value: str, words: str) -> None:
    with pytest.raises(PolicyError) as raised:
        apply_overrides(OPERATIONS, {suffix: value})
    assert words in raised.value.message


def test_lookups_of_what_is_not_there_are_none() -> None:
    assert look_up("fact.x", {}) is None
    assert look_up("fact.x", {"fact": 3}) is None
