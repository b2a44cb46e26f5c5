"""Orders that the edge refuses to whom it knows: in the audit log with who, what, from where and why; never a flood."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from libs.common import outbox
from services.audit.service import make_service
from services.gateway import denials
from services.gateway.denials import MOST_OF_CALLER
from tests.http_edge import Http
from tests.integration.audit_desk import listed, verified
from tests.stack import Stack

pytestmark = pytest.mark.integration
ITEM = "/api/ops/governance/gate/remediation/tracker/items/7"
OVERRIDE = "/api/gates/release/runs/7/override"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with two sites, and the audit log."""
    await stack.start(make_service(None))
    opened = await Http(stack).open()
    for site in ("north", "south"):
        await opened.site(site)
    yield opened
    await opened.close()


async def refused(stack: Stack, http: Http, actor: str) -> list[dict[str, Any]]:
    """What the log says was refused to somebody, the oldest first."""
    await http.edge.denials.flush()
    for service in ("gateway", "audit"):
        await stack.idle(service)
    return [*reversed((await listed(stack, actor=actor, outcome="refused", clients=True))["items"])]


async def test_a_refused_order_leaves_who_what_where_and_why(stack: Stack, http: Http) -> None:
    vic = await http.user("vic", "viewer", ["north"])
    agent = {"User-Agent": "probe/1"}
    tried: tuple[tuple[str, str, dict[str, Any], str, str, str], ...] = (
        ("PATCH", f"{ITEM}?site=north", {"status": "done"}, "tracker.item.patch", "7", "north"),
        ("PATCH", f"{ITEM}?site=south", {"status": "done"}, "tracker.item.patch", "7", "south"),
        ("PATCH", "/api/users/owner", {"role": "viewer"}, "gateway.user.patch", "owner", "global"),
        ("POST", "/api/sites?site=a.b", {"site": "w", "title": "W"}, "gateway.site.create", "new", "global"),
        ("POST", f"{OVERRIDE}?site=../x", {}, "governance.override.give", "new:release/7", "global"),
    )
    answers = [await vic.request(method, path, json=body, headers=agent) for method, path, body, *_ in tried]
    assert [answer.status_code for answer in answers] == [403] * len(tried)
    found = await refused(stack, http, "vic")
    assert [(one["action"], one["subject"], one["site"]) for one in found] == [tuple(one[3:]) for one in tried]
    for one, answer in zip(found, answers, strict=True):
        assert (one["client"], one["actor_kind"]) == ({"address": "127.0.0.1", "agent": "probe/1"}, "person")
        assert (one["reason"], one["correlationid"]) == (answer.json()["detail"], answer.headers["x-request-id"])
        assert one["event"]["data"]["at_edge"] is True
    deeds = (await http.client.get("/api/audit/resources/tracker.item/7")).json()["items"]
    assert [(one["outcome"], one["actor"]) for one in deeds] == [("refused", "vic")] * 2
    assert (await verified(stack))["valid"]
    assert not any(event.actor == "vic" for event in stack.events)  # no subscriber hears of it


async def test_neither_questions_nor_strangers_nor_a_flood_are_told_one_by_one(stack: Stack, http: Http) -> None:
    vic = await http.user("vic", "viewer", ["north"])
    sue = await http.user("sue", "viewer", ["north"])
    assert (await vic.get("/api/audit/entries")).status_code == 403
    assert (await http.of("hg_t_" + "A" * 49).post("/api/sites", json={})).status_code == 401
    for _ in range(MOST_OF_CALLER + 5):
        assert (await vic.post("/api/sites", json={})).status_code == 403
    assert (await sue.post("/api/sites", json={})).status_code == 403
    assert len(await refused(stack, http, "vic")) == MOST_OF_CALLER
    assert len(await refused(stack, http, "sue")) == 1
    counted = http.edge.refusals._rows
    assert counted["vic", "/api/sites", 403] == MOST_OF_CALLER + 5
    stack.clock.advance(minutes=1)
    assert (await vic.post("/api/sites", json={})).status_code == 403
    assert len(await refused(stack, http, "vic")) == MOST_OF_CALLER + 1


async def test_all_callers_together_fill_no_log(stack: Stack, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "MOST", 3)
    people = [await http.user(name, "viewer", ["north"]) for name in ("ann", "bob", "cid")]
    for one in people:
        for _ in range(2):
            assert (await one.post("/api/sites", json={})).status_code == 403
    assert [len(await refused(stack, http, name)) for name in ("ann", "bob", "cid")] == [2, 1, 0]


async def test_they_wait_for_the_database(stack: Stack, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    vic = await http.user("vic", "viewer", ["north"])
    with monkeypatch.context() as patch:

        async def away(*_: Any) -> None:
            raise OSError("away")

        patch.setattr(outbox, "stage", away)
        assert (await vic.post("/api/sites", json={})).status_code == 403
        await http.edge.denials.flush()
    assert len(await refused(stack, http, "vic")) == 1
