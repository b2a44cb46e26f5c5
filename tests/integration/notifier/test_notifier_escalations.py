"""Escalations at the notifier: each key to the channels of whom it names, once, and answered once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.notifier.escalations import escalation_delivered, escalation_failed
from libs.common.contracts.tracker.escalation import EscalationRaised, TargetTold, escalation_raised
from libs.common.outbound import Outbound
from services.notifier import claims, escalations
from services.notifier.claims import Result
from services.notifier.service import make_service
from tests.http_edge import Http
from tests.integration.notifier_desk import HERE, VAULT, VAULT_SECRET, Desk
from tests.integration.sink import answer, receiver
from tests.stack import Stack

pytestmark = pytest.mark.integration
SITE = "plant-a"
ITEM: dict[str, Any] = {
    "id": 7, "item_id": "GR-001", "gate": "operations", "site": SITE, "subject": "site", "version": "1",
    "rule_id": "dr", "rule_status": "fail", "required": True, "priority": 1, "owner_role": "Ops Lead", "sla_hours": 4,
    "action": "mend it", "reason": "broken", "detail": {}, "assignee": None, "status": "pending",
    "completion_checked": False, "completion_note": "", "completed_at": None, "verified_at": None, "is_active": True,
    "episode": 2, "gate_run_id": 1, "created_by": "ann", "updated_by": "ann",
}  # fmt: skip
BOB = TargetTold(kind="user", name="bob", people=["bob"])


class Board:
    """A desk at which things are raised as the tracker does; bob and mia are people of the site."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.stack, self.sink = desk, desk.stack, desk.sink
        self.bob: httpx2.AsyncClient
        self.mia: httpx2.AsyncClient

    async def own(self, client: httpx2.AsyncClient, path: str, name: str = "phone") -> dict[str, Any]:
        body = {"name": name, "kind": "generic", "address": self.sink.url(path)}
        made = await client.post("/api/me/channels", json=body)
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    async def shared(self, path: str, name: str = "ops") -> dict[str, Any]:
        body = {"name": name, "kind": "generic", "address": self.sink.url(path)}
        made = await self.desk.http.client.post("/api/channels", params={"site": SITE}, json=body)
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    async def raise_(self, *targets: TargetTold, key: uuid.UUID | None = None, **more: Any) -> uuid.UUID:
        """A level of an item's escalation; returns its key."""
        now = self.stack.clock()
        times = dict.fromkeys(("due_at", "opened_at", "gate_generated_at", "created_at", "updated_at"), now)
        key = key or uuid.uuid4()
        told = EscalationRaised.model_validate(
            {
                "key": key, "item": ITEM | times, "level": 1, "levels": 2, "repeat": 0, "chain": "usual",
                "targets": [one.model_dump() for one in targets], "why": "dr is due in 1 h.",
            }
        )  # fmt: skip
        await self.stack.publish(escalation_raised, told, site=SITE, **more)
        return key

    async def answered(self, event: Any, key: uuid.UUID) -> dict[str, Any]:
        heard = await self.stack.heard(event, lambda one: bool(one.data) and one.data["key"] == str(key))
        assert isinstance(heard.data, dict)
        return heard.data

    def answers(self, key: uuid.UUID) -> list[CloudEvent]:
        names = (escalation_delivered.name, escalation_failed.name)
        return [one for one in self.stack.events if one.name in names and one.data["key"] == str(key)]

    async def rows(self, key: uuid.UUID) -> list[Any]:
        connection = await self.stack.superuser()
        found = await connection.fetch("SELECT * FROM notifier.delivery WHERE key = $1 ORDER BY delivery_id", key)
        await connection.close()
        return list(found)


@pytest_asyncio.fixture
async def board(stack: Stack) -> AsyncIterator[Board]:
    async with receiver() as sink:
        http = await Http(stack).open(vault_secret=SecretStr(VAULT_SECRET))
        await http.site(SITE)
        await stack.start(make_service(Outbound(HERE), VAULT, http.url))
        found = Board(Desk(http, sink))
        found.bob = await http.user("bob", "operator", [SITE])
        found.mia = await http.user("mia", "manager", [SITE])
        yield found
        await http.close()


async def test_a_key_goes_to_each_channel_of_whom_it_names_once(board: Board) -> None:
    await board.own(board.bob, "/bob")
    await board.own(board.bob, "/bob-too", "mail")
    await board.own(board.mia, "/mia")
    await board.shared("/ops")
    await board.shared("/other", "other")
    managers = TargetTold(kind="role", name="manager", people=["mia", "bob"])
    channel = TargetTold(kind="channel", name="ops", people=[])
    message_id = str(uuid.uuid4())
    key = await board.raise_(BOB, managers, channel, message_id=message_id)
    for path in ("/bob", "/bob-too", "/mia", "/ops"):
        await board.sink.wait_for(path)
    told = await board.answered(escalation_delivered, key)
    assert (told["item_id"], told["level"], told["without_channel"], told["error"]) == (7, 1, [], None)
    assert {(one["channel"], one["person"]) for one in told["deliveries"]} == {
        ("phone", "bob"), ("mail", "bob"), ("phone", "mia"), ("ops", ""),
    }  # fmt: skip
    await board.raise_(BOB, managers, channel, key=key, message_id=message_id)
    await board.raise_(BOB, managers, channel, key=key)  # the same key by another event
    await board.stack.idle("notifier")
    rows = await board.rows(key)
    assert len(rows) == 4
    await board.desk.until("delivered", 4, site=SITE)
    await board.stack.run_job("notifier", "escalation_answers")
    await board.stack.idle("notifier")
    assert len(board.answers(key)) == 1
    assert (len(board.sink.at("/bob")), board.sink.at("/other")) == (1, [])
    document = orjson.loads(board.sink.at("/bob")[0].body)
    assert document["acknowledge_link"].startswith(f"{board.desk.http.url}/a/v1.")
    assert "dr" in document["title"]


async def test_nobody_with_a_channel_is_answered_at_once_and_named(board: Board) -> None:
    await board.own(board.mia, "/mia")
    role = TargetTold(kind="owner_role", name="Ops Lead", people=[])
    key = await board.raise_(BOB, role, TargetTold(kind="channel", name="all", people=[]))
    told = await board.answered(escalation_failed, key)
    assert told["deliveries"] == []
    assert told["without_channel"] == ["bob", "owner role Ops Lead", "any channel of the site"]
    assert told["error"].startswith("No active channel for: bob, owner role Ops Lead, any channel of the site. Each")
    await board.raise_(BOB, key=key)
    await board.stack.idle("notifier")
    assert (len(board.answers(key)), await board.rows(key)) == (1, [])


async def test_when_none_can_be_told_any_more_it_has_failed(board: Board) -> None:
    board.sink.says["/bob"] = answer(500)
    board.sink.says["/ops"] = answer(404)
    await board.own(board.bob, "/bob")
    await board.shared("/ops")
    key = await board.raise_(BOB, TargetTold(kind="channel", name="ops", people=[]))
    for tries in range(1, 6):
        for path in ("/bob", "/ops"):
            await board.sink.wait_for(path, tries)
        assert not board.answers(key) or tries == 5
        await board.desk.until("dead" if tries == 5 else "retrying", 2, site=SITE)
        board.stack.clock.advance(seconds=75)
    told = await board.answered(escalation_failed, key)
    assert [one["state"] for one in told["deliveries"]] == ["failed", "failed"]
    assert "phone: The receiver answered 500" in told["error"]
    assert "ops: The receiver answered 404" in told["error"]
    await board.stack.run_job("notifier", "escalation_answers")
    assert len(board.answers(key)) == 1


async def test_one_that_is_told_is_enough(board: Board) -> None:
    board.sink.says["/bob"] = answer(500)
    await board.own(board.bob, "/bob")
    await board.shared("/ops")
    key = await board.raise_(BOB, TargetTold(kind="channel", name="ops", people=[]))
    told = await board.answered(escalation_delivered, key)
    assert {one["channel"]: one["state"] for one in told["deliveries"]}["ops"] == "delivered"
    await board.desk.until("retrying", 1, site=SITE)
    board.sink.says["/bob"] = answer(204)
    board.stack.clock.advance(seconds=75)
    await board.desk.until("delivered", 2, site=SITE)
    await board.stack.idle("notifier")
    assert len(board.answers(key)) == 1


@pytest.mark.parametrize("how", ["disable", "remove"])
async def test_a_channel_that_goes_meanwhile_counts_as_failed(board: Board, how: str) -> None:
    board.sink.says["/bob"] = answer(500)
    made = await board.own(board.bob, "/bob")
    key = await board.raise_(BOB)
    await board.desk.until("retrying", 1, site=SITE)
    path = f"/api/me/channels/{made['channel_id']}"
    done = await (board.bob.post(f"{path}/disable") if how == "disable" else board.bob.delete(path))
    assert done.status_code == 200, done.text
    assert await board.stack.run_job("notifier", "escalation_answers")
    told = await board.answered(escalation_failed, key)
    assert [one["state"] for one in told["deliveries"]] == ["failed"]
    assert "The channel" in told["error"]
    assert [row["state"] for row in await board.rows(key)] == ["dead"]


async def test_what_takes_too_long_is_answered_and_tried_on(board: Board) -> None:
    board.sink.says["/bob"] = answer(500)
    await board.own(board.bob, "/bob")
    key = await board.raise_(BOB)
    await board.desk.until("retrying", 1, site=SITE)
    await board.stack.run_job("notifier", "escalation_answers")
    assert board.answers(key) == []
    connection = await board.stack.superuser()
    await connection.execute("UPDATE notifier.delivery SET due_at = $2 WHERE key = $1", key,
                             board.stack.clock() + timedelta(hours=1))  # fmt: skip
    await connection.close()
    board.stack.clock.advance(minutes=10)
    await board.stack.run_job("notifier", "escalation_answers")
    told = await board.answered(escalation_failed, key)
    assert told["error"].startswith("Nobody was told within 10 minutes")
    assert [row["state"] for row in await board.rows(key)] == ["retrying"]


async def test_whose_scope_has_narrowed_is_told_nothing(board: Board) -> None:
    await board.own(board.bob, "/bob")
    assert (await board.desk.http.client.patch("/api/users/bob", json={"sites": ["global"]})).status_code == 200
    await board.stack.idle("notifier")
    key = await board.raise_(BOB)
    told = await board.answered(escalation_failed, key)
    assert "may not see" in told["error"]
    assert board.sink.at("/bob") == []


async def test_two_replicas_that_write_the_last_results_answer_once(board: Board) -> None:
    board.sink.says["/bob"] = None
    board.sink.says["/ops"] = None
    await board.own(board.bob, "/bob")
    await board.shared("/ops")
    key = await board.raise_(BOB, TargetTold(kind="channel", name="ops", people=[]))
    for path in ("/bob", "/ops"):
        await board.sink.wait_for(path)
    pool, now = board.stack.running["notifier"].pool, board.stack.clock()
    rows = await board.rows(key)
    results = [
        Result(row["delivery_id"], row["attempt_count"], row["target"], row["event_name"], SITE, "escalation", "dead",
               now, now, False, key, ended_at=now, error="x")
        for row in rows
    ]  # fmt: skip
    watcher = await board.stack.superuser()
    async with pool.acquire() as one, pool.acquire() as other, other.transaction():
        first = one.transaction()
        await first.start()
        await claims.store(one, results[:1])
        await claims.store(other, results[1:])
        assert not await escalations.note(one, results[:1], now), "the other may have been delivered"
        second = asyncio.create_task(escalations.note(other, results[1:], now))
        waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
        while not second.done() and not await watcher.fetchval(waits, other.get_server_pid()):
            await asyncio.sleep(0.01)
        await first.commit()
        assert await second, "it has waited for the first, and sees what that wrote"
    await watcher.close()


async def test_the_link_is_kept_nowhere(board: Board) -> None:
    await board.own(board.bob, "/bob")
    key = await board.raise_(BOB)
    [got] = await board.sink.wait_for("/bob")
    await board.answered(escalation_delivered, key)
    token = orjson.loads(got.body)["acknowledge_link"].rpartition("/")[2]
    assert not [event for event in board.stack.events if token.encode() in event.encode()]
    connection = await board.stack.superuser()
    tables = await connection.fetch(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('notifier', 'gateway')"
    )
    for table in tables:
        text = await connection.fetchval(f"SELECT string_agg(t::text, '') FROM {table['name']} AS t")
        assert token not in (text or ""), table["name"]
    await connection.close()
