"""Which evidence is sampled, and what is said of a sample."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common.contracts.integrity import TableIntegrity
from libs.common.contracts.operations.integrity import IntegrityWanted, Unasked
from libs.common.integrity import Kept, chosen, in_row
from services.operations.integrity import summed

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def kept(*names: str) -> list[Kept]:
    async def nothing() -> None:
        return None

    return [Kept(name, None, None, in_row(nothing)) for name in names]


@pytest.mark.parametrize(
    ("newest", "anywhere", "count", "wanted"),
    [
        ("abcd", "wxyz", 4, "abwx"),
        ("abcd", "", 4, "abcd"),  # what is not old enough to be found elsewhere is filled up with new ones
        ("ab", "wxyz", 4, "abwx"),
        ("abcd", "abcd", 4, "abcd"),  # each once
        ("a", "w", 1, "a"),
        ("", "", 3, ""),
    ],
)
def test_half_are_the_newest(newest: str, anywhere: str, count: int, wanted: str) -> None:
    assert "".join(one.id for one in chosen(kept(*newest), kept(*anywhere), count)) == wanted


@pytest.mark.parametrize(
    ("table", "unread", "status"),
    [
        ({"checked_count": 3}, False, "ok"),
        ({"checked_count": 0}, False, "warning"),
        ({"checked_count": 3}, True, "warning"),
        ({"checked_count": 3, "missing_blob_count": 1}, False, "warning"),
        ({"checked_count": 3, "missing_hash_count": 1}, False, "warning"),
        ({"checked_count": 3, "digest_mismatch_count": 1}, False, "critical"),
        ({"checked_count": 3, "read_error_count": 1, "missing_blob_count": 1}, True, "critical"),
    ],
)
def test_only_what_was_read_and_fits_is_ok(table: dict[str, Any], unread: bool, status: str) -> None:
    silent = [Unasked(service="notifier", reason="it is away")] if unread else []
    found = summed([TableIntegrity(table="reports", **table)], silent, IntegrityWanted(), NOW)
    assert found.status == status
    assert ("notifier could not be asked" in found.message) == unread


def test_a_table_of_which_nothing_could_be_read_is_not_ok() -> None:
    """Archives of busy months are larger than what is read in the time of an answer."""
    read, huge = (
        TableIntegrity(table="reports", checked_count=3),
        TableIntegrity(table="archives", checked_count=0, skipped_count=2),
    )
    found = summed([read, huge], [], IntegrityWanted(), NOW)
    assert (found.status, found.skipped_count) == ("warning", 2)
    assert "all of archives are too large" in found.message
    found = summed([read, huge.model_copy(update={"checked_count": 1})], [], IntegrityWanted(), NOW)
    assert (found.status, "(2 were too large" in found.message) == ("ok", True)
