"""The score of risk: each rule's points and cap, levels, off-hours in a zone, anomalies, and what is not known."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from libs.common.contracts import CONTRACTS
from libs.common.contracts.audit.conduct import ROUTINE, SENSITIVE
from libs.common.contracts.base import Command
from libs.common.contracts.operations.security import RULES, SecurityPolicy
from services.operations.domain.risk import SAID, anomalies, off_hours, score
from services.operations.security.judging import levels_of

POLICY = SecurityPolicy()
WEIGHTS = {name: (one.points, one.most) for name, one in POLICY.weights}
LEVELS = levels_of(POLICY)
NOTHING = dict.fromkeys(RULES, 0)


@pytest.mark.parametrize(
    ("rule", "points", "most"),
    [
        ("failed_actions", 2, 25),
        ("refused_requests", 0.5, 20),
        ("off_hours_actions", 2, 15),
        ("tokens_expiring", 3, 20),
        ("tokens_rotate_overdue", 3, 20),
        ("users_without_token", 2, 10),
        ("tokens_dormant", 2, 10),
        ("tokens_wildcard_non_owner", 20, 40),
        ("tokens_shared", 10, 20),
        ("users_without_second_factor", 5, 20),
        ("tokens_pass_step_up", 2, 2),
    ],
)
def test_each_rule_gives_its_points_up_to_its_most(rule: str, points: float, most: float) -> None:
    one = score({**NOTHING, rule: 1}, WEIGHTS, LEVELS, [])
    assert (one.value, [(why.rule, why.count, why.points) for why in one.why]) == (points, [(rule, 1, points)])
    many = score({**NOTHING, rule: 1000}, WEIGHTS, LEVELS, [])
    assert (many.value, many.why[0].raw) == (most, 1000 * points)
    assert many.why[0].action


def test_levels_begin_where_the_policy_says_and_the_whole_is_capped() -> None:
    assert score(NOTHING, WEIGHTS, LEVELS, []).level == "low"
    for value, level in (
        (29.5, "low"),
        (30, "medium"),
        (59.5, "medium"),
        (60, "high"),
        (79.5, "high"),
        (80, "critical"),
    ):
        found = score({"tokens_shared": 1}, {"tokens_shared": (value, 100)}, LEVELS, [])
        assert (found.value, found.level) == (value, level)
    every = score(dict.fromkeys(RULES, 1000), WEIGHTS, LEVELS, [])
    assert (every.value, every.level) == (100, "critical")
    assert [one.points for one in every.why] == sorted((one.points for one in every.why), reverse=True)


def test_what_nobody_saw_is_critical() -> None:
    found = score({}, WEIGHTS, LEVELS, ["the tokens (no answer)"])
    assert (found.value, found.level, found.why[0].rule) == (100, "critical", "unread")
    assert "no answer" in found.why[0].message


def test_off_hours_are_those_of_the_zone() -> None:
    at = datetime(2026, 3, 4, 23, 0, tzinfo=UTC)
    assert off_hours(at, UTC, 6, 22)
    assert not off_hours(at, ZoneInfo("Asia/Seoul"), 6, 22)  # 08:00 there
    assert not off_hours(datetime(2026, 3, 4, 6, 0, tzinfo=UTC), UTC, 6, 22)
    assert off_hours(datetime(2026, 3, 4, 22, 0, tzinfo=UTC), UTC, 6, 22)


def test_anomalies_name_metric_and_threshold() -> None:
    assert anomalies(NOTHING, 0, 0, 30) == []
    found = anomalies({**NOTHING, "failed_actions": 30, "tokens_wildcard_non_owner": 1}, 60, 1, 30)
    assert {(one.id, one.status, one.threshold) for one in found} == {
        ("failed_actions_spike", "warning", 30), ("token_wildcard_scope_non_owner", "critical", 1),
        ("sensitive_action_volume", "warning", 60), ("stale_token_usage", "warning", 1),
    }  # fmt: skip
    assert anomalies({**NOTHING, "failed_actions": 29}, 59, 0, 30) == []


def test_a_policy_that_contradicts_itself_is_refused() -> None:
    for wrong in ({"medium_from": 60, "high_from": 60}, {"day_begins_hour": 22}, {"zone": "Mars/Base"}):
        with pytest.raises(ValidationError):
            SecurityPolicy.model_validate(wrong)


def test_every_rule_has_words_and_every_named_action_is_a_command() -> None:
    assert tuple(SAID) == RULES == tuple(WEIGHTS)
    declared = {
        name for contract in CONTRACTS.values() for name, one in contract.by_name.items() if isinstance(one, Command)
    }
    assert {*SENSITIVE, *ROUTINE} <= declared
