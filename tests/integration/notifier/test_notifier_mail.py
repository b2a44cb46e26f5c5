"""E-mail to people by a real mail server: what is sent, and what each of its answers leads to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common.contracts.notifier.channels import channel_created
from tests.integration.mailbox import PASSWORD, Mailbox, mail_server
from tests.integration.notifier_desk import Desk, open_desk
from tests.integration.sink import Sink
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]
OPS = "ops@example.org"


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Mailbox]:
    async with mail_server(tmp_path) as found:
        yield found


@pytest_asyncio.fixture
async def desk(stack: Stack, sink: Sink, box: Mailbox) -> AsyncIterator[Desk]:
    found = await open_desk(stack, sink, ways={"post": box.post(total_s=2.0)})
    yield found
    await found.http.close()


async def mailed(desk: Desk, address: str = OPS, **more: Any) -> dict[str, Any]:
    """A channel of e-mail that is subscribed to, and the channel."""
    made: dict[str, Any] = await desk.ask("POST", "/channels", {"name": "mail", "kind": "email", "address": address,
                                                               **more}, 201)  # fmt: skip
    await desk.ask("POST", "/subscriptions", {"name": "x", "event_types": ["governance.line.halted"],
                                              "channel": "mail"}, 201)  # fmt: skip
    return made


async def test_a_mail_has_text_and_html_and_keeps_its_id(desk: Desk, box: Mailbox, stack: Stack) -> None:
    made = await mailed(desk)
    assert made["address_shown"] == OPS
    event_id = await desk.halt(subjects="shop <script>")
    [got] = await box.wait_for()
    assert box.encrypted == [True]
    assert (got["To"], got["From"]) == (OPS, "Headgate <headgate@example.com>")
    assert got["Message-ID"].startswith(f"<{event_id}-")
    assert got["Auto-Submitted"] == "auto-generated"
    text, html = got.get_body(("plain",)), got.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "shop <script>" in text.get_content()
    assert "shop &lt;script&gt;" in html.get_content()
    assert "<script>" not in html.get_content()
    [row] = await desk.until("delivered")
    # Whose mail it is, is told to nobody, and shown to who looks after channels.
    told = await stack.heard(channel_created)
    opal = await desk.http.user("opal", "operator")
    [listed] = (await opal.get("/api/channels")).json()["items"]
    shown = (await opal.get(f"/api/deliveries/{row['delivery_id']}")).json()
    assert {told.data["address_shown"], listed["address_shown"], shown["endpoint"]} == {"***@example.org"}
    assert (await desk.show(row["delivery_id"]))["endpoint"] == OPS
    assert "250" in (await desk.show(row["delivery_id"]))["answer_head"] or row["took_ms"] > 0
    await desk.ask("POST", f"/deliveries/{row['delivery_id']}/retry")
    first, second = await box.wait_for(2)
    assert (first["Message-ID"], first["References"]) == (second["Message-ID"], second["References"])


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        ("550 5.1.1 no such user", "dead", "answered 550 5.1.1 no such user"),
        ("450 4.2.1 busy", "retrying", "answered 450 4.2.1 busy"),
    ],
)
async def test_what_is_refused_for_good_is_dead_and_for_now_is_tried_again(
    desk: Desk, box: Mailbox, stack: Stack, said: str, state: str, words: str
) -> None:
    box.says[OPS] = said
    await mailed(desk)
    await desk.halt()
    [row] = await desk.until(state)
    assert words in row["error"]
    if state == "retrying":
        box.says.clear()
        stack.clock.advance(seconds=10)
        await box.wait_for()
        await desk.until("delivered")


async def test_whose_mail_it_is_is_for_them_and_for_who_may_read_what_is_personal(
    desk: Desk, box: Mailbox, stack: Stack
) -> None:
    address = "mia.kim@example.org"
    box.says[address] = f"550 5.1.1 <{address}>: mia.kim is unknown"
    mia, bob = await desk.http.user("mia", "manager"), await desk.http.user("bob", "manager")
    made = await mia.post("/api/me/channels", json={"name": "mine", "kind": "email", "address": address})
    assert made.status_code == 201, made.text
    assert (await mia.post(f"/api/me/channels/{made.json()['channel_id']}/test")).status_code == 200
    [row] = await desk.until("dead")
    masked = "***@example.org"
    for client, shown in ((mia, address), (bob, masked), (desk.http.client, address)):
        answer = await client.get(f"/api/deliveries/{row['delivery_id']}")
        assert (answer.status_code, answer.json()["endpoint"]) == (200, shown), answer.text
        assert "mia.kim" not in json.dumps({**answer.json(), "endpoint": ""})
        assert answer.json()["error"].endswith(f"550 5.1.1 <{masked}>: *** is unknown")
    # A site's is known to who looks after its channels.
    box.says[OPS] = f"550 5.1.1 <{OPS}>: unknown"
    await mailed(desk)
    await desk.halt()
    [row] = [one for one in await desk.until("dead", 2) if one["delivery_id"] != row["delivery_id"]]
    assert (await bob.get(f"/api/deliveries/{row['delivery_id']}")).json()["endpoint"] == OPS
    assert OPS not in (await bob.get(f"/api/deliveries/{row['delivery_id']}")).json()["error"]


async def test_a_server_that_hangs_or_refuses_the_content(desk: Desk, box: Mailbox, stack: Stack) -> None:
    box.hangs = True
    await mailed(desk)
    await desk.halt()
    [row] = await desk.until("retrying")
    assert "took nothing within 2 seconds" in row["error"]
    box.hangs, box.says_data = False, "554 5.7.1 spam"
    stack.clock.advance(seconds=10)
    [row] = await desk.until("dead")
    assert "554 5.7.1 spam" in row["error"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"password": "wrong"}, "answered 535"),
        ({"tls_context": None}, "CERTIFICATE_VERIFY_FAILED"),
        ({"port": 1}, "was not reached"),
    ],
)
async def test_what_is_wrong_with_the_way_is_tried_again_and_tells_no_password(
    stack: Stack, sink: Sink, box: Mailbox, more: dict[str, Any], words: str
) -> None:
    desk = await open_desk(stack, sink, ways={"post": box.post(**more)})
    try:
        await mailed(desk)
        await desk.halt()
        [row] = await desk.until("retrying")
        assert words.lower() in row["error"].lower()
        assert not any(text in orjson.dumps(row).decode() for text in (PASSWORD, "wrong"))
    finally:
        await desk.http.close()


async def test_without_starttls_nothing_is_sent(stack: Stack, sink: Sink, tmp_path: Path) -> None:
    async with mail_server(tmp_path, starttls=False) as open_box:
        desk = await open_desk(stack, sink, ways={"post": open_box.post(user="", password="")})
        try:
            await mailed(desk)
            await desk.halt()
            [row] = await desk.until("retrying")
            assert "STARTTLS" in row["error"]
            assert open_box.got == []
        finally:
            await desk.http.close()


BASE = "https://headgate.example"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def test_a_mail_programs_one_click_stops_that_subscription_alone(stack: Stack, sink: Sink, box: Mailbox) -> None:
    desk = await open_desk(stack, sink, base_url=BASE, ways={"post": box.post()})
    browser = desk.http.of(None)
    try:
        made = await mailed(desk)
        await desk.ask("POST", "/subscriptions", {"name": "other", "event_types": ["governance.line.*"],
                                                  "channel": "mail"}, 201)  # fmt: skip
        await desk.halt()
        first, _ = await box.wait_for(2)
        assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        path = str(first["List-Unsubscribe"]).strip("<>").removeprefix(BASE)
        for method in ("GET", "HEAD"):
            assert (await browser.request(method, path)).status_code == 200
        assert (await browser.post(path, data={"do": "acknowledge"})).status_code == 400
        found = (await desk.ask("GET", "/subscriptions"))["items"]
        assert {one["status"] for one in found} == {"active"}
        done = await browser.post(path, data=ONE_CLICK)
        assert (done.status_code, "Unsubscribed" in done.text) == (200, True)
        assert (await browser.post(path, files={"List-Unsubscribe": (None, "One-Click")})).status_code == 200
        stopped = [one for one in (await desk.ask("GET", "/subscriptions"))["items"] if one["status"] == "paused"]
        assert len(stopped) == 1
        assert ("link in a mail" in stopped[0]["status_reason"], stopped[0]["changed_by"]) == (True, "link:mail")
        assert (await desk.ask("GET", f"/channels/{made['channel_id']}"))["status"] == "active"
        await desk.ask("POST", f"/subscriptions/{stopped[0]['subscription_id']}/resume")
        moved = {"name": "mail", "kind": "email", "address": "new@example.org"}
        await desk.ask("PUT", f"/channels/{made['channel_id']}", moved)
        assert (await browser.post(path, data=ONE_CLICK)).status_code == 404  # who was there before stops nothing
        for bad in (path[:-4] + "AAAA", "/u/x", f"/u/{'v1.' * 500}"):
            assert (await browser.post(bad, data=ONE_CLICK)).status_code == 404
        stack.clock.advance(days=61)
        assert (await browser.get(path)).status_code == 404
    finally:
        await browser.aclose()
        await desk.http.close()


async def test_a_sample_by_mail_is_unsubscribed_by_its_channel(stack: Stack, sink: Sink, box: Mailbox) -> None:
    desk = await open_desk(stack, sink, base_url=BASE, ways={"post": box.post()})
    browser = desk.http.of(None)
    try:
        body = {"name": "mine", "kind": "email", "address": OPS}
        made = await desk.ask("POST", "/me/channels", body, 201)
        await desk.ask("POST", f"/me/channels/{made['channel_id']}/test")
        [got] = await box.wait_for()
        path = str(got["List-Unsubscribe"]).strip("<>").removeprefix(BASE)
        assert (await browser.post(path, data=ONE_CLICK)).status_code == 200
        [own] = (await desk.ask("GET", "/me/channels"))["items"]
        assert own["status"] == "disabled"
    finally:
        await browser.aclose()
        await desk.http.close()


async def test_addresses_that_would_add_a_header_or_a_recipient_are_refused(desk: Desk) -> None:
    for address in (
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example, c@d.example",
        "a@b",
        "<a@b.example>",
        "a b@c.example",
    ):
        refused = await desk.ask("POST", "/channels", {"name": "x", "kind": "email", "address": address}, 422)
        assert "one e-mail address" in refused["detail"]
        assert "Bcc" not in orjson.dumps(refused).decode()


async def test_without_a_mail_server_there_is_no_such_channel(stack: Stack, sink: Sink) -> None:
    desk = await open_desk(stack, sink)
    try:
        refused = await desk.ask("POST", "/channels", {"name": "x", "kind": "email", "address": OPS}, 422)
        assert "HEADGATE_SMTP_HOST" in refused["detail"]
    finally:
        await desk.http.close()
