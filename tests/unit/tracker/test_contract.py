"""What the tracker accepts at the edge."""

import pytest
from pydantic import ValidationError

from libs.common.contracts.tracker.board import SyncBody
from libs.common.contracts.tracker.completion import CompleteBody
from libs.common.contracts.tracker.items import Item, ItemPatch
from services.tracker.domain import item as domain


@pytest.mark.parametrize(
    "fields",
    [
        {"assignee": "a\x00b"},
        {"assignee": "a\nb"},
        {"assignee": "x" * 121},
        {"completion_note": "a\x00b"},
        {"completion_note": "\x1b[31m"},
        {"completion_note": "x" * 4001},
        {"status": "finished"},
        {"unknown": 1},
        {"item_id": 0},
        {"item_id": 2**63},
    ],
)
def test_bad_patches_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ItemPatch.model_validate({"item_id": 1, **fields})


def test_text_is_trimmed() -> None:
    patch = ItemPatch(item_id=1, assignee="  Ann Ö ", completion_note=" one\n\ttwo ")
    assert (patch.assignee, patch.completion_note) == ("Ann Ö", "one\n\ttwo")


@pytest.mark.parametrize("fields", [{"max_items": 0}, {"max_items": 201}, {"gate": "a.>"}, {"subject": " shop"}])
def test_bad_syncs_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SyncBody.model_validate(fields)


def test_a_note_of_blanks_is_empty() -> None:
    assert CompleteBody(force=True, completion_note=" \n ").completion_note == ""


def test_an_item_has_the_same_fields_everywhere() -> None:
    assert tuple(Item.model_fields) == domain.COLUMNS


def test_what_a_run_and_a_person_may_change() -> None:
    never = {"id", "gate", "site", "subject", "line", "rule_id", "created_by", "created_at"}
    by_run, by_person = set(domain.set_by("run")), set(domain.set_by("person"))
    assert by_run | by_person == set(domain.COLUMNS) - never
    assert by_person - by_run == {"assignee", "labels"}
    silent = set(domain.CHANGEABLE) - set(domain.TOLD)
    assert silent == {
        "gate_generated_at",
        "gate_run_id",
        "updated_by",
        "updated_at",
        "revision",
        "responded_at",
        "pauses",
    }
