"""The shortest path to GO: the cheapest repair that suffices, against a search of all sets."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from libs.judge.path import Judged, cost, shortest_path

RULES = st.lists(
    st.tuples(
        st.sampled_from(["pass", "fail", "warning", "waived", "shadow"]),
        st.sampled_from([0.0, 0.5, 1.0, 2.0]),
        st.integers(1, 9),
    ),
    max_size=7,
)


def is_go(rules: list[Judged], repaired: set[str], *, allow_warning: bool, minimum: float) -> bool:
    """Whether it would be GO with these repaired, as `verdict.judge` decides."""
    counted = [rule for rule in rules if rule.status not in ("waived", "shadow")]
    still = [rule for rule in counted if rule.status != "pass" and rule.id not in repaired]
    if any(rule.status == "fail" or not allow_warning for rule in still):
        return False
    total = sum(rule.weight for rule in counted)
    passed = sum(rule.weight for rule in counted if rule not in still)
    return total == 0 or round(100 * passed / total, 2) >= minimum


@given(RULES, st.booleans(), st.sampled_from([0, 50, 75, 100]))
def test_no_cheaper_set_makes_it_go(said: list[tuple[str, float, int]], allow_warning: bool, minimum: float) -> None:
    rules = [Judged(f"r{place}", *one) for place, one in enumerate(said)]
    cost = {rule.id: rule.cost_hours for rule in rules}
    found = shortest_path(rules, allow_warning=allow_warning, min_score_percent=minimum)
    assert is_go(rules, set(found), allow_warning=allow_warning, minimum=minimum)
    every = chain.from_iterable(combinations(cost, size) for size in range(len(cost) + 1))
    good = [one for one in every if is_go(rules, set(one), allow_warning=allow_warning, minimum=minimum)]
    assert sum(cost[name] for name in found) == min(sum(cost[name] for name in one) for one in good)


def test_a_hundred_rules_are_no_trouble() -> None:
    rules = [Judged(f"r{n}", "warning", 1 + n % 7 / 10, 1 + n * 37 % 101) for n in range(100)]
    found = shortest_path(rules, allow_warning=True, min_score_percent=60)
    assert is_go(rules, set(found), allow_warning=True, minimum=60)
    assert len(found) < 70


def test_whose_hands_are_full_costs_more() -> None:
    assert (cost(8, None), cost(8, 0), cost(8, 5), cost(8, 30)) == (8, 8, 12, 32)
    rules = [
        Judged("passes", "pass", 1, 8),
        Judged("full", "warning", 1, cost(8, 30)),
        Judged("free", "warning", 1, cost(16, 0)),
    ]
    by_sla = [replace(one, cost_hours=8.0 if one.id == "full" else 16) for one in rules]
    assert shortest_path(rules, allow_warning=True, min_score_percent=60.0) == ["free"]
    assert shortest_path(by_sla, allow_warning=True, min_score_percent=60.0) == ["full"]
