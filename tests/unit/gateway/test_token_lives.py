"""When a token stops, and what is told before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from libs.common.contracts.gateway.token_policy import TokenPolicy
from services.gateway.domain.token_lives import Due, Life, Told, due, ends, last_day
from services.gateway.identity.token_lives import rules_in, rules_of

DAY = timedelta(days=1)
BORN = datetime(2026, 3, 1, tzinfo=UTC)
LIFE = Life(created_at=BORN, expires_at=BORN + 100 * DAY, active_at=BORN)
RULES = rules_of(TokenPolicy(max_ttl_days=100, rotate_after_days=60, max_idle_days=30, expiry_warning_days=[14, 7, 1]))
REQUIRED = replace(RULES, rotation_required=True)


def at(days: float, life: Life = LIFE, told: Told = Told()) -> Due:  # noqa: B008  frozen
    """What is due then."""
    return due(life, told, RULES, BORN + days * DAY)


def test_the_first_end_counts() -> None:
    assert ends(LIFE, RULES) == (BORN + 30 * DAY, "idle")
    used = replace(LIFE, active_at=BORN + 80 * DAY)
    assert ends(used, RULES) == (BORN + 100 * DAY, "expired")
    assert ends(used, REQUIRED) == (BORN + 60 * DAY, "rotation")
    assert last_day(used, RULES) == BORN + 100 * DAY
    assert last_day(used, REQUIRED) == BORN + 60 * DAY


def test_the_last_way_in_ends_by_its_own_end_only() -> None:
    standing = replace(LIFE, standing=True)
    assert ends(standing, REQUIRED) == (BORN + 100 * DAY, "expired")
    assert last_day(standing, REQUIRED) == BORN + 100 * DAY
    assert due(standing, Told(), REQUIRED, BORN + 61 * DAY) == Due(rotation=2), "told of, and not ended"


def test_whom_a_provider_knows_must_have_been_vouched_for_not_long_ago() -> None:
    seen = replace(LIFE, active_at=BORN + 99 * DAY, signed_in_at=BORN)
    assert ends(seen, RULES) == (BORN + 30 * DAY, "sign_in")
    assert last_day(seen, RULES) == BORN + 30 * DAY
    assert ends(replace(seen, signed_in_at=BORN + 80 * DAY), RULES) == (BORN + 100 * DAY, "expired")
    assert ends(replace(seen, standing=True), RULES) == (BORN + 100 * DAY, "expired")


def test_a_shorter_longest_life_holds_for_what_is_there() -> None:
    shorter = rules_of(TokenPolicy(max_ttl_days=50, rotate_after_days=40, max_idle_days=60))
    used = replace(LIFE, active_at=BORN + 45 * DAY)
    assert ends(used, shorter) == (BORN + 50 * DAY, "age")
    assert last_day(used, shorter) == BORN + 50 * DAY
    assert due(used, Told(rotation=2), shorter, BORN + 49 * DAY) == Due(lead=DAY)
    assert due(used, Told(), shorter, BORN + 50 * DAY) == Due(ended="age")
    assert ends(replace(used, standing=True), shorter) == (BORN + 100 * DAY, "expired")


def test_an_instant_before_and_at_the_end() -> None:
    assert at(30 - 1e-9).ended is None
    assert at(30).ended == "idle"
    used = replace(LIFE, active_at=BORN + 99 * DAY)
    assert at(100, used).ended == "expired"


def test_each_lead_is_told_once_and_missed_ones_are_not_made_up() -> None:
    used = replace(LIFE, active_at=BORN + 99 * DAY)
    done = Told(rotation=2)
    assert at(85, used, done) == Due()
    assert at(86, used, done) == Due(lead=14 * DAY)
    assert at(90, used, replace(done, expiry_lead=14 * DAY)) == Due()
    assert at(93, used, replace(done, expiry_lead=14 * DAY)) == Due(lead=7 * DAY)
    assert at(99.5, used, done) == Due(lead=DAY)
    assert at(99.5, used, replace(done, expiry_lead=DAY)) == Due()


def test_rotation_is_told_before_and_when_it_is_reached() -> None:
    used = replace(LIFE, active_at=BORN + 55 * DAY)
    assert at(52, used) == Due()
    assert at(53, used) == Due(rotation=1)
    assert at(55, used, Told(rotation=1)) == Due()
    assert at(60, used, Told(rotation=1)) == Due(rotation=2)
    assert at(61, used, Told(rotation=2)) == Due()


def test_idleness_is_told_again_after_the_token_was_used() -> None:
    assert at(22) == Due()
    assert at(23) == Due(idle=True)
    told = Told(idle_at=BORN + 23 * DAY)
    assert at(24, told=told) == Due()
    used = replace(LIFE, active_at=BORN + 24 * DAY)
    assert at(47, used, told) == Due(idle=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_ttl_days": 30, "rotate_after_days": 45}, "no token would ever reach that age"),
        ({"max_ttl_days": 30, "rotate_after_days": 30}, "no token would ever reach that age"),
        ({"rotate_after_days": 7, "rotate_warning_days": 7}, "rotate_warning_days must be less"),
        ({"max_idle_days": 5, "idle_warning_days": 6}, "idle_warning_days must be less"),
        ({"expiry_warning_days": [1, 7]}, "from the longest to the shortest"),
        ({"expiry_warning_days": [7, 7]}, "each once"),
        ({"expiry_warning_days": [0]}, "greater than or equal to 1"),
        ({"require_expiry": False}, "True"),
        ({"max_days_without_sign_in": 7}, "sign_in_warning_days"),
        ({"max_active_per_user": 0}, "greater than or equal to 1"),
        ({"max_idle_days": 10**9}, "less than or equal to"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_a_policy_that_can_not_hold_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TokenPolicy.model_validate(fields)


def test_a_stored_policy_that_can_not_be_read_locks_nobody_out() -> None:
    rules_in.cache_clear()
    assert rules_in('{"max_idle_days": 3, "idle_warning_days": 1}').max_idle == 3 * DAY
    assert rules_in('{"of another version": 1}') == rules_in(None) == rules_of(TokenPolicy())
