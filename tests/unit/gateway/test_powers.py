"""Several roles, each at its own sites: never thrown together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.narrowing import WHOLE, narrowing
from services.gateway.domain.powers import held_at, held_throughout, held_until, live, warns_at
from services.gateway.domain.rights import Power, sites_where
from services.gateway.domain.scope import ALL, covers
from services.gateway.identity.callers import Principal

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
NAMES = ["gate:read", "gate:run", "policy:write"]
SITES = ["a", "b", "c"]
SCOPES = st.lists(st.sampled_from([*SITES, ALL]), min_size=1, max_size=3, unique=True).map(tuple)
POWERS = st.lists(
    st.builds(Power, st.just("own"), st.frozensets(st.sampled_from(NAMES)), SCOPES, st.just("grant 1")), max_size=4
).map(tuple)


@given(POWERS, st.sampled_from(NAMES), st.sampled_from(SITES))
def test_a_permission_is_held_where_a_role_that_has_it_counts(
    powers: tuple[Power, ...], permission: str, site: str
) -> None:
    by_hand = any(permission in one.permissions and covers(one.sites, site) for one in powers)
    assert covers(sites_where(powers, permission), site) is by_hand
    assert (permission in held_at(powers, site)) is by_hand
    assert (permission in held_throughout(powers, (site,))) is by_hand
    if permission in held_throughout(powers, tuple(SITES)):
        assert by_hand


@given(POWERS, st.sampled_from(NAMES), st.sampled_from(SITES), SCOPES, st.none() | st.sets(st.sampled_from(NAMES)))
def test_for_a_deed_a_caller_may_what_some_role_may_there_as_far_as_the_token(
    powers: tuple[Power, ...], permission: str, site: str, own: tuple[str, ...], bound: set[str] | None
) -> None:
    token = narrowing(bound, None, None) if bound is not None else WHOLE
    caller = Principal("ann", "viewer", own, 1, NOW, token, powers=powers)
    acting = caller.acting(permission)
    viewer = Power("viewer", frozenset({"gate:read"}), own)
    here = any(permission in one.permissions and covers(one.sites, site) for one in (viewer, *powers))
    here = here and token.allows(permission)
    assert (acting.may(permission) and covers(acting.sites, site)) is here
    if powers:  # else it says what it always said, and the site is looked at by its scope
        assert (permission in acting.acting(permission, site).permissions) is here
    # Whatever else it says that it may, it may at each site that it names.
    for other in acting.permissions & set(NAMES):
        assert all(other in acting.acting(permission, one).permissions for one in SITES if covers(acting.sites, one))


def test_what_is_over_is_not_held() -> None:
    powers = tuple(
        Power("operator", frozenset({"gate:run"}), (ALL,), f"grant {hours}", NOW + timedelta(hours=hours))
        for hours in (-1, 0, 1)
    )
    assert [one.source for one in live(powers, NOW)] == ["grant 1"]
    caller = Principal("ann", "viewer", ("a",), 1, NOW, powers=powers)
    assert caller.at(NOW).may("gate:run")
    assert not caller.at(NOW + timedelta(hours=1)).may("gate:run")
    assert caller.at(NOW + timedelta(hours=1)).acting("gate:read").sites == ("a",)


def test_a_short_grant_is_told_of_in_its_last_quarter() -> None:
    assert warns_at(NOW, NOW + timedelta(days=30)) == NOW + timedelta(days=29)
    assert warns_at(NOW, NOW + timedelta(hours=4)) == NOW + timedelta(hours=3)


def test_what_is_held_until_an_end_is_held_until_the_last_power_that_gives_it_ends() -> None:
    soon, late = NOW + timedelta(hours=1), NOW + timedelta(hours=9)
    own = Power("viewer", frozenset({"gate:read"}), ("*",))
    lent = [
        Power("manager", frozenset({"gate:read", "share:write"}), (site,), f"grant {number}", ends_at)
        for number, (site, ends_at) in enumerate((("plant-a", soon), ("plant-a", late), ("plant-b", soon)))
    ]
    both = ("gate:read", "share:write")
    assert held_until([own], "plant-a", ["gate:read"]) is None
    assert held_until([own, *lent], "plant-a", ["gate:read"]) is None
    assert held_until([own, *lent], "plant-a", both) == late
    assert held_until([own, *lent], "plant-b", both) == soon
    assert held_until(lent[:1], "plant-a", both) == soon
    team = Power("manager", frozenset(both), ("plant-a",), "team desk")
    assert held_until([own, *lent, team], "plant-a", both) is None
