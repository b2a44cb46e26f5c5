"""Messages that a service could not apply: shown with their bytes, applied once their cause is mended, or given up."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import asyncpg
import nats
import pytest
from playwright.sync_api import Locator, Page, expect

from deploy.local import LocalStack
from libs.common.topology import Topology
from tests.console.conftest import Visitor
from tests.console.filling import GATE, Filled, ok
from tests.local_traffic import await_that

NAME = "governance.gate.decided"
MEND = "UPDATE tracker.dead_letters SET payload = $2 WHERE message_id = $1"


def _run(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def _publish(stack: LocalStack, *events: dict[str, Any]) -> None:
    """Put events on the bus as no service of ours would: they name another source, so they are buried at once."""

    async def send() -> None:
        client = await nats.connect(stack.servers.nats_url)
        subject = Topology(stack.options.namespace).event_subject_named(NAME, "global")
        headers = {"Content-Type": "application/cloudevents+json"}
        for event in events:
            await client.jetstream().publish(subject, json.dumps(event).encode(), headers=headers)
        await client.close()

    _run(send())


def _broken(mark: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/headgate/tracker",
        "site": "global",
        "time": datetime.now(UTC).isoformat(),
        "type": f"headgate.{NAME}.v1",
        "data": {"gate": mark},
    }


def _mended(stack: LocalStack, broken: dict[str, Any], data: dict[str, Any]) -> None:
    """What stands for a service that has learnt to read it: its stored bytes are such as today's reads."""

    today = {**broken, "source": "/headgate/governance", "data": data}

    async def mend() -> None:
        connection = await asyncpg.connect(stack.servers.database_url)
        done = await connection.execute(MEND, broken["id"], json.dumps(today).encode())
        assert done == "UPDATE 1", done
        await connection.close()

    _run(mend())


def _letter(filled: Filled, event: dict[str, Any]) -> int:
    """The number of the tracker's letter of that event, once it lies there."""
    with filled.http() as http:
        found = await_that(
            "the dead letter",
            lambda: [
                one for one in ok(http.get("/api/dead-letters/tracker"))["items"] if one["message_id"] == event["id"]
            ],
        )
    return int(found[0]["letter_id"])


@pytest.fixture(autouse=True)
def tidy(filled: Filled) -> Iterator[None]:
    """What other services that hear such events have buried is no matter here."""
    yield
    with filled.http() as http:
        for service in ("audit", "metrics", "notifier"):
            for one in ok(http.get(f"/api/dead-letters/{service}"))["items"]:
                ok(http.delete(f"/api/dead-letters/{service}/{one['letter_id']}"))


def _row(page: Page, letter: int) -> Locator:
    return page.get_by_role("row").filter(
        has=page.get_by_role("button", name=f"Dead letter tracker.{letter}", exact=True)
    )


def test_a_letter_is_read_replayed_in_vain_and_dropped(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"409 POST .*/replay")
    event = _broken("nowhere")
    _publish(filled.stack, event)
    number = _letter(filled, event)
    page = visit("/admin/dead-letters?service=tracker")
    row = _row(page, number)
    expect(row).to_contain_text(f"headgate.{NAME}.v1")
    row.get_by_role("button", name=f"Dead letter tracker.{number}").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text('"gate": "nowhere"')
    page.keyboard.press("Escape")
    row.get_by_role("button", name=f"Replay tracker.{number}").click()
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog.get_by_role("alert")).to_contain_text("It still can't be applied")
    page.keyboard.press("Escape")
    expect(row).to_be_visible()
    row.get_by_role("button", name=f"Drop tracker.{number}").click()
    expect(dialog).to_contain_text("It will never be applied.")
    dialog.get_by_role("button", name="Drop").click()
    expect(row).to_have_count(0)
    page.get_by_label("State").select_option("dropped")
    expect(_row(page, number)).to_contain_text("owner")


def test_letters_are_replayed_in_turn_up_to_the_first_that_is_refused(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"409 POST .*/replay")
    events = [_broken(f"in-turn-{count}") for count in range(3)]
    numbers = []
    for event in events:
        _publish(filled.stack, event)
        numbers.append(_letter(filled, event))
    with filled.http() as http:
        decided = ok(http.get(f"/api/gates/{GATE}/runs/{filled.go_run}"))
    page = visit("/admin/dead-letters?service=tracker")
    expect(_row(page, numbers[2])).to_be_visible()
    _mended(filled.stack, events[0], decided)
    page.get_by_role("button", name="Replay all 3 in turn").press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Replay", exact=True).press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("It still can't be applied")
    expect(dialog).to_contain_text(f"tracker.{numbers[1]}")
    expect(dialog).to_contain_text("1 of 3")
    _mended(filled.stack, events[1], decided)
    _mended(filled.stack, events[2], decided)
    dialog.get_by_role("button", name="Replay", exact=True).click()  # it goes on where it stopped
    expect(dialog).to_contain_text("3 of 3")
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.get_by_text("No message is stuck")).to_be_visible()
    page.get_by_label("State").select_option("replayed")
    for number in numbers:
        expect(_row(page, number)).to_contain_text("owner")
