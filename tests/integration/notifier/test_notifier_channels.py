"""Channels: named once, their addresses shown to nobody; what goes to them, and what each kind makes of a message."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
import pytest

from libs.common.contracts.governance.halts import Halt, line_lifted
from libs.common.contracts.notifier.channels import channel_disabled
from tests.integration.notifier_desk import Desk, open_desk
from tests.integration.sink import Sink, answer
from tests.stack import Stack

pytestmark = pytest.mark.integration
SECRET = "/services/T0123/B4567/notForAnybodysEyes?key=alsoNotForThem"


async def _channel(
    desk: Desk, path: str = "/room", kind: str = "slack", name: str = "ops", **more: Any
) -> dict[str, Any]:
    body = {"name": name, "kind": kind, "address": desk.sink.url(path), **more}
    made: dict[str, Any] = await desk.ask("POST", "/channels", body, 201)
    return made


async def _subscribe(desk: Desk, channel: str, **more: Any) -> dict[str, Any]:
    body = {"name": "to people", "event_types": ["governance.line.halted"], "channel": channel, **more}
    made: dict[str, Any] = await desk.ask("POST", "/subscriptions", body, 201)
    return made


async def test_a_subscription_to_a_channel_writes_to_people_and_shows_no_secret(desk: Desk, sink: Sink) -> None:
    await _channel(desk)
    made = await _subscribe(desk, "ops")
    assert (made["endpoint"], made["fingerprint"], made.get("signing_secret")) == ("", "", None)
    event_id = await desk.halt()
    [got] = await sink.wait_for("/room")
    assert got.headers["webhook-id"] == f"{event_id}-{made['subscription_id']}"
    document = orjson.loads(got.body)
    assert [block["type"] for block in document["blocks"]][:2] == ["header", "section"]
    [row] = await desk.until("delivered")
    shown = await desk.show(row["delivery_id"])
    assert (shown["endpoint"], shown["purpose"]) == (f"127.0.0.1:{sink.port}", "subscription")
    await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/rotate", status=409)
    assert len(await desk.deliveries(channel_id=row["channel_id"])) == 1


async def test_where_a_channel_leads_is_read_nowhere(desk: Desk, sink: Sink, stack: Stack) -> None:
    """Not in answers, events, rows, or what a receiver tells back."""
    sink.says[SECRET] = answer(404, f"Cannot POST {SECRET}".encode(), location=f"https://x.example{SECRET}")
    made = await _channel(desk, SECRET)
    await _subscribe(desk, "ops")
    await desk.halt()
    [row] = await desk.until("retrying")
    shown = await desk.show(row["delivery_id"])
    assert shown["answer_head"] == "Cannot POST …"
    said = [made, shown, await desk.ask("GET", "/channels"), await desk.ask("GET", f"/channels/{made['channel_id']}")]
    refused = await desk.ask("POST", "/channels", {"name": "x", "kind": "slack", "address": f"ftp://a{SECRET}"}, 422)
    parts = ("notForAnybodysEyes", "alsoNotForThem")
    assert not any(part in orjson.dumps([*said, refused]).decode() for part in parts)
    assert not any(part.encode() in event.encode() for event in stack.events for part in parts)
    connection = await stack.superuser()
    for table in await connection.fetch(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('notifier', 'gateway')"
    ):
        text = await connection.fetchval(f"SELECT string_agg(t::text, '') FROM {table['name']} AS t")
        assert not any(part in (text or "") for part in parts), table["name"]
    await connection.close()


async def test_a_sample_goes_straight_to_a_channel_and_to_no_other(desk: Desk, sink: Sink, stack: Stack) -> None:
    made = await _channel(desk, kind="generic", language="ko")
    await _channel(desk, "/other", name="other")
    told = await desk.ask("POST", f"/channels/{made['channel_id']}/test")
    [got] = await sink.wait_for("/room")
    document = orjson.loads(got.body)
    assert (document["event_id"], document["language"]) == (told["event_id"], "ko")
    [row] = await desk.until("delivered")
    assert (row["purpose"], row["subscription_id"], row["channel_id"]) == ("test", None, made["channel_id"])
    assert (await desk.show(row["delivery_id"]))["webhook_id"] == f"{told['event_id']}-c{made['channel_id']}"
    assert sink.at("/other") == []
    again = await desk.ask("POST", f"/channels/{made['channel_id']}/test", status=409)
    assert "within the last 30 s" in again["detail"]
    stack.clock.advance(seconds=30)
    await desk.ask("POST", f"/channels/{made['channel_id']}/test")


async def test_a_persons_own_channel_is_theirs_alone(desk: Desk, sink: Sink) -> None:
    await desk.http.site("plant-a")
    vera = await desk.http.user("vera", "viewer", ["plant-a"])
    body = {"name": "phone", "kind": "generic", "address": sink.url("/vera")}
    made = (await vera.post("/api/me/channels", json=body)).json()
    assert (made["person"], made["site"]) == ("vera", "*")
    path = f"/me/channels/{made['channel_id']}"
    assert (await vera.post(f"/api{path}/test")).status_code == 200
    await sink.wait_for("/vera")
    assert [one["name"] for one in (await vera.get("/api/me/channels")).json()["items"]] == ["phone"]
    assert (await desk.ask("GET", "/channels"))["items"] == (await desk.ask("GET", "/me/channels"))["items"] == []
    for method, other in (("PUT", path), ("DELETE", path), ("POST", f"{path}/test"), ("POST", f"{path}/disable")):
        await desk.ask(method, other, {**body} if method == "PUT" else None, 404)
    assert (await vera.post("/api/channels", json=body)).status_code == 403
    assert (await vera.delete(f"/api{path}")).json()["status"] == "removed"


async def test_410_disables_the_channel_and_what_is_for_it_waits(desk: Desk, sink: Sink, stack: Stack) -> None:
    sink.says["/room"] = answer(410)
    made = await _channel(desk)
    await _subscribe(desk, "ops")
    await desk.halt()
    told = await stack.heard(channel_disabled)
    assert (told.data["channel_id"], told.data["status"]) == (made["channel_id"], "disabled")
    assert "410 Gone" in (await desk.until("dead"))[0]["error"]
    await desk.halt()
    await stack.idle("notifier")
    await desk.until("pending")
    await desk.ask("POST", f"/channels/{made['channel_id']}/test", status=409)
    sink.says["/room"] = answer(200)
    await desk.ask("POST", f"/channels/{made['channel_id']}/enable")
    await desk.until("delivered")


async def test_names_kinds_and_addresses_that_are_none_are_refused_with_a_sentence(desk: Desk, sink: Sink) -> None:
    made = await _channel(desk)
    good = {"name": "new", "kind": "slack", "address": sink.url("/x")}
    for fields, status, words in (
        ({"name": "ops"}, 409, "There is a channel ops already"),
        ({"name": "webhook"}, 422, "no channel is called webhook"),
        ({"address": "hooks.slack.com"}, 422, "an address of the kind slack is"),
        ({"address": "http://169.254.169.254/latest"}, 422, "address: This address is not called"),
        ({"kind": "carrier-pigeon"}, 422, "kind"),
    ):
        refused = await desk.ask("POST", "/channels", {**good, **fields}, status)
        assert words in orjson.dumps(refused).decode(), refused
    change = {"name": "ops", "kind": "generic"}
    assert "make another one" in (await desk.ask("PUT", f"/channels/{made['channel_id']}", change, 422))["detail"]
    for fields, words in (
        ({"channel": "nowhere"}, "has no channel nowhere"),
        ({"channel": "ops", "endpoint": sink.url()}, "leave the endpoint out"),
        ({"channel": "webhook"}, "needs an endpoint"),
    ):
        body = {"name": "x", "event_types": ["*"], **fields}
        assert words in orjson.dumps(await desk.ask("POST", "/subscriptions", body, 422)).decode()


async def test_a_channel_that_is_used_stays_and_a_new_name_and_address_are_followed(desk: Desk, sink: Sink) -> None:
    made = await _channel(desk)
    subscribed = await _subscribe(desk, "ops")
    path = f"/channels/{made['channel_id']}"
    assert str(subscribed["subscription_id"]) in (await desk.ask("DELETE", path, status=409))["detail"]
    changed = {"name": "operations", "kind": "slack", "address": sink.url("/moved")}
    await desk.ask("PUT", path, changed)
    shown = await desk.ask("GET", f"/subscriptions/{subscribed['subscription_id']}")
    assert shown["channel"] == "operations"
    await desk.halt()
    await sink.wait_for("/moved")
    await desk.until("delivered")
    await desk.ask("PUT", path, {"name": "operations", "kind": "slack", "language": "ko"})  # the address stays
    await desk.halt()
    await sink.wait_for("/moved", 2)
    await desk.ask("DELETE", f"/subscriptions/{subscribed['subscription_id']}")
    assert (await desk.ask("DELETE", path))["status"] == "removed"
    await _channel(desk)  # the name is free again


async def test_what_waits_goes_where_the_subscription_leads_by_then(desk: Desk, sink: Sink, stack: Stack) -> None:
    sink.says["/room"] = answer(503)
    await _channel(desk)
    other = await _channel(desk, "/other", name="other")
    made = await _subscribe(desk, "ops")
    await desk.halt()
    await desk.until("retrying")
    body = {"name": "to people", "event_types": ["governance.line.halted"], "channel": "other"}
    await desk.ask("PUT", f"/subscriptions/{made['subscription_id']}", body)
    stack.clock.advance(seconds=10)
    await sink.wait_for("/other")
    [row] = await desk.until("delivered")
    assert row["channel_id"] == other["channel_id"]


async def test_a_warning_after_its_all_clear_opens_no_incident_again(stack: Stack, sink: Sink) -> None:
    """In whatever order they go out: the warning is tried again after the end was told."""
    desk = await open_desk(stack, sink, ways={"pagerduty_url": sink.url("/v2/enqueue")})
    try:
        await desk.ask("POST", "/channels", {"name": "pd", "kind": "pagerduty", "address": "0" * 32}, 201)
        await _subscribe(desk, "pd", event_types=["governance.line.*"])
        sink.says["/v2/enqueue"] = answer(503)
        await desk.halt()
        await desk.until("retrying")
        sink.says["/v2/enqueue"] = answer(202)
        stack.clock.advance(seconds=1)
        lifted = Halt(
            halt_id=1, site="global", subjects="*", reason="a test", halted_by="ann", halted_at=stack.clock(),
            lifted_by="ann", lifted_at=stack.clock(), lift_reason="over",
        )  # fmt: skip
        await stack.publish(line_lifted, lifted, site="global")
        await desk.until("delivered")
        stack.clock.advance(seconds=10)
        [row] = await desk.until("dead")
        assert "would have opened the incident again" in row["error"]
        actions = [orjson.loads(one.body)["event_action"] for one in sink.at("/v2/enqueue")]
        assert actions == ["trigger", "resolve"]
        stack.clock.advance(seconds=1)
        await desk.halt()  # anew, so it is no trouble of before
        await desk.until("delivered", 2)
        assert orjson.loads(sink.at("/v2/enqueue")[-1].body)["event_action"] == "trigger"
    finally:
        await desk.http.close()


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        (answer(500), "retrying", "500 Internal Server Error"),
        (None, "retrying", "no whole answer within 1 seconds"),
        (answer(429, retry_after="600"), "retrying", "429 Too Many Requests"),
        (answer(302, location="http://127.0.0.1/"), "retrying", "redirects are not followed"),
        (answer(200, b"x" * 10_000_000), "delivered", None),
    ],
)
async def test_each_answer_to_a_channel_leaves_its_row(
    stack: Stack, sink: Sink, said: bytes | None, state: str, words: str | None
) -> None:
    desk = await open_desk(stack, sink, total_s=1.0)
    try:
        sink.says["/room"] = said
        await _channel(desk)
        await _subscribe(desk, "ops")
        await desk.halt()
        [row] = await desk.until(state)
        assert row["attempt_count"] == 1
        assert words is None or words in row["error"]
        if said and b"429" in said:
            waits = datetime.fromisoformat(row["due_at"]) - stack.clock()
            assert waits.total_seconds() == 600
        assert len(sink.at("/room")) == 1
    finally:
        await desk.http.close()


async def test_teams_and_pagerduty_get_what_they_take(stack: Stack, sink: Sink) -> None:
    key = "0123456789abcdef0123456789abcdef"
    desk = await open_desk(stack, sink, ways={"pagerduty_url": sink.url("/v2/enqueue")})
    try:
        sink.says["/v2/enqueue"] = answer(400, f'{{"errors": ["no such key {key}"]}}'.encode())
        made = await desk.ask("POST", "/channels", {"name": "pd", "kind": "pagerduty", "address": key}, 201)
        assert made["address_shown"] == "PagerDuty"
        await _channel(desk, "/workflow", "teams", "teams")
        for name in ("pd", "teams"):
            await _subscribe(desk, name)
        await desk.halt()
        [event] = [orjson.loads(one.body) for one in await sink.wait_for("/v2/enqueue")]
        assert (event["routing_key"], event["event_action"]) == (key, "trigger")
        [card] = [orjson.loads(one.body) for one in await sink.wait_for("/workflow")]
        assert card["attachments"][0]["content"]["type"] == "AdaptiveCard"
        [row] = await desk.until("retrying")
        assert (await desk.show(row["delivery_id"]))["answer_head"] == '{"errors": ["no such key …"]}'
        for kind, address in (("pagerduty", "short"), ("teams", "not a url")):
            refused = await desk.ask("POST", "/channels", {"name": "x", "kind": kind, "address": address}, 422)
            assert f"an address of the kind {kind} is" in refused["detail"]
    finally:
        await desk.http.close()


async def test_an_endpoints_query_is_hidden_and_stays_when_it_comes_back_as_it_was_read(desk: Desk, sink: Sink) -> None:
    made = await desk.subscribe("/hook?token=notForAnybodysEyes")
    assert made["endpoint"] == sink.url("/hook?…")
    path = f"/subscriptions/{made['subscription_id']}"
    body = {"name": "renamed", "event_types": ["governance.line.halted"], "endpoint": made["endpoint"]}
    assert (await desk.ask("PUT", path, body))["endpoint"] == sink.url("/hook?…")
    await desk.halt()
    await sink.wait_for("/hook?token=notForAnybodysEyes")
    [row] = await desk.until("delivered")
    assert (await desk.show(row["delivery_id"]))["endpoint"] == sink.url("/hook?…")


async def test_what_a_generic_channel_signs_with_is_never_shown(desk: Desk, sink: Sink) -> None:
    secret = "whsec_" + "A" * 43 + "="
    body = {"name": "signed", "kind": "generic", "address": sink.url("/signed"), "signing_secret": secret}
    for wrong in ({"kind": "slack"}, {"signing_secret": "abc"}):
        await desk.ask("POST", "/channels", body | wrong, 422)
    made = await desk.ask("POST", "/channels", body, 201)
    assert made["address_shown"].endswith(", signed")
    await desk.ask("POST", f"/channels/{made['channel_id']}/test")
    [got] = await sink.wait_for("/signed")
    assert got.is_signed_with(secret)
    key = {"name": "signed", "kind": "generic"}
    await desk.ask("PUT", f"/channels/{made['channel_id']}", key | {"signing_secret": secret}, 422)
    await desk.ask("PUT", f"/channels/{made['channel_id']}", key)
    shown = await desk.ask("GET", f"/channels/{made['channel_id']}")
    assert shown["address_shown"].endswith(", signed"), "the address stays, and its secret with it"
    assert secret not in repr([made, shown])
