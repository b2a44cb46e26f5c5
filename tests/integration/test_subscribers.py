"""Other systems on the bus: a foreign client logs in with a token, pulls its own events, and can do nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import nats.errors
import pytest
import pytest_asyncio

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.gateway.subscribers import subscriber_created, subscriber_gapped, subscriber_removed
from libs.common.ids import uuid7
from services.gateway.subscribing.durables import filters_of
from tests.http_edge import OWNER, Http
from tests.integration.bus_guest import Guest, until
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge without other services."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def make(http: Http, client: httpx2.AsyncClient | None = None, **fields: Any) -> dict[str, Any]:
    """A subscriber whose durable is there."""
    client = client or http.client
    answer = await client.post("/api/subscribers", json={"name": "ci", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()

    async def ready() -> Any:
        return (await row(client, made))["made_at"]

    await until("its durable is made", ready)
    return made


async def row(client: httpx2.AsyncClient, made: dict[str, Any]) -> dict[str, Any]:
    """The subscriber as the list shows it."""
    answer = await client.get("/api/subscribers")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = next(one for one in answer.json() if one["subscriber_id"] == made["subscriber_id"])
    return found


def token_of(client: httpx2.AsyncClient) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")


async def enter(http: Http, made: dict[str, Any], token: str = OWNER) -> Guest:
    return await Guest(made, http.stack.topology.namespace).open(http.stack.nats_url, token)


async def happen(http: Http, site: str = "global", name: str = "governance.signal.repeated") -> None:
    """An event on this site, whatever it says."""
    source = f"/headgate/{name.partition('.')[0]}"
    event = CloudEvent(id=str(uuid7()), source=source, type=f"headgate.{name}.v1", time=http.stack.clock(), site=site)
    await http.stack.bus.js.publish(http.stack.topology.event_subject_named(name, site), event.encode(b"{}"))


async def test_a_foreign_client_pulls_and_acknowledges(http: Http) -> None:
    made = await make(http, types=["governance.signal.*"])
    assert (made["user"], made["stream"]) == (f"subscriber-{made['subscriber_id']}", "EVENTS")
    await http.stack.heard(subscriber_created)
    guest = await enter(http, made)
    for _ in range(3):
        await happen(http)
    await happen(http, name="tracker.item.opened")
    found = await guest.pull()
    assert [message.subject.rpartition(".")[2] for message in found] == ["repeated"] * 3
    for message in found[:2]:
        await guest.ack(message)

    async def noted() -> bool:
        now = await row(http.client, made)
        return bool(now["unacked_count"] == 1 and now["acked_seq"] == found[1].metadata.sequence.stream)

    await until("its lag is noted", noted)
    assert (await row(http.client, made))["last_ack_at"]
    await guest.ack(found[2], '-NAK {"delay": 1}')
    again = await guest.pull(timeout_s=5)
    assert [message.data for message in again] == [found[2].data]
    assert guest.refusals == []
    await guest.client.close()


async def refused(http: Http, made: dict[str, Any], token: str) -> None:
    """That the server lets nobody in with this."""
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
        await enter(http, made, token)


async def test_who_has_no_good_token_stays_outside(http: Http) -> None:
    made = await make(http)
    other = await http.user("otto", "operator")
    for token in ("", "wrong", "hg_" + "x" * 43, token_of(other)):
        await refused(http, made, token)
    for name in ("nobody", "subscriber-", "subscriber-0", "subscriber-999999", "subscriber-" + "9" * 40, "admin"):
        await refused(http, {**made, "user": name}, OWNER)
    guest = await enter(http, made)
    await guest.client.close()


async def test_a_subscriber_may_do_nothing_else_on_the_bus(http: Http) -> None:
    made, other = await make(http), await make(http, name="other")
    guest = await enter(http, made)
    ns, user, foreign = http.stack.topology.namespace, made["user"], other["user"]
    streams = [config.name for config in http.stack.topology.streams()]
    forbidden = [">", f"{ns}.event.global.governance.signal.repeated", f"{ns}.command.tracker.item.patch.1", "x.y"]
    forbidden += [f"{ns}.query.governance.gates.list", f"{ns}.outcome.x", f"{ns}.schedule.tracker.x", f"{ns}.tick.x.y"]
    forbidden += [f"{ns}.telemetry.gateway.latency.sampled", "$SYS.REQ.USER.AUTH", "$SYS.REQ.SERVER.PING", "_INBOX.x"]
    forbidden += [
        "_INBOX_gateway.x",
        f"{other['inbox_prefix']}.x",
        f"{made['inbox_prefix']}.x",
        "$O.headgate-reports.C.x",
    ]
    forbidden += ["$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", f"{ns}.subscriber.STREAM.INFO.EVENTS"]
    for name in (foreign, "tracker-events", "*"):
        forbidden += [
            f"{ns}.subscriber.CONSUMER.MSG.NEXT.EVENTS.{name}",
            f"{ns}.subscriber.CONSUMER.INFO.EVENTS.{name}",
        ]
        forbidden += [f"{ns}.subscriber.ACK.{name}"]
    for verb in ("CREATE", "DURABLE.CREATE", "DELETE", "LIST", "NAMES", "PAUSE", "RESET"):
        forbidden += [f"{ns}.subscriber.CONSUMER.{verb}.EVENTS.{user}", f"{ns}.subscriber.CONSUMER.{verb}.EVENTS"]
    for stream in streams:
        for verb in ("INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE"):
            forbidden.append(f"$JS.API.STREAM.{verb}.{stream}")
        forbidden += [f"$JS.API.DIRECT.GET.{stream}", f"$JS.ACK.{stream}.{user}.1.1.1.1.0"]
        forbidden += [f"$JS.ACK._.ACCOUNT.{stream}.{user}.1.1.1.1.0.token"]
        for name in (user, foreign):
            for verb in ("MSG.NEXT", "INFO", "CREATE", "DURABLE.CREATE", "DELETE", "PAUSE", "RESET"):
                forbidden.append(f"$JS.API.CONSUMER.{verb}.{stream}.{name}")
    assert [subject for subject in forbidden if await guest.may_publish(subject)] == []
    unheard = [
        ">",
        "*",
        f"{ns}.>",
        f"{ns}.event.>",
        f"{ns}.event.global.governance.signal.repeated",
        "_INBOX.>",
        "$SYS.>",
    ]
    unheard += [
        "_INBOX_subscriber.>",
        "_INBOX_subscriber.*.>",
        f"{other['inbox_prefix']}.>",
        "$JS.>",
        f"{ns}.subscriber.>",
    ]
    unheard += [f"{made['inbox_prefix']}0.>", "_INBOX_gateway.>", "$JS.EVENT.ADVISORY.>"]
    assert [subject for subject in unheard if await guest.may_subscribe(subject)] == []
    assert await guest.may_subscribe(f"{made['inbox_prefix']}.mine")
    await guest.client.close()


async def test_no_answer_goes_where_a_subscriber_points(http: Http) -> None:
    """JetStream publishes answers with rights of its own, on whatever subject the question names."""
    made = await make(http, types=["governance.signal.*"])
    other = await make(http, name="other")
    guest, neighbour = await enter(http, made), await enter(http, other)
    topology, ns, user = http.stack.topology, http.stack.topology.namespace, made["user"]
    await happen(http)
    found = (await guest.pull(1))[0]
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    await http.stack.bus.nats.subscribe("elsewhere.>", cb=hear)
    await neighbour.client.subscribe(f"{other['inbox_prefix']}.>", cb=hear)
    await neighbour.client.flush()
    places = [f"$JS.API.STREAM.PURGE.{topology.events_stream}", f"$JS.API.STREAM.DELETE.{topology.commands_stream}"]
    places += [f"{ns}.command.tracker.item.patch.x", "elsewhere.x", f"{other['inbox_prefix']}.x", "_INBOX_gateway.x"]
    places += ["_INBOX_subscriber.x", f"{made['inbox_prefix']}9.x", "", f"{ns}.subscriber.CONSUMER.INFO.EVENTS.{user}"]
    before = (await http.stack.bus.js.stream_info(topology.events_stream)).state.last_seq
    for place in places:
        for subject, body in (
            (f"{ns}.subscriber.CONSUMER.MSG.NEXT.EVENTS.{user}", b'{"batch": 1, "no_wait": true}'),
            (f"{ns}.subscriber.CONSUMER.MSG.NEXT.EVENTS.{user}", b'{"batch": 1, "expires": 1000000}'),
            (f"{ns}.subscriber.CONSUMER.INFO.EVENTS.{user}", b""),
            (f"{ns}.subscriber.ACK.{user}", found.reply.encode() + b" +WPI"),
            (f"{ns}.subscriber.ACK.{user}", found.reply.encode() + b" +NXT"),
            (f"{ns}.subscriber.ACK.{user}", found.reply.replace(user, other["user"]).encode()),
        ):
            await guest.client.publish(subject, body, reply=place)
            await guest.client.publish(subject, body, reply=place, headers={"Nats-Trace-Dest": "elsewhere.trace"})
    await guest.client.flush(5)
    assert (await guest.client.request(f"{ns}.subscriber.CONSUMER.INFO.EVENTS.{user}", b"", timeout=5)).data
    await http.stack.bus.nats.flush()
    await neighbour.client.flush()
    state = (await http.stack.bus.js.stream_info(topology.events_stream)).state
    assert (heard, state.last_seq, state.messages) == ([], before, before)
    assert (await http.stack.bus.js.stream_info(topology.commands_stream)).config.name == topology.commands_stream
    assert len(await guest.pull(1, 0.5)) == 0, "nothing was pulled or given back for others"
    await guest.client.close()
    await neighbour.client.close()


async def ends(guest: Guest) -> float:
    """Seconds until the connection is ended by the server."""
    began = time.monotonic()
    await asyncio.wait_for(guest.ended.wait(), 15)
    return time.monotonic() - began


async def test_a_revoked_token_ends_the_connection(http: Http) -> None:
    made = await make(http)
    issued = (await http.client.post("/api/tokens", json={"label": "bus"})).json()
    guest, stays = await enter(http, made, issued["token"]), await enter(http, made)
    assert (await http.client.delete(f"/api/tokens/{issued['token_id']}")).status_code == 200
    assert await ends(guest) < 5
    await refused(http, made, issued["token"])
    assert stays.client.is_connected
    await stays.client.close()


async def test_a_removed_subscriber_or_user_ends_the_connection(http: Http) -> None:
    otto = await http.user("otto", "operator")
    made, mine = await make(http, otto), await make(http)
    guest, own = await enter(http, made, token_of(otto)), await enter(http, mine)
    assert (await http.client.patch("/api/users/otto", json={"active": False})).status_code == 200
    assert await ends(guest) < 5
    await refused(http, made, token_of(otto))
    assert (await http.client.delete(f"/api/subscribers/{mine['subscriber_id']}")).status_code == 200
    await http.stack.heard(subscriber_removed)
    assert await ends(own) < 5
    await refused(http, mine, OWNER)

    async def gone() -> bool:
        stream = http.stack.topology.events_stream
        return mine["user"] not in [one.name for one in await http.stack.bus.js.consumers_info(stream)]

    await until("its durable is gone", gone)
    assert (await http.client.get("/api/subscribers")).json()[-1]["name"] == "ci"


async def test_a_token_ends_at_its_time(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await make(http)
    monkeypatch.setattr("services.gateway.subscribing.callout.LIFETIME_S", 1)
    guest = await enter(http, made)
    assert await ends(guest) < 5


async def test_a_narrowed_scope_narrows_what_comes(http: Http) -> None:
    for site in ("north", "south"):
        await http.site(site)
    anna = await http.user("anna", "operator", ["north", "south"])
    made = await make(http, anna, types=["governance.signal.repeated", "audit.*"])
    guest = await enter(http, made, token_of(anna))
    await happen(http, "north")
    await happen(http, "south")
    await happen(http, "global")
    assert [message.subject.split(".")[2] for message in await guest.pull()] == ["north", "south"]
    assert (await http.client.patch("/api/users/anna", json={"sites": ["south"]})).status_code == 200

    async def narrowed() -> bool:
        info = await http.stack.bus.js.consumer_info(http.stack.topology.events_stream, made["user"])
        return all(".south." in subject for subject in filters_of(info.config))

    await until("its filters are narrowed", narrowed, 5)
    await happen(http, "north")
    await happen(http, "south")
    assert [message.subject.split(".")[2] for message in await guest.pull()] == ["south"]
    assert (await http.client.patch("/api/users/anna", json={"sites": ["global"]})).status_code == 200
    assert await ends(guest) < 5, "the token reaches no site that is left"
    await refused(http, made, token_of(anna))


async def test_a_narrow_token_does_not_become_a_wide_one(http: Http) -> None:
    await http.site("north")
    made = await make(http)
    issued = (await http.client.post("/api/tokens", json={"label": "narrow", "sites": ["north"]})).json()
    await refused(http, made, issued["token"])
    narrow = http.of(issued["token"])
    own = await make(http, narrow, name="narrow")
    assert own["sites"] == ["north"]
    assert (await narrow.delete(f"/api/subscribers/{made['subscriber_id']}")).status_code == 403
    assert (await narrow.post("/api/subscribers", json={"name": "x", "sites": ["global"]})).status_code == 403
    guest = await enter(http, own, issued["token"])
    await guest.client.close()
    await guest.ended.wait()


async def test_what_an_operator_may_not_see_does_not_come(http: Http) -> None:
    otto = await http.user("otto", "operator")
    made = await make(http, otto)
    guest = await enter(http, made, token_of(otto))
    await happen(http, name="gateway.token.issued")
    await happen(http, name="tracker.deadletter.buried")
    await happen(http, name="tracker.item.opened")
    assert [message.subject.split(".", 3)[3] for message in await guest.pull()] == ["tracker.item.opened"]
    for types, status in ((["gateway.token.issued"], 403), (["tracker.nothing.such"], 422), (["a b"], 422), ([], 422)):
        answer = await otto.post("/api/subscribers", json={"name": "y", "types": types})
        assert answer.status_code == status, answer.text
    for fields, status in (({"name": "ci"}, 409), ({"owner": "owner"}, 403), ({"sites": ["nowhere"]}, 422)):
        answer = await otto.post("/api/subscribers", json={"name": "z", **fields})
        assert answer.status_code == status, answer.text
    viewer = await http.user("vera", "viewer")
    assert (await viewer.post("/api/subscribers", json={"name": "v"})).status_code == 403
    assert (await viewer.get("/api/subscribers")).json() == []
    await guest.client.close()


async def test_each_user_and_each_subscriber_has_a_limit(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.subscribing.subscribers.MAX_SUBSCRIBERS", 1)
    monkeypatch.setattr("services.gateway.subscribing.callout.MAX_CONNECTIONS", 2)
    made = await make(http)
    answer = await http.client.post("/api/subscribers", json={"name": "two"})
    assert (answer.status_code, "remove some first" in answer.text) == (409, True)
    guests = [await enter(http, made) for _ in range(2)]
    await refused(http, made, OWNER)
    for guest in guests:
        await guest.client.close()


async def test_events_that_went_by_age_are_told(http: Http) -> None:
    made = await make(http, types=["governance.signal.repeated"])
    guest = await enter(http, made)
    await happen(http)
    (first,) = await guest.pull()
    await guest.ack(first)
    seen = first.metadata.sequence.stream

    async def caught_up() -> bool:
        await http.edge.durables.look()
        now = await row(http.client, made)
        return bool(now["acked_seq"] == seen and not now["unacked_count"])

    await until("it has all", caught_up)
    assert (await row(http.client, made))["gap_at"] is None
    for _ in range(3):
        await happen(http)
    await http.edge.durables.look()
    stream = http.stack.topology.events_stream
    last = (await http.stack.bus.js.stream_info(stream)).state.last_seq
    await http.stack.bus.js.purge_stream(stream, seq=last)  # as age does: all but the newest
    await http.edge.durables.look()
    gap = (await http.stack.heard(subscriber_gapped)).data
    now = await row(http.client, made)
    assert gap["subscriber_id"] == made["subscriber_id"]
    assert (now["gap_before_seq"], gap["gap_before_seq"]) == (last, last)
    assert 2 <= gap["lost_count_at_most"] == last - 1 - gap["gap_after_seq"]
    assert gap["gap_after_seq"] >= seen
    await http.edge.durables.look()
    info = await guest.js.consumer_info(made["stream"], made["user"])
    assert (info.config.metadata or {})["headgate-gap-before"] == str(last)
    await http.edge.durables.look()
    assert len([event for event in http.stack.events if event.type == subscriber_gapped.type]) == 1
    await guest.client.close()


async def test_a_quiet_subscriber_is_told_of_no_gap(http: Http) -> None:
    made = await make(http, types=["governance.gate.revoked"])
    for _ in range(5):
        await happen(http)
    await http.edge.durables.look()
    stream = http.stack.topology.events_stream
    await http.stack.bus.js.purge_stream(stream, keep=1)
    await http.edge.durables.look()
    assert (await row(http.client, made))["gap_at"] is None


async def test_a_durable_that_the_server_forgot_goes_on_where_it_was(http: Http) -> None:
    made = await make(http, types=["governance.signal.repeated"])
    guest = await enter(http, made)
    await happen(http)
    await guest.ack((await guest.pull())[0])

    async def acked() -> bool:
        await http.edge.durables.look()
        return bool((await row(http.client, made))["acked_seq"])

    await until("its acknowledgement is noted", acked)
    await guest.client.close()
    await http.stack.bus.js.delete_consumer(http.stack.topology.events_stream, made["user"])
    await happen(http)
    await http.edge.durables.look()
    guest = await enter(http, made)
    assert len(await guest.pull()) == 1
    await guest.client.close()
