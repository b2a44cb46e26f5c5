"""Drives the tracker's handlers on real PostgreSQL, message by message, without a bus."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
from pydantic import BaseModel

from libs.common import outcomes
from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts.base import Command
from libs.common.contracts.governance.runs import RuleStatus, gate_decided, run_gate
from libs.common.contracts.tracker.item_lists import ItemFilter
from libs.common.contracts.tracker.items import Item
from libs.common.dispatch import Applied, Dispatcher
from libs.common.ids import uuid7
from libs.common.service import Read
from services.tracker import item_lists
from services.tracker.service import SERVICE
from tests.verdicts import decided, rule

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class Desk:
    """One site's boards, driven message by message as the loop does, with a clock that the test sets."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.site = f"s-{uuid.uuid4().hex[:12]}"
        self.now = START
        self.dispatcher = Dispatcher(SERVICE)
        self.runs = 0
        self.told: list[CloudEvent] = []

    def later(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    @property
    def events(self) -> list[str]:
        """The names of the events emitted since the last look."""
        names = [event.name.removeprefix("tracker.") for event in self.told]
        self.told = []
        return names

    async def apply(self, message: CloudEvent, data: BaseModel, *, command: bool) -> Applied:
        message.data = orjson.loads(data.model_dump_json(exclude_unset=command))  # as the edge does
        applied = Applied()
        async with self.pool.acquire() as connection, connection.transaction():
            if command:
                await self.dispatcher.command(connection, message, self.now, applied)
            else:
                waiting = (await outcomes.due(connection, [message])).get(message.causationid, [])
                await self.dispatcher.event(connection, message, self.now, applied, waiting)
        self.told += [decode(one.payload) for one in applied.staged if one.kind == "event"]
        return applied

    async def order(self, command: Command, body: BaseModel, actor: str = "ann", site: str = "") -> Applied:
        message = CloudEvent(str(uuid7()), "/headgate/gateway", command.type, site=site or self.site, actor=actor)
        return await self.apply(message, body, command=True)

    async def decided(
        self,
        rules: Mapping[str, RuleStatus],
        *,
        number: int = 0,
        cause: str = "",
        gate: str = "operations",
        subject: str = "site",
        line: str = "",
        version: str = "",
        at: datetime | None = None,
        trigger: str = "api",
    ) -> Applied:
        """A run of the gate; ``rules`` says how each rule came out."""
        self.runs = max(self.runs, number or self.runs + 1)
        data = decided(
            *(rule(name, status) for name, status in rules.items()),
            run_number=number or self.runs,
            decision="no_go" if "fail" in rules.values() else "go",
            gate=gate,
            site=self.site,
            subject=subject,
            line=line,
            version=version,
            at=at or self.now,
        ).model_copy(update={"trigger": trigger})
        source = "/headgate/governance"
        message = CloudEvent(str(uuid7()), source, gate_decided.type, site=self.site, actor="gus", causationid=cause)
        return await self.apply(message, data, command=False)

    async def judged(self, command: Command, body: BaseModel, rules: Mapping[str, RuleStatus], **target: Any) -> Any:
        """A deferred command with the run that it asks for; its outcome as (status, body)."""
        asked = await self.order(command, body)
        assert asked.ended == []
        (sent,) = asked.staged
        assert sent.name == run_gate.name
        applied = await self.decided(rules, cause=str(sent.message_id), **target)
        (ended,) = applied.ended
        return ended.http_status, orjson.loads(ended.body)

    def read(self) -> Read:
        return Read(self.pool, self.site, "ann", self.now)

    async def listed(self, **wanted: Any) -> list[Item]:
        return [
            Item.model_validate(one)
            for one in orjson.loads(await item_lists.list_items(self.read(), ItemFilter(**wanted)))
        ]

    async def items(self, **more: Any) -> dict[str, Item]:
        return {item.rule_id: item for item in await self.listed(include_inactive=True, **more)}
