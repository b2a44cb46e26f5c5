"""A version that hears one event more, beside one that does not know it: on the way up, on the way back, and alone."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest

from libs.common import series, topology, waiting
from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Open
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.notifier.guard import RecoveryAsked, recovery_asked
from libs.common.contracts.tracker import CONTRACT
from libs.common.contracts.tracker.items import patch_item
from libs.common.ids import uuid7
from libs.common.running import Running
from libs.common.service import Service, Tx
from services.metrics.service import SERVICE as METRICS
from tests.integration.test_loop import Fake
from tests.stack import Stack
from tests.verdicts import decided

pytestmark = pytest.mark.integration
ASKED = RecoveryAsked(recovery_id=1, targets=[1], probe_count=1)


class Newer(Fake):
    """The tracker of a version that also hears when targets are probed."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.bad: set[str] = set()

    async def asked(self, tx: Tx, _data: Any) -> None:
        if self.fail is not None and (not self.bad or tx.message.id in self.bad):
            raise self.fail
        self.told.append(tx.message.id)

    def service(self) -> Service:
        service = super().service()
        return replace(service, events={**service.events, recovery_asked: self.asked})


@contextmanager
def newer_declarations() -> Iterator[None]:
    """What a process of the newer version is made with; processes that run already stay as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONTRACTS, "tracker", replace(CONTRACT, hears=(*CONTRACT.hears, recovery_asked.name)))
        yield


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await true():
            await asyncio.sleep(0.05)


async def letters(running: Running) -> dict[str, int]:
    """How many there are in each state."""
    rows = await running.pool.fetch("SELECT state, count(*) FROM dead_letters GROUP BY state")
    return {row["state"]: row["count"] for row in rows}


async def has(running: Running, **wanted: int) -> None:
    async def so() -> bool:
        return await letters(running) == wanted

    try:
        await until(so)
    except TimeoutError:
        assert await letters(running) == wanted


async def start_newer(stack: Stack, newer: Newer) -> Running:
    """Beside whatever runs."""
    with newer_declarations():
        return await stack.start(newer.service())


async def expand(stack: Stack) -> list[str]:
    """The newer version's admin step."""
    with newer_declarations():
        return await topology.apply(stack.bus.js, stack.topology)


async def filters(stack: Stack) -> set[str]:
    info = await stack.bus.js.consumer_info(stack.topology.events_stream, "tracker-events")
    return set(info.config.filter_subjects or ())


async def test_there_and_back_nothing_that_the_newer_one_hears_is_lost_or_buried(stack: Stack, fake: Fake) -> None:
    newer = Newer()
    older = await stack.start(fake.service())
    assert await expand(stack) == [f"durable tracker-events on {stack.topology.events_stream} made"]
    sent = []
    for number in range(1, 6):  # only the older one is there
        sent.append(await stack.publish(recovery_asked, ASKED))
        await stack.publish(gate_decided, decided(run_number=number))
    await stack.idle("tracker")  # nothing waits on the durable, where it would hold up others
    assert len(fake.applied) == 5
    assert await letters(older) == {"waiting": 5}
    beside = await start_newer(stack, newer)
    sent += [await stack.publish(recovery_asked, ASKED) for _ in range(40)]
    await has(older, replayed=await taken_by_older(older))
    assert sorted(newer.told) == sorted(sent)
    # The way back: no admin step runs, and the older one starts on the wider durable.
    await beside.stop()
    await older.stop()
    again = await stack.start(fake.service())
    sent.append(await stack.publish(recovery_asked, ASKED))
    await stack.idle("tracker")
    assert (await letters(again))["waiting"] == 1
    # Up once more.
    last = await start_newer(stack, newer)
    await until(lambda: _settled(last))
    assert sorted(newer.told) == sorted(sent)
    assert "held" not in await letters(last)
    await last.stop()
    await again.stop()


async def taken_by_older(running: Running) -> int:
    """All letters, once none waits any more."""
    await until(lambda: _settled(running))
    return sum((await letters(running)).values())


async def _settled(running: Running) -> bool:
    return "waiting" not in await letters(running)


class MoreWords(Open):
    """What a newer version's governance may say of a verdict."""

    decision: str


async def test_what_a_newer_version_says_in_an_event_gets_a_try_there(stack: Stack, fake: Fake) -> None:
    older = await stack.start(fake.service())
    sent = await stack.publish(gate_decided, MoreWords(decision="paused"))

    async def tried() -> bool:
        return bool(await older.pool.fetchval("SELECT count(*) FROM attempts"))

    await until(tried)
    assert await letters(older) == {}
    await older.stop()
    newer = Fake()
    service = newer.service()
    rest = {event: handler for event, handler in service.events.items() if event is not gate_decided}
    wider = {replace(gate_decided, data=MoreWords): newer.decided, **rest}
    last = await stack.start(replace(service, events=wider, resumes={}))
    await stack.idle("tracker")
    assert newer.applied == [sent]
    assert await letters(last) == {}


async def test_where_no_newer_version_comes_it_is_told_after_hours(
    stack: Stack, fake: Fake, lines: io.StringIO
) -> None:
    running = await stack.start(fake.service())
    await expand(stack)
    counted = series.UNKNOWN.labels("tracker", "tracker-events")._value
    before = counted.get()
    for _ in range(3):
        await stack.publish(recovery_asked, ASKED)
    await stack.idle("tracker")
    stack.clock.advance(hours=5, minutes=59)
    await asyncio.sleep(2 * waiting.LOOK_EVERY_S)
    assert await letters(running) == {"waiting": 3}
    stack.clock.advance(minutes=2)
    await has(running, held=3)
    buried = await stack.heard(CONTRACT.by_name["tracker.deadletter.buried"])  # type: ignore[arg-type]
    assert "no newer version came within 6 hours" in buried.data["reason"]
    assert counted.get() - before == 3
    said = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert [one["type"] for one in said if one["event"] == "this version does not know such messages"] == [
        recovery_asked.type
    ]
    # Long after, by a newer version, an operator still can.
    newer = Newer()
    await running.stop()
    last = await start_newer(stack, newer)
    replay = CONTRACT.by_name["tracker.deadletter.replay"]
    answer = await stack.command(replay, {"letter_id": buried.data["letter_id"]})  # type: ignore[arg-type]
    assert (answer.json["state"], len(newer.told)) == ("replayed", 1)
    await last.stop()


def older_orders(fake: Fake) -> Service:
    """The tracker of a version that has no order to patch an item."""
    commands = tuple(one for one in CONTRACT.commands if one is not patch_item)
    whole = fake.service()
    handled = {command: handler for command, handler in whole.commands.items() if command is not patch_item}
    return replace(whole, contract=replace(CONTRACT, commands=commands), commands=handled)


async def test_who_waits_for_an_answer_is_refused_at_once_and_a_services_order_waits(stack: Stack, fake: Fake) -> None:
    older = await stack.start(older_orders(fake))
    answer = await stack.command(patch_item, {"item_id": 1})
    assert (answer.status, "Nothing was done" in answer.json["detail"]) == (503, True)
    assert await letters(older) == {}
    ordered = await stack.post(patch_item, {"item_id": 2}, actor="service:governance")
    await has(older, waiting=1)
    await stack.idle("tracker")
    assert not stack.answered(ordered)
    newer = Fake()
    beside = await stack.start(newer.service())
    assert (await stack.outcome(ordered)).json == {"item": 2, "note": None}
    await has(older, replayed=1)
    assert newer.applied == [ordered]
    await beside.stop()
    await older.stop()


async def test_a_sample_that_is_not_known_is_left_out(stack: Stack) -> None:
    running = await stack.start(METRICS)
    js, stream = stack.bus.js, stack.topology.telemetry_stream
    wide = (await js.consumer_info(stream, "metrics-telemetry")).config
    await js.add_consumer(stream, wide.evolve(filter_subject=stack.topology.telemetry_subject(">")))
    sample = CloudEvent(id=str(uuid7()), source="/headgate/gateway", type="headgate.gateway.heat.sampled.v1", data={})
    await js.publish(stack.topology.telemetry_subject("gateway.heat.sampled"), sample.encode())
    await stack.idle("metrics")
    assert await letters(running) == {}
    assert await running.pool.fetchval("SELECT count(*) FROM attempts") == 0


async def test_the_admin_step_only_widens_unless_it_is_told_that_others_are_gone(stack: Stack) -> None:
    js, name = stack.bus.js, stack.topology.events_stream
    own = await filters(stack)
    await expand(stack)
    wide = await filters(stack)
    assert wide - own == {stack.topology.event_filter(None, recovery_asked.name)}
    kept = (await js.stream_info(name)).config
    kept.max_age, kept.max_bytes = 60 * 24 * 3600, 1024**3
    await js.update_stream(kept)
    # An older version's: it makes up for what is too small, and leaves what is wider.
    said = await topology.apply(js, stack.topology)
    assert said[0] == f"stream {name} updated"
    assert [line.partition(" is wider than this version needs, and stays so")[0] for line in said[1:]] == [
        f"stream {name}",
        "durable tracker-events",
    ]
    assert await filters(stack) == wide
    config = (await js.stream_info(name)).config
    assert (config.max_age, config.max_bytes) == (60 * 24 * 3600, 8 * 1024**3)
    await topology.compare(js, stack.topology, "tracker")
    # What is missing is still refused: a newer one does not start on what only an older one made.
    await topology.apply(js, stack.topology, narrow=True)
    assert await filters(stack) == own
    assert (await js.stream_info(name)).config.max_age == 30 * 24 * 3600
    assert await topology.apply(js, stack.topology, narrow=True) == []
    with newer_declarations(), pytest.raises(topology.TopologyError, match=r"recovery\.asked is missing; run"):
        await topology.compare(js, stack.topology, "tracker")


@pytest.fixture
def fake() -> Fake:
    return Fake()
