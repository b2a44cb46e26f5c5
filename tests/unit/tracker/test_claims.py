"""What a person may do to an item."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.tracker.domain.claims import EpisodeEnded, Patch, apply_patch
from services.tracker.domain.item import Item
from tests.unit.tracker.samples import START, apply, run, verdict

LATER = START + timedelta(hours=1)
LATEST = START + timedelta(hours=2)


@pytest.fixture
def item() -> Item:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    return items["a"]


@pytest.fixture
def done(item: Item) -> Item:
    return apply_patch(item, Patch(status="done"), "ann", LATER).item


def test_nothing_sent_changes_nothing(item: Item) -> None:
    found = apply_patch(item, Patch(), "bob", LATER)
    assert (found.item, found.changed, found.told) == (item, (), False)


@pytest.mark.parametrize(
    ("patch", "status", "checked"),
    [
        (Patch(status="done"), "done", True),
        (Patch(completion_checked=True), "done", True),
        (Patch(status="blocked", completion_checked=True), "done", True),
        (Patch(status="done", completion_checked=False), "in_progress", False),
        (Patch(status="in_progress"), "in_progress", False),
        (Patch(status="blocked", completion_checked=False), "blocked", False),
        (Patch(completion_checked=False), "pending", False),
    ],
)
def test_reconciling_an_open_item(item: Item, patch: Patch, status: str, checked: bool) -> None:
    after = apply_patch(item, patch, "bob", LATER).item
    assert (after.status, after.completion_checked) == (status, checked)
    assert after.completed_at == (LATER if status == "done" else None)


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        (Patch(completion_checked=False), "in_progress"),
        (Patch(status="pending"), "pending"),
        (Patch(status="blocked"), "blocked"),
    ],
)
def test_taking_a_claim_back(done: Item, patch: Patch, status: str) -> None:
    found = apply_patch(done, patch, "bob", LATEST)
    after, changed = found.item, found.changed
    assert (after.status, after.completion_checked, after.completed_at) == (status, False, None)
    assert changed == ("status", "completion_checked", "completed_at")
    assert (after.updated_by, after.updated_at, after.revision) == ("bob", LATEST, done.revision + 1)
    assert found.was() == {"status": "done", "completion_checked": True, "completed_at": LATER}
    assert found.now() == {"status": status, "completion_checked": False, "completed_at": None}


def test_the_time_of_a_claim_stays(done: Item) -> None:
    found = apply_patch(done, Patch(completion_note=" see ticket 7 \n", status="done"), "bob", LATEST)
    assert found.item.completed_at == LATER
    assert (found.item.completion_note, found.changed) == ("see ticket 7", ("completion_note",))


def test_assignee_is_trimmed_and_empty_means_nobody(item: Item) -> None:
    taken = apply_patch(item, Patch(assignee="  bob "), "ann", LATER)
    assert (taken.item.assignee, taken.changed) == ("bob", ("assignee",))
    free = apply_patch(taken.item, Patch(assignee="  "), "ann", LATER)
    assert (free.item.assignee, free.changed) == (None, ("assignee",))


@pytest.mark.parametrize("patch", [Patch(status="pending"), Patch(completion_checked=False)])
def test_an_ended_episode_keeps_its_status(done: Item, patch: Patch) -> None:
    ended = replace(done, is_active=False, verified_at=LATER)
    with pytest.raises(EpisodeEnded):
        apply_patch(ended, patch, "bob", LATEST)


def test_an_ended_episode_can_be_noted_on(done: Item) -> None:
    ended = replace(done, is_active=False, verified_at=LATER)
    patch = Patch(completion_note="n", assignee="bob", status="done")
    assert apply_patch(ended, patch, "bob", LATEST).changed == ("assignee", "completion_note")
