"""Which site a request concerns, and who may see it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.scope import Verdict, choose, covers, narrow, within

SCOPES = st.lists(st.sampled_from(["*", "global", "a", "b", "c"]), max_size=4)
SITES = st.sampled_from(["global", "a", "b", "c"])


@given(SCOPES, SCOPES, SITES)
def test_narrow_allows_what_both_allow(first: list[str], second: list[str], site: str) -> None:
    assert covers(narrow(first, second), site) == (covers(first, site) and covers(second, site))
    assert narrow(first, second) == narrow(second, first)
    assert within(narrow(first, second), first)


def test_only_all_is_within_all() -> None:
    assert within(["*"], ["*", "a"])
    assert not within(["*"], ["a", "b"])
    assert within([], [])
    assert within(["a"], ["*"])


def test_the_site_of_a_request() -> None:
    assert choose(["*"], None, names_object=True).verdict is Verdict.ALLOWED
    assert choose(["*"], None, names_object=False).site == "global"
    assert choose(["a"], "a", names_object=True).verdict is Verdict.ALLOWED
    assert choose(["a"], "b", names_object=True).verdict is Verdict.FORBIDDEN
    assert choose(["a"], None, names_object=True).verdict is Verdict.HIDDEN
    assert choose(["a"], None, names_object=False).verdict is Verdict.FORBIDDEN
    assert choose([], "global", names_object=False).verdict is Verdict.FORBIDDEN
