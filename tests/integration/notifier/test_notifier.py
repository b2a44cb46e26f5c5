"""Subscriptions and deliveries: who is told what, once, signed; and what each kind of answer leads to."""

from __future__ import annotations

import asyncio
from datetime import datetime

import orjson
import pytest

from libs.common.contracts.notifier.subscriptions import subscription_disabled
from libs.common.outbound import Answer, Outbound
from services.notifier.domain.circuits import Policy
from tests.integration.notifier_desk import Desk, open_desk
from tests.integration.sink import Sink, answer
from tests.stack import Stack
from tests.unit.common.test_outbound import resolves

pytestmark = pytest.mark.integration


async def test_an_event_is_delivered_once_signed_and_as_it_was(desk: Desk, sink: Sink, stack: Stack) -> None:
    made = await desk.subscribe()
    assert made["signing_secret"].startswith("whsec_")
    event_id = await desk.halt()
    [got] = await sink.wait_for("/hook")
    assert got.verify(made["signing_secret"])
    assert got.headers["webhook-id"] == f"{event_id}-{made['subscription_id']}"
    event = orjson.loads(got.body)
    assert (event["id"], event["type"]) == (event_id, "headgate.governance.line.halted.v1")
    [row] = await desk.until("delivered")
    shown = await desk.show(row["delivery_id"])
    assert (shown["http_status"], shown["attempt_count"], shown["event"]["id"]) == (204, 1, event_id)
    assert "webhook-signature" not in shown["request_headers"]
    assert shown["request_headers"]["webhook-id"] == shown["webhook_id"]
    message = next(e for e in stack.events if e.id == event_id)
    await stack.bus.js.publish(
        stack.topology.event_filter().replace(">", "global.governance.line.halted"), message.encode()
    )
    await stack.idle("notifier")
    assert len(await desk.deliveries()) == 1


async def test_a_mistake_of_ours_holds_no_place_and_is_tried_again(
    desk: Desk, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.subscribe()
    post = Outbound.post

    async def fail(*_: object) -> Answer:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Outbound, "post", fail)
    for _ in range(20):
        await desk.halt()
    rows = await desk.until("retrying", 20)
    assert all("Something went wrong here" in row["error"] for row in rows)
    monkeypatch.setattr(Outbound, "post", post)
    desk.stack.clock.advance(minutes=1)
    await sink.wait_for("/hook", 20)
    await desk.until("delivered", 20)


async def test_the_secret_is_nowhere_but_in_the_first_answer(desk: Desk, stack: Stack) -> None:
    made = await desk.subscribe()
    secret = made["signing_secret"]
    assert "signing_secret" not in await desk.ask("GET", f"/subscriptions/{made['subscription_id']}")
    connection = await stack.superuser()
    tables = await connection.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('notifier', 'gateway')"
    )
    for row in tables:
        text = await connection.fetchval(
            f"SELECT string_agg(t::text, '') FROM {row['schemaname']}.{row['tablename']} AS t"
        )
        assert secret not in (text or ""), row["tablename"]
    await connection.close()
    assert all(secret.encode() not in event.encode() for event in stack.events)


async def test_both_secrets_sign_while_rotating_and_then_the_new_one_alone(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    made = await desk.subscribe()
    turned = await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/rotate", {"overlap_hours": 1})
    await desk.halt()
    [got] = await sink.wait_for("/hook")
    assert got.verify(made["signing_secret"])
    assert got.verify(turned["signing_secret"])
    stack.clock.advance(hours=1, seconds=1)
    await desk.halt()
    _, later = await sink.wait_for("/hook", 2)
    assert len(later.headers["webhook-signature"].split()) == 1


async def test_filters_conditions_and_types_choose(desk: Desk, sink: Sink, stack: Stack) -> None:
    await desk.subscribe("/all", event_types=["governance.*"])
    await desk.subscribe("/shop", condition='data.subjects == "shop" && event.site == "global"')
    await desk.subscribe("/broken", condition="data.no_such_field == 1")
    await desk.subscribe("/gate", gates=["operations"])
    await desk.halt(subjects="shop")
    await sink.wait_for("/shop")
    await sink.wait_for("/all")
    await desk.until("delivered", 2)
    assert sink.at("/broken") == sink.at("/gate") == []


async def test_a_subscription_that_says_nothing_is_refused_with_a_sentence(desk: Desk) -> None:
    for fields, words in (
        ({"event_types": ["governance.gate.decidde"]}, "no event is called"),
        ({"condition": "data.x =="}, "condition:"),
        ({"condition": "1 + 1"}, "not BOOL"),
        ({"endpoint": "http://169.254.169.254/latest"}, "endpoint: This address is not called"),
        ({"endpoint": "http://10.0.0.1/"}, "endpoint: This address is not called"),
        ({"endpoint": "ftp://example.com/"}, "endpoint"),
    ):
        body = {"name": "x", "event_types": ["*"], "endpoint": desk.sink.url(), **fields}
        refused = await desk.ask("POST", "/subscriptions", body, 422)
        assert words in orjson.dumps(refused).decode(), refused


@pytest.mark.parametrize(
    ("said", "state", "status", "words"),
    [
        (answer(500), "retrying", 500, "500 Internal Server Error"),
        (answer(302, location="http://127.0.0.1/"), "retrying", 302, "redirects are not followed"),
        (answer(404), "retrying", 404, "404 Not Found"),
        (answer(200, b"x" * 10_000_000), "delivered", 200, None),
        (b"nonsense\r\n\r\n", "retrying", None, "The connection failed"),
    ],
)
async def test_each_kind_of_answer_leaves_its_row(
    desk: Desk, sink: Sink, said: bytes, state: str, status: int | None, words: str | None
) -> None:
    sink.says["/hook"] = said
    await desk.subscribe()
    await desk.halt()
    [row] = await desk.until(state)
    assert (row["http_status"], row["attempt_count"]) == (status, 1)
    assert words is None or words in row["error"]
    shown = await desk.show(row["delivery_id"])
    assert len(shown["answer_head"] or "") <= 1000
    assert [attempt["http_status"] for attempt in shown["attempts"]] == [status]


async def test_retries_go_on_with_the_same_id_until_it_is_taken(desk: Desk, sink: Sink, stack: Stack) -> None:
    sink.says["/hook"] = answer(503)
    await desk.subscribe()
    await desk.halt()
    [row] = await desk.until("retrying")
    assert 4 <= (_at(row["due_at"]) - stack.clock()).total_seconds() <= 6.1
    sink.says["/hook"] = answer(200)
    stack.clock.advance(seconds=7)
    [row] = await desk.until("delivered")
    assert row["attempt_count"] == 2
    assert len({one.headers["webhook-id"] for one in sink.got}) == 1


async def test_retry_after_is_respected_within_bounds(desk: Desk, sink: Sink, stack: Stack) -> None:
    sink.says |= {"/hook": answer(429, retry_after="600"), "/long": answer(429, retry_after="99999999")}
    near, far = await desk.subscribe(), await desk.subscribe("/long")
    await desk.halt()
    rows = {row["subscription_id"]: row for row in await desk.until("retrying", 2)}
    waits = [(_at(rows[one["subscription_id"]]["due_at"]) - stack.clock()).total_seconds() for one in (near, far)]
    assert waits == [600, 4 * 3600]


async def test_410_disables_the_subscription_and_is_told(desk: Desk, sink: Sink, stack: Stack) -> None:
    sink.says["/hook"] = answer(410)
    made = await desk.subscribe()
    await desk.halt()
    told = await stack.heard(subscription_disabled)
    assert told.data["subscription_id"] == made["subscription_id"]
    [row] = await desk.until("dead")
    assert "410 Gone" in row["error"]
    shown = await desk.ask("GET", f"/subscriptions/{made['subscription_id']}")
    assert (shown["status"], "410" in shown["status_reason"]) == ("disabled", True)


async def test_a_name_that_turns_private_is_refused_at_the_call(stack: Stack, sink: Sink) -> None:
    # Each look: at the save, then at the call.
    desk = await open_desk(stack, sink, allowed_networks=(), resolver=resolves(("93.184.216.34",), ("127.0.0.1",)))
    try:
        await desk.subscribe(endpoint="http://hooks.example/")
        await desk.halt()
        [row] = await desk.until("dead")
        assert "This address is not called" in row["error"]
        assert sink.got == []
    finally:
        await desk.http.close()


async def test_what_was_given_up_is_sent_again_by_hand_one_or_many(sink: Sink, stack: Stack) -> None:
    desk = await open_desk(stack, sink, Policy(failures=1000))  # none of it is held back
    try:
        await _given_up_and_sent_again(desk, sink, stack)
    finally:
        await desk.http.close()


async def _given_up_and_sent_again(desk: Desk, sink: Sink, stack: Stack) -> None:
    sink.says["/hook"] = answer(500)
    made = await desk.subscribe()
    await desk.halt()
    await desk.halt()
    await desk.until("retrying", 2)
    for _ in range(11):
        stack.clock.advance(hours=5)
        stack.running["notifier"].wake_workers()
        async with asyncio.timeout(15):
            while await desk.deliveries(state="delivering") or any(
                _at(row["due_at"]) <= stack.clock() for row in await desk.deliveries(state="retrying")
            ):
                await asyncio.sleep(0.02)
    rows = await desk.until("dead", 2)
    assert [row["attempt_count"] for row in rows] == [12, 12]
    sink.says["/hook"] = answer(200)
    again = await desk.ask("POST", f"/deliveries/{rows[0]['delivery_id']}/retry")
    assert again["retried_count"] == 1
    [row] = await desk.until("delivered")
    assert row["attempt_count"] == 13
    many = await desk.ask("POST", "/deliveries/retry", {"subscription_id": made["subscription_id"]})
    assert (many["retried_count"], many["left_over_count"]) == (1, 0)
    await desk.until("delivered", 2)


async def test_paused_gets_nothing_new_and_a_replay_makes_it_up(desk: Desk, sink: Sink, stack: Stack) -> None:
    made = await desk.subscribe()
    path = f"/subscriptions/{made['subscription_id']}"
    before = stack.clock()
    assert (await desk.ask("POST", f"{path}/pause", {"reason": "moving"}))["status_reason"] == "moving"
    await desk.ask("POST", f"{path}/test", status=409)
    await desk.halt()
    await stack.idle("notifier")
    assert (await desk.deliveries(), sink.got) == ([], [])
    await desk.ask("POST", f"{path}/resume")
    replayed = await desk.ask("POST", f"{path}/replay", {"since": before.isoformat()})
    assert (replayed["made_count"], replayed["again_count"]) == (1, 0)
    await sink.wait_for("/hook")
    await desk.until("delivered")
    again = await desk.ask("POST", f"{path}/replay", {"since": before.isoformat(), "delivered_too": True})
    assert (again["made_count"], again["again_count"]) == (0, 1)
    first, second = await sink.wait_for("/hook", 2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_sample_goes_to_one_alone_whatever_it_asks_for(desk: Desk, sink: Sink) -> None:
    made = await desk.subscribe("/mine", gates=["none"])
    await desk.subscribe("/other", event_types=["notifier.*"])
    told = await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/test")
    [got] = await sink.wait_for("/mine")
    assert orjson.loads(got.body)["id"] == told["event_id"]
    assert not any(orjson.loads(one.body)["id"] == told["event_id"] for one in sink.at("/other"))


async def test_an_owner_who_may_not_see_the_site_any_more_gets_nothing(desk: Desk, sink: Sink, stack: Stack) -> None:
    """Judged when it is sent, not only when the event came."""
    mia = await desk.http.user("mia", "manager", ["global"])
    body = {"name": "hers", "event_types": ["*"], "endpoint": sink.url("/mia")}
    made = await mia.post("/api/subscriptions", json=body)
    assert made.status_code == 201, made.text
    sink.says["/mia"] = answer(503)
    await desk.halt()
    await desk.until("retrying")
    await desk.http.site("elsewhere")
    await desk.ask("PATCH", "/users/mia", {"sites": ["elsewhere"]})
    await stack.idle("notifier")
    sink.got.clear()
    stack.clock.advance(seconds=10)
    rows = await desk.until("dead")
    assert "may not see" in rows[0]["error"]
    await desk.halt()
    await stack.idle("notifier")
    assert sink.at("/mia") == []


async def test_what_is_guarded_at_the_stream_is_guarded_here(desk: Desk, sink: Sink, stack: Stack) -> None:
    await desk.subscribe("/hook", event_types=["gateway.user.*"])
    await desk.http.user("olaf", "viewer", ["global"])
    await sink.wait_for("/hook")
    connection = await stack.superuser()
    await connection.execute("UPDATE notifier.person SET role = 'viewer' WHERE username <> 'olaf'")
    await connection.execute("UPDATE notifier.roll SET number = number + 1")
    await connection.close()
    sink.got.clear()
    await desk.http.user("pia", "viewer", ["global"])
    await stack.idle("notifier")
    assert sink.got == []
    # A role of the installation's own is known by what it holds.
    own = {"role": "own", "permissions": ["event:read", "identity:read"], "purpose": "looks on"}
    assert (await desk.http.client.post("/api/roles", json=own)).status_code == 201
    await desk.http.user("sal", "own", ["global"])
    await stack.idle("notifier")
    connection = await stack.superuser()
    held = "(SELECT own_permissions FROM notifier.person WHERE username = 'sal')"
    await connection.execute(f"UPDATE notifier.person SET role = 'own', own_permissions = {held} WHERE role = 'viewer'")
    await connection.execute("UPDATE notifier.roll SET number = number + 1")
    await connection.close()
    await desk.http.user("rob", "viewer", ["global"])
    await sink.wait_for("/hook")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
