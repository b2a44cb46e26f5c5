"""A stream that was made again, held against its copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy.backup.restore import unlike
from deploy.backup.streams import State
from tests.unit.deploy.backups import a_manifest

COPY = a_manifest().streams["EVENTS"].model_copy(update={"messages": 5, "first_seq": 3, "last_seq": 9})
MADE = State(5, 1, 3, 9, 0, {})


@pytest.mark.parametrize(
    ("changed", "config", "wanted"),
    [
        ({}, {}, ""),
        ({"last_seq": 10}, {}, "ends at 10 instead of 9"),
        ({"messages": 4}, {}, "has 4 messages instead of 5"),
        ({"messages": 4}, {"max_age": 1}, ""),
        ({"messages": 6}, {"max_age": 1}, "has 6 messages instead of 5"),
        # A tick that came due since the copy took the place of the one before it; another is the first of its job.
        ({"last_seq": 10}, {"allow_msg_schedules": True}, ""),
        ({"last_seq": 10, "messages": 6}, {"allow_msg_schedules": True}, ""),
        (
            {"messages": 4, "last_seq": 10},
            {"allow_msg_schedules": True},
            "has 4 messages up to 10 instead of 5 up to 9",
        ),
        ({"last_seq": 8}, {"allow_msg_schedules": True}, "has 5 messages up to 8 instead of 5 up to 9"),
    ],
)
def test_what_differs_is_said(changed: dict[str, Any], config: dict[str, Any], wanted: str) -> None:
    found = unlike("EVENTS", COPY.model_copy(update={"config": config}), replace(MADE, **changed))
    assert found == (f"the stream EVENTS {wanted}" if wanted else "")
