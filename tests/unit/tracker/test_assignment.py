"""Who gets what: the order of roles, the least load, limits, absences, ties."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker.domain.assignment import (
    OWNERS_WORK,
    Person,
    Proposal,
    Work,
    in_items,
    load_of,
    preference,
    propose,
    urgency,
    weight,
)
from tests.unit.tracker.samples import START

ANN, MAX, OLE = Person("ann", "owner"), Person("max", "manager"), Person("ole", "operator")
LATER = START + timedelta(days=2)


def work(number: int = 1, owner_role: str = "Ops Lead", priority: int = 4, hours: float | None = 48) -> Work:
    return Work(number, owner_role, priority, None if hours is None else START + timedelta(hours=hours))


def names(proposals: list[Proposal]) -> list[str | None]:
    return [one.assignee for one in proposals]


@pytest.mark.parametrize("owner_role", sorted(OWNERS_WORK))
def test_owners_work_goes_to_owners_then_managers_and_to_operators_last(owner_role: str) -> None:
    busy = replace(ANN, load=100, open_items=20)
    (first,) = propose([work(owner_role=owner_role)], [OLE, MAX, busy], START)
    assert (first.assignee, first.reason) == ("ann", "ann (owner) has the least load of the owners: 50.")
    (second,) = propose([work(owner_role=owner_role)], [OLE, MAX, replace(ANN, away_until=LATER)], START)
    assert second.assignee == "max"
    assert f"It is work of the {owner_role}, but no owner is free (1 away). max (manager)" in second.reason
    (third,) = propose([work(owner_role=owner_role)], [OLE, replace(MAX, limit=3, open_items=3)], START)
    assert third.assignee == "ole"
    assert "but no owner is responsible here; no manager is free (1 at the limit). ole (operator)" in third.reason


@pytest.mark.parametrize("owner_role", ["Ops Lead", "Ops PM", "Operations Excellence Lead", "Ops Manager", "else"])
def test_other_work_goes_to_whoever_has_least(owner_role: str) -> None:
    people = [replace(ANN, load=2), replace(MAX, load=4), replace(OLE, load=6)]
    found = propose([work(number, owner_role) for number in range(4)], people, START)
    assert names(found) == ["ann", "ann", "max", "ann"]  # each adds 2 halves; ties go by name


def test_nobody_is_a_reason() -> None:
    (alone,) = propose([work()], [], START)
    assert alone.assignee is None
    assert alone.reason == (
        "Nobody can take it: no owner is responsible here; no manager is responsible here; no operator is responsible "
        "here."
    )
    (full,) = propose([work()], [replace(OLE, limit=0), replace(ANN, away_until=LATER)], START)
    assert "no owner is free (1 away)" in full.reason
    assert "no operator is free (1 at the limit)" in full.reason


@pytest.mark.parametrize(
    ("hours", "expected"), [(-0.01, "late"), (0, "soon"), (24, "soon"), (24.01, "later"), (None, "later")]
)
def test_urgency(hours: float | None, expected: str) -> None:
    assert urgency(work(hours=hours).due_at, START) == expected


def test_weights() -> None:
    assert [weight(priority, "later") for priority in (1, 2, 3, 4, 9, 0)] == [8, 6, 4, 2, 2, 2]
    assert [weight(1, near) for near in ("later", "soon", "late")] == [8, 12, 16]
    assert load_of({(1, "late"): 2, (4, "later"): 3}) == 38
    assert in_items(3) == 1.5


def test_urgent_work_weighs_more() -> None:
    first, *rest = [work(1, priority=1, hours=-1), *(work(number) for number in range(2, 10))]
    found = propose([first, *rest], [OLE, replace(OLE, username="pia")], START)
    assert found[0].assignee == "ole"
    assert names(found[1:]) == ["pia"] * 8, "one late failure weighs as much as eight warnings"


PEOPLE = st.lists(
    st.builds(
        Person,
        username=st.text("abcdef", min_size=1, max_size=3),
        role=st.sampled_from(["owner", "manager", "operator"]),
        open_items=st.integers(0, 5),
        load=st.integers(0, 40),
        limit=st.none() | st.integers(0, 8),
        away_until=st.none() | st.just(LATER),
    ),
    max_size=8,
    unique_by=lambda person: person.username,
)
WORKS = st.lists(
    st.builds(
        work,
        owner_role=st.sampled_from(["Platform Owner", "DR Owner", "Ops Lead", "else"]),
        priority=st.integers(1, 5),
        hours=st.none() | st.floats(-100, 100),
    ),
    max_size=30,
)


def slowly(works: list[Work], people: list[Person]) -> list[str | None]:
    """The same, looking at everybody each time."""
    state = {person.username: person for person in people}
    found: list[str | None] = []
    for one in works:
        chosen = None
        for roles in preference(one.owner_role):
            free = [
                person
                for person in state.values()
                if person.role in roles
                and person.away_until is None
                and (person.limit is None or person.open_items < person.limit)
            ]
            if free:
                chosen = min(free, key=lambda person: (person.load, person.username))
                break
        found.append(chosen.username if chosen else None)
        if chosen:
            adds = weight(one.priority, urgency(one.due_at, START))
            state[chosen.username] = replace(chosen, load=chosen.load + adds, open_items=chosen.open_items + 1)
    return found


@given(WORKS, PEOPLE, st.randoms())
def test_each_pick_is_the_least_loaded_of_the_first_role_that_is_free(
    works: list[Work], people: list[Person], chance: random.Random
) -> None:
    found = propose(works, people, START)
    assert names(found) == slowly(works, people)
    assert [one.work for one in found] == works
    shuffled = chance.sample(people, len(people))
    assert propose(works, shuffled, START) == found, "the order of people does not matter"


@given(WORKS, PEOPLE)
def test_nobody_gets_more_than_allowed(works: list[Work], people: list[Person]) -> None:
    found = propose(works, people, START)
    for person in people:
        got = names(found).count(person.username)
        assert not got or person.away_until is None
        assert not got or person.limit is None or person.open_items + got <= person.limit
    if any(person.away_until is None and person.limit is None for person in people):
        assert None not in names(found), "somebody without a limit can take anything"
