"""From hand to hand: what happens to the item, and when it is not possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from services.tracker.domain import hands
from services.tracker.domain.changes import Change
from services.tracker.domain.hands import NotPossible
from services.tracker.domain.item import Item, ItemStatus
from tests.unit.tracker.samples import START, apply, run, verdict

NOW = START + timedelta(hours=1)


def item(**changed: object) -> Item:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    return replace(items["a"], id=7, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "after"), [("pending", "in_progress"), ("blocked", "blocked")])
def test_what_is_taken_or_given_is_in_progress(before: ItemStatus, after: ItemStatus) -> None:
    taken = hands.take(item(status=before), "ann", NOW)
    assert (taken.item.assignee, taken.item.status, taken.item.updated_by) == ("ann", after, "ann")
    assert taken.item.completion_note == "[2026-03-01 10:00 UTC] Taken by ann."
    given = hands.give(item(status=before), "ann", "Least load.", NOW)
    assert (given.kind, given.item.assignee, given.item.status, given.item.updated_by) == (
        "assigned", "ann", after, "system",
    )  # fmt: skip
    assert given.item.completion_note == "[2026-03-01 10:00 UTC] Given to ann: Least load."
    assert (given.item.revision, given.item.responded_at, taken.item.responded_at) == (2, None, NOW)


def test_what_is_mine_stays_as_it_is() -> None:
    assert not hands.take(item(assignee="ann"), "ann", NOW).changed


def test_handing_over_keeps_the_status() -> None:
    change = hands.hand_over(item(assignee="ann", status="blocked"), "bob", "I am away", "max", NOW)
    assert (change.kind, change.item.assignee, change.item.status) == ("handed_over", "bob", "blocked")
    assert change.item.completion_note.endswith("Handed over from ann to bob by max: I am away")


@pytest.mark.parametrize(("before", "after"), [("in_progress", "pending"), ("blocked", "blocked")])
def test_what_is_let_go_waits_again(before: ItemStatus, after: ItemStatus) -> None:
    change = hands.release(item(assignee="ann", status=before), "", "ann", NOW)
    assert (change.kind, change.item.assignee, change.item.status) == ("released", None, after)
    assert change.item.completion_note.endswith("Let go by ann, was ann's.")
    told = hands.release(item(assignee="bob"), "left the team", "max", NOW)
    assert told.item.completion_note.endswith("Let go by max, was bob's: left the team")


def test_what_a_run_gave_is_taken_back_as_it_was() -> None:
    given = hands.give(item(completion_note="first"), "ann", "Least load.", NOW).item
    back = hands.take_back(given, "pending", "max", NOW)
    assert (back.kind, back.item.assignee, back.item.status, back.item.updated_by) == (
        "released",
        None,
        "pending",
        "max",
    )
    assert back.item.completion_note.startswith("first\n")
    assert back.item.completion_note.endswith("Taken back from ann: max undid the run that gave it.")
    assert (back.item.revision, back.item.responded_at) == (3, None)


def test_what_is_not_possible_says_why() -> None:
    cases: tuple[tuple[Callable[[], Change], str], ...] = (
        (lambda: hands.take(item(assignee="bob"), "ann", NOW), "is bob's; ask them"),
        (lambda: hands.take(item(is_active=False), "ann", NOW), "resolved"),
        (lambda: hands.take(item(status="done"), "ann", NOW), "is done"),
        (lambda: hands.hand_over(item(), "bob", "x", "ann", NOW), "Nobody has item 7"),
        (lambda: hands.hand_over(item(assignee="bob"), "bob", "x", "ann", NOW), "bob's already"),
        (lambda: hands.release(item(), "", "ann", NOW), "Nobody has item 7"),
    )
    for made, words in cases:
        with pytest.raises(NotPossible, match=words):
            made()
