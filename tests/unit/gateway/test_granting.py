"""What is too much of what somebody would give."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.gateway.users import UserView
from libs.common.contracts.granting import Granter
from libs.common.contracts.roles import ROLES
from services.gateway.domain.granting import Reach
from services.gateway.domain.scope import ALL, covers
from services.gateway.identity.guard import granter_of

PERMISSIONS = st.frozensets(st.sampled_from(["gate:read", "gate:run", "identity:write"]))
SITES = st.lists(st.sampled_from(["a", "b", "c", ALL]), max_size=3).map(tuple)
REACHES = st.builds(Reach, PERMISSIONS, SITES)


@given(REACHES, REACHES)
def test_it_is_within_if_each_permission_is_held_at_each_of_its_sites(inner: Reach, outer: Reach) -> None:
    holds = inner.permissions <= outer.permissions and all(
        covers(outer.sites, site) if site != ALL else ALL in outer.sites for site in inner.sites
    )
    assert (inner.beyond(outer) is None) is holds


@given(REACHES)
def test_everybody_may_give_what_they_hold(one: Reach) -> None:
    assert one.beyond(one) is None
    assert one.beyond(Reach(one.permissions | {"more"}, (ALL,))) is None


def test_it_says_what_is_too_much() -> None:
    excess = Reach(frozenset({"gate:run", "gate:read"}), ("a", ALL)).beyond(Reach(frozenset({"gate:read"}), ("b",)))
    assert str(excess) == "may gate:run and reaches all sites, a"
    assert str(Reach(frozenset(), ("a",)).beyond(Reach(frozenset(), ("b",)))) == "reaches a"


def test_what_was_taken_away_since_the_request_is_not_held() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    bob = UserView(username="bob", role="viewer", sites=["a"], display_name="", active=True, created_at=at)
    edge = Granter(caller_permissions=sorted(ROLES["owner"]), caller_sites=["*"])
    assert granter_of(bob, (), edge) == Reach(ROLES["viewer"], ("a",))
    assert granter_of(bob, (), Granter()) == Reach(ROLES["viewer"], ("a",)), "by a gateway of a version before"
    narrow = Granter(caller_permissions=["gate:read"], caller_sites=["b"])
    assert granter_of(bob, (), narrow) == Reach(frozenset(), ())
