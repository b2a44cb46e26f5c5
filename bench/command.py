"""The round trip of a command, one after another: stored on the bus, applied, committed, answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from pydantic import BaseModel

from bench.figures import Figure, Report, percentile
from bench.lab import WAIT_S, BenchError, Lab, Space
from bench.load import listening, timed
from bench.query import INSERT_BOARD, INSERT_ITEMS, TRACKER, gateway
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Command, Nothing
from libs.common.contracts.governance.operations import ops_gate_run
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.ids import uuid7

ROUNDS = 5
COMMANDS = 100  # in a round
FLOOR = "raw: PubAck, one insert, reply"
Measure = Callable[[], Awaitable[list[float]]]


class Caller:
    """Sends commands over the bus and waits for their outcomes."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._answers: dict[str, asyncio.Future[int]] = {}
        self._outcomes = space.topology.outcome_subject("bench")
        self._replies = f"{space.topology.namespace}.floor-reply"

    async def listen(self) -> None:
        """Hear outcomes, and the floor's replies."""

        async def outcome(message: Msg) -> None:
            headers = message.headers or {}
            self._answers.pop(headers["Command-Id"]).set_result(int(headers["Status"]))

        async def reply(message: Msg) -> None:
            self._answers.pop(orjson.loads(message.data)["id"]).set_result(200)

        await self._space.bus.nats.subscribe(self._outcomes, cb=outcome)
        await self._space.bus.nats.subscribe(self._replies, cb=reply)

    async def _timed(self, send: Callable[[str], Awaitable[None]], name: str, times: int = COMMANDS) -> list[float]:
        took = []
        for _ in range(times):
            id_ = str(uuid7())
            answer = self._answers[id_] = asyncio.get_running_loop().create_future()
            started = time.perf_counter()
            await send(id_)
            status = await asyncio.wait_for(answer, WAIT_S)
            took.append((time.perf_counter() - started) * 1000)
            if status >= 300:
                raise BenchError(f"{name} answered {status}")
        return took

    async def command(self, declared: Command, body: BaseModel, times: int = COMMANDS) -> list[float]:
        """Latencies in ms of one command, given so many times."""
        data = body.model_dump_json(exclude_unset=True).encode()

        async def send(id_: str) -> None:
            envelope = CloudEvent(
                id=id_,
                source="/headgate/gateway",
                type=declared.type,
                time=datetime.now(UTC),
                actor="ann",
                replyto=self._outcomes,
                digest="0" * 64,
            )
            await self._space.bus.publish_command(declared, envelope, data)

        return await self._timed(send, declared.name, times)

    async def floor(self) -> list[float]:
        """Latencies in ms of the raw way."""

        async def send(id_: str) -> None:
            order = {"id": id_, "replyto": self._replies, "text": "x" * 300}
            await self._space.bus.js.publish(f"{self._space.topology.namespace}.floor.{id_}", orjson.dumps(order))

        return await self._timed(send, "the floor")


async def run(lab: Lab, report: Report) -> None:
    """Each way in turns, against services that are otherwise idle."""
    async with lab.space(["tracker", "governance"]) as space:
        await space.database.execute(INSERT_BOARD)
        await space.database.execute(INSERT_ITEMS, 1, 100)
        stream = await _start_floor(space)
        try:
            caller = Caller(space)
            await caller.listen()
            ways = await _ways(space, caller)
            took: dict[str, list[list[float]]] = {name: [] for name in ways}
            for number in range(ROUNDS + 1):  # the first one warms up
                for name, measure in ways.items():
                    latencies = await measure()
                    if number:
                        took[name].append(latencies)
        finally:
            await space.bus.js.delete_stream(stream)
    floor = took.pop(FLOOR)
    for name, rounds in took.items():
        _tell(report, name, rounds, floor)


async def _ways(space: Space, caller: Caller) -> dict[str, Measure]:
    port, token = gateway(space)
    await listening(space, port)
    for service in ("tracker", "governance"):
        await space.subscribed(space.topology.commands_stream, f"{service}-commands")
    item_id = await space.database.fetchval("SELECT min(id) FROM tracker.item")
    patch = ItemPatch(item_id=item_id, assignee="ann")
    path = f"{TRACKER}/items/{item_id}"
    return {
        FLOOR: caller.floor,
        "item patch over the bus": lambda: caller.command(patch_item, patch),
        "item patch over HTTP": lambda: timed(port, token, "PATCH", path, COMMANDS, b'{"assignee": "ann"}'),
        "gate run over the bus": lambda: caller.command(ops_gate_run, Nothing()),
        "gate run over HTTP": lambda: timed(port, token, "POST", "/api/ops/governance/gate/run", COMMANDS, b"{}"),
    }


async def _start_floor(space: Space) -> str:
    name = f"{space.topology.namespace}-floor"
    await space.database.execute("CREATE TABLE floor_order (id uuid PRIMARY KEY, body bytea NOT NULL)")
    subjects = [f"{space.topology.namespace}.floor.>"]
    await space.bus.js.add_stream(StreamConfig(name=name, subjects=subjects, retention=RetentionPolicy.WORK_QUEUE))
    await space.bus.js.add_consumer(name, ConsumerConfig(durable_name="floor", ack_policy=AckPolicy.EXPLICIT))
    servers = {"nats_url": space.nats_url, "database_url": space.database_url}
    space.raw("command_floor", {"name": "command-floor", "stream": name, "durable": "floor", **servers})
    await space.subscribed(name, "floor")
    return name


def _tell(report: Report, name: str, rounds: list[list[float]], floor: list[list[float]]) -> None:
    for label, share, aim in (("p50", 0.5, 2.5), ("p99", 0.99, None)):
        value = tuple(percentile(one, share) for one in rounds)
        beside = tuple(percentile(one, share) for one in floor)
        figure = Figure("command", f"{name}, {label}", "ms", value, FLOOR, beside, aim, lower_is_better=True)
        report.figures.append(figure)
