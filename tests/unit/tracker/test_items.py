"""What a patch says: a field that was left out, one that was sent, and one that was sent as null."""

import pytest

from libs.common.contracts.tracker.items import ItemPatch
from libs.common.problems import Invalid
from services.tracker.domain.claims import Patch
from services.tracker.items import to_patch


def test_fields_left_out_are_not_sent() -> None:
    assert to_patch(ItemPatch(item_id=1)) == Patch()
    assert to_patch(ItemPatch(item_id=1, assignee="ann", completion_checked=False)) == Patch("ann", None, False)


def test_an_assignee_of_null_is_nobody() -> None:
    assert to_patch(ItemPatch.model_validate({"item_id": 1, "assignee": None})) == Patch(assignee="")
    assert to_patch(ItemPatch(item_id=1, assignee="")) == Patch(assignee="")


@pytest.mark.parametrize("field", ["status", "completion_checked", "completion_note"])
def test_null_elsewhere_is_refused(field: str) -> None:
    with pytest.raises(Invalid, match=f"{field} can't be null; leave the field out to keep its value"):
        to_patch(ItemPatch.model_validate({"item_id": 1, field: None}))
