"""Letters that wait and are known now: applied however old they are, tried like any other, and in nobody's way."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import orjson
import pytest

from libs.common import deadletters, inbox, waiting
from libs.common.cloudevents import decode
from libs.common.contracts.notifier.guard import recovery_asked
from libs.common.contracts.tracker import CONTRACT
from libs.common.contracts.tracker.items import patch_item
from libs.common.ids import uuid7
from libs.common.problems import Unavailable
from libs.common.pull import NAK_DELAYS_S, Delivery
from tests.integration.test_loop import Fake
from tests.integration.test_newer_version import ASKED, Newer, expand, has, letters, older_orders, start_newer, until
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_what_was_known_when_it_grew_old_is_applied_and_not_buried(
    stack: Stack, fake: Fake, often: float
) -> None:
    older = await stack.start(fake.service())
    await expand(stack)
    sent = [await stack.publish(recovery_asked, ASKED) for _ in range(waiting.AT_ONCE + 50)]
    await stack.idle("tracker")
    await has(older, waiting=150)
    await older.stop()
    stack.clock.advance(hours=14)  # nothing runs over a night
    newer = Newer()
    newer.fail, newer.bad = RuntimeError("not now"), {sent[0]}
    beside = await start_newer(stack, newer)
    await has(beside, replayed=149, waiting=1)
    again = await stack.start(fake.service())  # who does not know it leaves it to who has tried
    await asyncio.sleep(5 * often)
    assert await letters(again) == {"replayed": 149, "waiting": 1}
    newer.fail = None
    stack.clock.advance(seconds=1)
    await has(beside, replayed=150)
    assert set(newer.told) == set(sent)
    await beside.stop()
    await again.stop()


async def test_what_fails_when_it_is_taken_up_is_tried_and_buried_like_any_other(
    stack: Stack, fake: Fake, often: float
) -> None:
    older = await stack.start(fake.service())
    await expand(stack)
    await stack.publish(recovery_asked, ASKED)
    await stack.idle("tracker")
    newer = Newer()
    newer.fail = RuntimeError("broken")
    beside = await start_newer(stack, newer)

    async def counted() -> list[int]:
        return [row["count"] for row in await older.pool.fetch("SELECT count FROM attempts")]

    for number, pause_s in enumerate(NAK_DELAYS_S, start=1):
        await until(lambda wanted=number: _is(counted, [wanted]))  # type: ignore[misc]
        stack.clock.advance(seconds=pause_s - 0.1)
        await asyncio.sleep(3 * often)
        assert await counted() == [number]
        stack.clock.advance(seconds=0.1)
    await has(older, held=1)
    row = await older.pool.fetchrow("SELECT reason, attempts FROM dead_letters")
    assert row is not None
    assert ("broken" in row["reason"], row["attempts"]) == (True, 6)
    await beside.stop()
    await older.stop()


async def _is(found: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await found() == wanted


async def test_two_replicas_that_fail_at_the_same_moment_count_as_one_try(stack: Stack, fake: Fake) -> None:
    running = await stack.start(fake.service())
    letter, streamed = (Delivery("subject", b"", {}, reply, "stream", 1, 1) for reply in ("", "reply"))

    async def count(delivery: Delivery) -> int:
        async with running.pool.acquire() as connection:
            return await deadletters.count_attempt(connection, "tracker-events", delivery, "broken", stack.clock())

    assert [await count(letter), await count(letter)] == [1, 0]
    stack.clock.advance(seconds=1)
    assert [await count(letter), await count(letter)] == [2, 0]
    stack.clock.advance(seconds=4.9)
    assert await count(letter) == 0
    assert [await count(streamed), await count(streamed)] == [3, 4]  # with one process at a time


@pytest.mark.parametrize("failure", [RuntimeError("broken"), Unavailable("The asked service is away.")])
async def test_what_fails_holds_up_no_letter_behind_it(
    stack: Stack, fake: Fake, often: float, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AT_ONCE", 5)
    older = await stack.start(fake.service())
    await expand(stack)
    sent = [await stack.publish(recovery_asked, ASKED) for _ in range(8)]
    await stack.idle("tracker")
    await older.stop()
    newer = Newer()
    newer.fail, newer.bad = failure, set(sent[:5])
    stack.clock.advance(hours=14)
    beside = await start_newer(stack, newer)
    await has(beside, replayed=3, waiting=5)
    await asyncio.sleep(5 * often)
    assert await letters(beside) == {"replayed": 3, "waiting": 5}
    assert set(newer.told) == set(sent[5:])
    await beside.stop()


async def test_a_look_goes_on_at_once_only_if_it_closed_something(
    stack: Stack, fake: Fake, often: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AT_ONCE", 5)
    running = await stack.start(fake.service())
    await expand(stack)
    for _ in range(12):
        await stack.publish(recovery_asked, ASKED)
    await stack.idle("tracker")
    shelf = waiting.Shelf(running.pool, "tracker", "tracker-events", stack.clock)
    seen: list[int] = []
    applies = False

    async def apply(deliveries: list[Delivery]) -> None:
        seen.append(len(deliveries))
        ids = [uuid.UUID(decode(one.payload).id) for one in deliveries if applies]
        async with running.pool.acquire() as connection:
            await inbox.claim(connection, "tracker-events", ids, [""] * len(ids))

    async def bury(delivery: Delivery, _reason: str, _attempts: int) -> None:
        raise AssertionError(delivery)

    async def look(times: int) -> list[int]:
        seen.clear()
        await asyncio.sleep(waiting.LOOK_EVERY_S)
        for _ in range(times):
            await shelf.look({recovery_asked.type}, apply, bury)
        return list(seen)

    assert [await look(3), await look(3), await look(3), await look(3)] == [[5], [5], [2], [5]]
    applies = True
    assert [await look(3), await look(3)] == [[5, 2], [5]]  # then those at which it looked before
    assert await letters(running) == {"replayed": 12}


async def test_who_was_refused_by_an_older_version_asks_again_under_the_same_key(stack: Stack, fake: Fake) -> None:
    older = await stack.start(older_orders(fake))
    same, get = str(uuid7()), CONTRACT.by_name["tracker.outcomes.get"]

    async def order(number: int, digest: str) -> tuple[int, object]:
        answer = await stack.command(patch_item, {"item_id": number}, message_id=same, digest=digest)
        await stack.idle("tracker")
        stored = (await stack.query(get, {"command_id": same})).json  # type: ignore[arg-type]
        return answer.status, (stored["state"], stored["http_status"], stored["digest"])

    refused = (503, ("refused", 503, ""))  # found by who did not wait; without a digest it uses up no key
    assert [await order(1, "first"), await order(1, "first"), await order(2, "second")] == [refused] * 3
    assert await older.pool.fetchval("SELECT count(*) FROM inbox") == 0
    await older.stop()
    newer = Fake()
    last = await stack.start(newer.service())
    done = (200, ("done", 200, "second"))
    assert [await order(2, "second"), await order(2, "second"), await order(1, "first")] == [
        done,
        done,
        (422, done[1]),
    ]
    assert newer.applied == [same]
    # The audit log hears of both: one record more under the command's own id would be taken for a repeat.
    kept = await last.pool.fetch("SELECT payload FROM outbox WHERE kind = 'record' ORDER BY id")
    told = [orjson.loads(row["payload"]) for row in kept]
    assert [(one["id"] == same, one["outcome"]) for one in told[:3]] == [(False, "failed")] * 3
    assert [(one["id"] == same, one["outcome"]) for one in told[3:]] == [(True, "applied")]
    assert {one["causationid"] for one in told[:3]} == {same}


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> float:
    """Letters are looked at so often that a test needs not wait long."""
    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.2)
    return 0.6  # the loop turns at least every half second
