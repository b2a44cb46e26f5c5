"""An item goes overdue, and people hear of it: gateway, tracker and notifier on real servers, and a real receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.contracts.notifier.escalations import escalation_failed
from libs.common.contracts.tracker.escalation import JOB, escalation_raised, escalation_unreached
from libs.common.outbound import Outbound
from services.notifier.service import make_service
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.integration.notifier_desk import HERE, VAULT, VAULT_SECRET
from tests.integration.sink import Sink, answer, receiver
from tests.integration.tracker_office import SITE, Office
from tests.stack import Stack

pytestmark = pytest.mark.integration
SIGNED_WITH = "whsec_" + "A" * 43 + "="
CHAIN: dict[str, Any] = {
    "name": "usual",
    "calendar": "always",
    "levels": [{"targets": [{"user": "bob"}]}, {"wait_minutes": 60, "targets": [{"role": "manager"}]}],
}


class Site:
    """A site with bob, who is told first, and mia, its manager; both have a channel."""

    def __init__(self, office: Office, sink: Sink) -> None:
        self.office, self.sink, self.stack = office, sink, office.http.stack

    async def overdue(self) -> int:
        """An item whose time is over, and the hourly run; returns its number."""
        item = (await self.office.judge(dr="fail"))["dr"]
        self.stack.clock.advance(hours=5)
        assert await self.stack.run_job("tracker", JOB, SITE)
        number: int = item["id"]
        return number

    async def ladder(self, **later: float) -> None:
        self.stack.clock.advance(**later)
        assert await self.stack.run_job("tracker", "escalation_ladder")
        for name in ("tracker", "notifier"):
            await self.stack.idle(name)

    async def state(self, item: int) -> dict[str, Any]:
        found: dict[str, Any] = (await self.office.ask("GET", f"/items/{item}/escalation")).json()
        return found

    async def latest(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.office.ask("GET", "/escalate/latest")).json()
        return found


@pytest_asyncio.fixture
async def site(stack: Stack) -> AsyncIterator[Site]:
    async with receiver() as sink:
        http = await Http(stack).open(vault_secret=SecretStr(VAULT_SECRET))
        await http.site(SITE)
        await stack.start(make_service(Outbound(HERE), VAULT, http.url), TRACKER)
        office = Office(http)
        for name, role in (("bob", "operator"), ("mia", "manager")):
            client = await http.user(name, role, [SITE])
            body = {"name": "phone", "kind": "generic", "address": sink.url(f"/{name}"), "signing_secret": SIGNED_WITH}
            assert (await client.post("/api/me/channels", json=body)).status_code == 201
        assert await stack.run_job("tracker", "learn_people")
        published = await office.ask(
            "PUT", "/escalate/chains", json={"content": {"chains": [CHAIN]}, "reason": "a test"}
        )
        assert published.status_code == 200, published.text
        yield Site(office, sink)
        await http.close()


async def test_who_acknowledges_by_the_link_spares_the_next_level(site: Site) -> None:
    item = await site.overdue()
    [got] = await site.sink.wait_for("/bob")
    assert got.is_signed_with(SIGNED_WITH)
    assert not got.is_signed_with("whsec_" + "B" * 43 + "=")
    document = orjson.loads(got.body)
    assert document["title"].startswith("Overdue (level 1 of 2): dr")
    browser = site.office.http.of(None)
    assert (await browser.get(document["acknowledge_link"])).status_code == 200
    assert (await site.state(item))["state"] == "running"
    pressed = await browser.post(document["acknowledge_link"], data={"do": "acknowledge"})
    assert pressed.status_code == 200, pressed.text
    found = await site.state(item)
    assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "bob")
    await site.ladder(hours=3)
    assert (len(site.sink.at("/bob")), site.sink.at("/mia")) == (1, [])


async def test_without_a_word_the_next_level_hears_of_it_once(site: Site) -> None:
    item = await site.overdue()
    await site.sink.wait_for("/bob")
    await site.ladder(minutes=59)
    assert site.sink.at("/mia") == []
    await site.ladder(minutes=1)
    [got] = await site.sink.wait_for("/mia")
    assert "(level 2 of 2)" in orjson.loads(got.body)["title"]
    for _ in range(3):
        await site.ladder(hours=1)
    assert (len(site.sink.at("/bob")), len(site.sink.at("/mia"))) == (1, 1)
    steps = (await site.state(item))["steps"]
    assert [(step["level"], step["dispatched"], step["deliveries"][0]["person"]) for step in steps] == [
        (2, True, "mia"),
        (1, True, "bob"),
    ]
    run = await site.latest()
    assert (run["notify_attempted"], run["notify_dispatched"], run["notify_error"]) == (True, True, None)
    assert run["notify_pending_count"] == 0
    assert [(one["target"], one["success"]) for one in run["notify_channels"]] == [("phone", True)]


async def test_a_level_that_can_not_be_told_goes_on_at_once(site: Site) -> None:
    site.sink.says["/bob"] = answer(500)
    item = await site.overdue()
    began = site.stack.clock()
    for tries in range(1, 6):
        await site.sink.wait_for("/bob", tries)
        await site.stack.idle("notifier")
        site.stack.clock.advance(seconds=75)
    await site.stack.heard(escalation_failed)
    await site.sink.wait_for("/mia")
    assert (site.stack.clock() - began).total_seconds() < 10 * 60, "an hour early"
    await site.ladder(hours=1)
    assert len(site.sink.at("/mia")) == 1
    first = next(step for step in (await site.state(item))["steps"] if step["level"] == 1)
    assert first["error"].startswith("phone: The receiver answered 500")
    assert "1 of 1 reached nobody" in (await site.latest())["notify_error"]


async def test_nobody_with_a_channel_is_said_and_seen(site: Site) -> None:
    chain = CHAIN | {"levels": [{"targets": [{"user": "eve"}]}]}
    body = {"content": {"chains": [chain]}, "reason": "a test"}
    assert (await site.office.ask("PUT", "/escalate/chains", json=body)).status_code == 200
    await site.overdue()
    told = await site.stack.heard(escalation_unreached)
    assert "No active channel for: eve." in str(told.data)
    await site.stack.idle("tracker")
    check = (await site.office.ask("GET", "/escalate/check")).json()
    assert (check["status"], check["unreached_count"], check["unreached"][0]["rule_id"]) == ("critical", 1, "dr")
    assert "No active channel for: eve." in (await site.latest())["notify_error"]
    raised = [event for event in site.stack.events if event.name == escalation_raised.name]
    assert len(raised) == 1
