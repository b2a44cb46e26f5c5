"""The shortest path minds whose hands are full: what governance hears of items, in whatever order."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from libs.common.contracts.governance.freezes import FREEZES
from libs.common.contracts.governance.paths import get_path
from libs.common.contracts.tracker.items import ItemChanged, item_opened, item_resolved, item_updated
from tests.integration.governance_desk import report, run, send_release, start
from tests.integration.test_governance_freezes import window
from tests.stack import Stack
from tests.unit.client.samples import item
from tests.unit.governance.samples import case, junit


def told(number: int, role: str, revision: int = 1, *, is_open: bool = True, **more: Any) -> ItemChanged:
    status = "pending" if is_open else "done"
    changed = {"id": number, "owner_role": role, "revision": revision, "status": status, "is_active": is_open}
    return ItemChanged.model_validate({"item": item(**{"subject": "other", **changed, **more})})


async def failed(stack: Stack) -> Any:
    """A run with one rule to repair; its path."""
    await send_release(stack, "1.0")
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), subject="app", version="1.0")
    return await path(stack, await run(stack, "release", subject="app", version="1.0"))


async def path(stack: Stack, made: Any) -> Any:
    return (await stack.query(get_path, {"gate": made["gate"], "run_id": made["run_id"]})).json


async def test_load_is_unknown_until_anything_was_heard_of_the_site(stack: Stack) -> None:
    await start(stack)
    found = await failed(stack)
    (repair,) = found["repairs"]
    assert (found["load_known_since"], repair["open_items"]) == (None, None)
    assert repair["weighted_hours"] == repair["sla_hours"] == found["weighted_hours"]
    await stack.publish(item_opened, told(1, repair["owner_role"], site="berlin"), site="berlin")
    await stack.idle("governance")
    assert (await failed(stack))["load_known_since"] is None, "of another site"
    await stack.publish(item_opened, told(2, "Somebody else"))
    await stack.idle("governance")
    known = await failed(stack)
    assert known["load_known_since"] is not None
    assert known["repairs"][0]["open_items"] == 0


async def test_items_count_once_in_whatever_order_they_are_told(stack: Stack) -> None:
    await start(stack)
    role = (await failed(stack))["repairs"][0]["owner_role"]
    words = [(item_opened, told(number, role)) for number in range(1, 13)]
    words += [(item_updated, told(number, role, 2)) for number in range(1, 6)]
    words += [(item_resolved, told(number, role, 3, is_open=False)) for number in (1, 2)]
    words += [(item_updated, told(3, "Somebody else", 3))]
    words *= 2  # each comes again with an id of its own
    random.Random(7).shuffle(words)
    for event, data in words:
        await stack.publish(event, data)
    await stack.idle("governance")
    (repair,) = (await failed(stack))["repairs"]
    assert repair["open_items"] == 9
    assert repair["weighted_hours"] == repair["sla_hours"] * 1.9


async def test_the_items_of_the_board_itself_are_the_work_and_no_load(stack: Stack) -> None:
    await start(stack)
    role = (await failed(stack))["repairs"][0]["owner_role"]
    await stack.publish(item_opened, told(1, role, gate="release", subject="app"))
    await stack.idle("governance")
    assert (await failed(stack))["repairs"][0]["open_items"] == 0


async def test_the_earliest_time_lies_in_no_freeze_that_is_known(stack: Stack) -> None:
    await start(stack)
    before = datetime.fromisoformat((await failed(stack))["earliest_go_at"])
    calendar = {
        "name": "nights", "gates": ["release"],
        "windows": [window(before - timedelta(hours=1), 2), window(before + timedelta(minutes=30), 2)],
    }  # fmt: skip
    await stack.command(FREEZES.publish, {"content": {"calendars": [calendar]}, "reason": "new"})
    assert datetime.fromisoformat((await failed(stack))["earliest_go_at"]) == before + timedelta(hours=2, minutes=30)
    stack.clock.advance(days=3)
    old = await run(stack, "release", subject="app", version="1.0")
    stack.clock.advance(days=30)
    assert datetime.fromisoformat((await path(stack, old))["earliest_go_at"]) == stack.clock(), "never in the past"
