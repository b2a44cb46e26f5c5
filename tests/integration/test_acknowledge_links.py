"""The link of an escalation's message on a real edge and tracker: a page that changes nothing, and its button."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.acknowledge_links import GOOD_FOR, Ticket, link_of, ticket_of
from libs.common.contracts.tracker.acknowledge_links import LinkKey
from libs.common.contracts.tracker.escalation import escalation_acknowledged, escalation_raised
from libs.common.vault import Vault
from services.tracker.service import SERVICE
from tests.http_edge import Http
from tests.integration.tracker_office import SITE, Office
from tests.stack import Stack

pytestmark = pytest.mark.integration

VAULT = Vault.from_secret("of the tests")
BUTTON = {"do": "acknowledge"}


class Reader:
    """Holds the link of a message, and opens it as a browser does: without any token."""

    def __init__(self, office: Office, raised: dict[str, Any]) -> None:
        self.office, self.raised = office, raised
        self.item_id: int = raised["item"]["id"]
        self.browser: httpx2.AsyncClient = office.http.of(None)

    def ticket(self, **changed: Any) -> Ticket:
        """As the notifier makes it for bob."""
        key = LinkKey(item_id=self.item_id, episode=self.raised["item"]["episode"], key=self.raised["key"])
        until = self.office.http.stack.clock() + GOOD_FOR
        return Ticket(**{"site": SITE, "key": key, "person": "bob", "channel": "mail", "until": until, **changed})

    def path(self, **changed: Any) -> str:
        return link_of("", VAULT, self.ticket(**changed))

    async def press(self, path: str, **more: Any) -> httpx2.Response:
        return await self.browser.post(path, data=BUTTON, **more)

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.office.ask("GET", f"/items/{self.item_id}/escalation")).json()
        return found


@pytest_asyncio.fixture
async def reader(stack: Stack) -> AsyncIterator[Reader]:
    """Bob, an operator of the site, who was told of an item."""
    edge = await Http(stack).open(vault_secret=SecretStr("of the tests"))
    await edge.site(SITE)
    await stack.start(SERVICE)
    office = Office(edge)
    await edge.user("bob", "operator", [SITE])
    await office.judge(a="fail")
    assert (await office.ask("POST", "/escalate/run")).status_code == 200
    raised = await stack.heard(escalation_raised)
    assert isinstance(raised.data, dict)
    yield Reader(office, raised.data)
    await edge.close()


async def test_opening_changes_nothing_and_the_button_acknowledges_once(reader: Reader) -> None:
    path = reader.path()
    for method in ("GET", "HEAD", "GET"):
        answer = await reader.browser.request(method, path)
        assert answer.status_code == 200, answer.text
    assert (await reader.state())["state"] == "running"
    for shown in ("Acknowledge this item?", "<dd>a</dd>", "as bob", '<form method="post">'):
        assert shown in answer.text
    done = await reader.press(path)
    assert (done.status_code, "Acknowledged" in done.text) == (200, True)
    state = await reader.state()
    assert (state["state"], state["acknowledged_by"]) == ("acknowledged", "bob")
    told = await reader.office.http.stack.heard(escalation_acknowledged)
    assert (told.actor, told.data["by_link"], told.correlationid) == ("bob", True, done.headers["x-request-id"])
    again = await reader.press(path)
    assert (again.status_code, "This link was used" in again.text) == (410, True)
    assert (await reader.office.ask("POST", f"/items/{reader.item_id}/unacknowledge")).status_code == 200
    for answer in (await reader.browser.get(path), await reader.press(path), await reader.press(reader.path())):
        assert (answer.status_code, "This link was used" in answer.text) == (410, True), "also one that was made anew"
        assert "<form" not in answer.text
    assert (await reader.state())["state"] == "running"


async def test_the_page_may_do_nothing_but_send_its_form(reader: Reader) -> None:
    answer = await reader.browser.get(reader.path())
    policy = answer.headers["Content-Security-Policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        policy,
    )
    for name, value in (
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow"),
        ("x-content-type-options", "nosniff"),
    ):
        assert answer.headers[name] == value
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    korean = await reader.browser.get(reader.path(), headers={"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"})
    assert 'lang="ko"' in korean.text
    assert "확인" in korean.text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", ""),
        (b"do=acknowledge", "text/plain"),
        (b'{"do": "acknowledge"}', "application/json"),
        (b"do=other", "application/x-www-form-urlencoded"),
        (b"do=acknowledge&do=acknowledge", "application/x-www-form-urlencoded"),
        (b"do=\xff\xfe", "application/x-www-form-urlencoded"),
        (b"do=acknowledge&x=" + b"y" * 5000, "application/x-www-form-urlencoded"),
        (b"&" * 900, "application/x-www-form-urlencoded"),
    ],
)
async def test_only_the_form_does_something(reader: Reader, body: bytes, kind: str) -> None:
    answer = await reader.browser.post(reader.path(), content=body, headers={"content-type": kind} if kind else {})
    assert (answer.status_code, "Nothing was changed" in answer.text) == (400, True)
    assert (await reader.state())["state"] == "running"


async def test_what_is_no_token_of_ours_opens_one_and_the_same_page(reader: Reader) -> None:
    good = reader.path()
    flipped = good[:-6] + ("A" if good[-6] != "A" else "B") + good[-5:]
    foreign = link_of("", Vault.from_secret("of somebody else"), reader.ticket())
    elsewhere = "/a/" + VAULT.seal(reader.ticket().model_dump_json(), "subscription/1").rstrip("=")
    nonsense = "/a/" + VAULT.seal("{}", "acknowledge").rstrip("=")
    hostile = ("x", "v1.x", "v1.0.", "v2.a.b", "*", "%00", "%ED%A0%80", "%2e%2e%2fetc", "=" * 900, "y" * 5000, "확")
    ended = reader.path(until=reader.office.http.stack.clock())
    left = reader.path(person="nobody-here")
    pages = set()
    for path in (flipped, foreign, elsewhere, nonsense, ended, left, good + "x", *(f"/a/{one}" for one in hostile)):
        for answer in (await reader.browser.get(path), await reader.press(path)):
            assert answer.status_code in (404, 422), (path, answer.text)
            if answer.status_code == 404 and answer.headers["content-type"].startswith("text/html"):
                pages.add(answer.text)
            else:
                assert path in ("/a/%00", "/a/%2e%2e%2fetc"), path  # no path of ours, or none at all
    assert len(pages) == 1
    assert (await reader.state())["state"] == "running"


async def test_a_person_must_be_active_and_allowed_at_that_moment(reader: Reader) -> None:
    owner = reader.office.client
    for change, back in (
        ({"active": False}, {"active": True}),
        ({"role": "viewer"}, {"role": "operator"}),
        ({"sites": ["global"]}, {"sites": [SITE]}),
    ):
        path = reader.path()
        assert (await owner.patch("/api/users/bob", json=change)).status_code == 200
        for answer in (await reader.browser.get(path), await reader.press(path)):
            assert (answer.status_code, "opens nothing" in answer.text) == (404, True), change
        assert (await owner.patch("/api/users/bob", json=back)).status_code == 200
        assert (await reader.browser.get(path)).status_code == 200
    assert (await reader.state())["state"] == "running"


async def test_who_reads_a_channel_speaks_as_the_channel(reader: Reader) -> None:
    done = await reader.press(reader.path(person=None, channel="ops-room"))
    assert done.status_code == 200
    assert (await reader.state())["acknowledged_by"] == "link:ops-room"
    late = await reader.press(reader.path())
    assert (late.status_code, "link:ops-room was faster" in late.text) == (410, True)


async def test_a_link_is_for_its_episode_alone(reader: Reader) -> None:
    path = reader.path()
    await reader.office.judge(a="pass")
    over = await reader.browser.get(path)
    assert (over.status_code, "This is over" in over.text) == (410, True)
    await reader.office.judge(a="fail")
    for answer in (await reader.browser.get(path), await reader.press(path)):
        assert (answer.status_code, "This is over" in answer.text) == (410, True)
    assert (await reader.state())["state"] == "none"


async def test_while_the_tracker_is_away_the_page_says_so(reader: Reader) -> None:
    await reader.office.http.stack.stop("tracker")
    answer = await reader.browser.get(reader.path())
    assert (answer.status_code, "Not now" in answer.text) == (503, True)
    assert answer.headers["Retry-After"]


async def test_a_stranger_who_tries_tokens_is_slowed_down_and_counted(stack: Stack) -> None:
    edge = await Http(stack).open(anonymous_requests_per_minute=3, vault_secret=SecretStr("of the tests"))
    try:
        browser = edge.of(None)
        answers = [await browser.get("/a/v1.0123456789abcdef.AAAA") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        counted = edge.edge.refusals._rows
        assert {(route, status): count for (_, route, status), count in counted.items()} == {
            ("/a/{token}", 404): 3,
            ("/a/{token}", 429): 1,
        }
    finally:
        await edge.close()


def test_a_ticket_survives_a_new_key_and_not_its_time(stack: Stack) -> None:
    now = stack.clock()
    key = LinkKey(item_id=1, episode=1, key=uuid.UUID(int=7))
    ticket = Ticket(site=SITE, key=key, person="bob", channel="mail", until=now + GOOD_FOR)
    address = link_of("https://headgate.example.com/", VAULT, ticket)
    assert re.fullmatch(r"https://headgate\.example\.com/a/[A-Za-z0-9._-]+", address)
    token = address.rpartition("/")[2]
    rotated = Vault((b"n" * 32, *VAULT.keys))
    assert ticket_of(rotated, token, now) == ticket
    assert ticket_of(VAULT, token, now + GOOD_FOR - timedelta(seconds=1)) == ticket
    assert ticket_of(VAULT, token, now + GOOD_FOR) is None
    assert ticket_of(Vault((b"n" * 32,)), token, now) is None
