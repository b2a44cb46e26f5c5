"""Who saw a verdict, on real servers: people who say so, each once in the log, and no machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from libs.common.contracts.governance.seen import list_seen, mark_seen, verdict_seen
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.integration.governance_desk import run, start
from tests.integration.test_accounts import account
from tests.stack import Stack

pytestmark = pytest.mark.integration
RUNS = "/api/gates/operations/runs"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the gates behind it."""
    await stack.start(make_service(packaged_policies()))
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def judged(stack: Stack) -> dict[str, Any]:
    """A run, as an order names it."""
    await start(stack)
    made = await run(stack, gate="operations")
    return {"gate": "operations", "run_id": made["run_id"]}


async def told(stack: Stack) -> list[str]:
    """Of whom an event tells, in order, once all that governance had to tell is out."""
    await stack.idle("governance")
    return [one.data["username"] for one in stack.events if one.type == verdict_seen.type]


async def test_the_first_time_of_each_person_stays_and_is_told_once(stack: Stack) -> None:
    key = await judged(stack)
    assert (await stack.query(list_seen, key)).json == {"items": [], "next_cursor": None}
    first = await stack.command(mark_seen, key, actor="bob")
    assert (first.status, first.json["is_first"], first.json["username"]) == (200, True, "bob")
    event = await stack.heard(verdict_seen)
    assert (event.subject, event.site, event.actor) == (str(key["run_id"]), "global", "bob")
    assert event.data == {name: first.json[name] for name in ("run_id", "gate", "site", "username", "first_seen_at")}
    stack.clock.advance(hours=1)
    await stack.command(mark_seen, key, actor="ann")
    stack.clock.advance(hours=1)
    again = await stack.command(mark_seen, key, actor="bob")
    assert (again.json["is_first"], again.json["first_seen_at"]) == (False, first.json["first_seen_at"])
    gone = datetime.fromisoformat(again.json["last_seen_at"]) - datetime.fromisoformat(again.json["first_seen_at"])
    assert gone == timedelta(hours=2)
    assert await told(stack) == ["bob", "ann"]

    # An order that comes late, as one of a replica that was behind, takes nothing back.
    stack.clock.advance(hours=-1)
    late = await stack.command(mark_seen, key, actor="bob")
    assert late.json["last_seen_at"] == again.json["last_seen_at"]

    shown = (await stack.query(list_seen, key)).json["items"]
    assert [one["username"] for one in shown] == ["bob", "ann"], "who came first first"
    assert shown[0] == {name: late.json[name] for name in ("username", "first_seen_at", "last_seen_at")}


async def test_one_person_by_many_orders_at_once_is_one(stack: Stack) -> None:
    key = await judged(stack)
    answers = await asyncio.gather(*(stack.command(mark_seen, key, actor=f"user-{n % 5}") for n in range(60)))
    assert sum(one.json["is_first"] for one in answers) == 5
    assert sorted(await told(stack)) == [f"user-{n}" for n in range(5)]
    seen: list[str] = []
    page = (await stack.query(list_seen, key | {"limit": 2})).json
    while True:
        seen += [one["username"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        page = (await stack.query(list_seen, key | {"limit": 2, "cursor": page["next_cursor"]})).json
    assert sorted(seen) == [f"user-{n}" for n in range(5)]
    assert (await stack.query(list_seen, key | {"cursor": "x"})).status == 422


async def test_what_is_of_another_gate_or_site_is_not_there(stack: Stack) -> None:
    key = await judged(stack)
    for wrong, site in ((key | {"gate": "release"}, "global"), (key, "elsewhere"), (key | {"run_id": 7}, "global"),
                        (key | {"gate": "nobody-s"}, "global")):  # fmt: skip
        assert (await stack.command(mark_seen, wrong, site=site)).status == 404, (wrong, site)
        assert (await stack.query(list_seen, wrong, site=site)).status == 404, (wrong, site)
    await stack.command(mark_seen, key, actor="bob")
    assert (await stack.command(mark_seen, key, actor="bob", site="elsewhere")).status == 404, "nor for who saw it here"
    assert await told(stack) == ["bob"]


async def test_whoever_may_read_it_says_so_and_no_machine_does(http: Http) -> None:
    for site in ("plant-a", "plant-b"):
        await http.site(site)
    made = (await http.client.post(f"{RUNS}?site=plant-a", json={})).json()
    seen = f"{RUNS}/{made['run_id']}/seen"
    vic = await http.user("vic", "viewer", ["plant-a"])
    assert (await vic.get(f"{RUNS}/{made['run_id']}?site=plant-a")).status_code == 200
    assert (await vic.get(f"{seen}?site=plant-a")).json()["items"] == [], "to read is no saying"
    answer = await vic.post(f"{seen}?site=plant-a")
    assert (answer.status_code, answer.json()["username"]) == (200, "vic"), answer.text
    listed = (await vic.get(f"{seen}?site=plant-a")).json()["items"]
    assert [one["username"] for one in listed] == ["vic"]

    other = await http.user("other", "manager", ["plant-b"])
    assert (await other.post(f"{seen}?site=plant-a")).status_code == 403
    assert (await other.post(seen)).status_code == (await other.get(seen)).status_code == 404
    assert (await other.post(f"{seen}?site=plant-b")).status_code == 404
    # Nobody says it for another person, and a machine not at all, also not one that may read it.
    assert (await vic.post(f"{seen}?site=plant-a", json={"username": "other"})).status_code == 422
    machine = await account(http, sites=["plant-a"])
    assert (await machine.get(f"{RUNS}/{made['run_id']}?site=plant-a")).status_code == 200
    refused = await machine.post(f"{seen}?site=plant-a")
    assert (refused.status_code, "a machine sees nothing" in refused.json()["detail"]) == (403, True), refused.text
    assert (await vic.get(f"{seen}?site=plant-a")).json()["items"] == listed
