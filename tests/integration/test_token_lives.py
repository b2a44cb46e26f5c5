"""How tokens live and end by the policy, on real servers and with a clock that is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.base import Event
from libs.common.contracts.gateway.tokens import token_aging, token_expiring, token_idling, token_revoked
from libs.common.contracts.roles import ROLES
from libs.judge.token_text import with_checksum
from services.gateway.identity.callers import Identity
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
POLICY = "/api/admin/token-policy"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge without other services."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def publish(http: Http, **content: Any) -> None:
    """Put a policy in force; what is not given is the default's."""
    answer = await http.client.put(POLICY, json={"content": content, "reason": "for the test"})
    assert answer.status_code == 200, answer.text


async def issue(http: Http, label: str, **fields: Any) -> tuple[int, httpx2.AsyncClient]:
    """A new token of the owner: its number, and a client that comes with it."""
    answer = await http.client.post("/api/tokens", json={"label": label, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["token_id"], http.of(answer.json()["token"])


async def shown(http: Http, token_id: int) -> dict[str, Any]:
    """The token as the list has it."""
    rows: list[dict[str, Any]] = (await http.client.get("/api/tokens")).json()
    return next(row for row in rows if row["token_id"] == token_id)


async def refused(client: httpx2.AsyncClient, word: str) -> None:
    """It is refused, and told why."""
    answer = await client.get("/api/me")
    assert (answer.status_code, word in answer.json()["detail"]) == (401, True), answer.text


def told(http: Http, event: Event, token_id: int) -> int:
    """How often this was told of the token."""
    return sum(one.type == event.type and one.data["token_id"] == token_id for one in http.stack.events)


async def watch(http: Http) -> None:
    """Let the job look, and wait until what it told is there."""
    await http.stack.run_job("gateway", "token_watch")
    await http.stack.idle("gateway")
    # What was sent is stored; this connection hears it before the answer to a question that it asks now.
    await http.stack.bus.nats.flush()


async def test_garbage_never_reaches_the_database(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    look_up = Identity.look_up

    async def counted(self: Identity, digest: bytes) -> Any:
        asked.append(digest)
        return await look_up(self, digest)

    monkeypatch.setattr(Identity, "look_up", counted)
    right = with_checksum("B" * 43)
    for garbage in (right[:-1] + "0", "hg_t_" + "A" * 49, "hg_", "x" * 54, "hg_t_' OR 1=1 --"):
        assert (await http.of(garbage).get("/api/me")).status_code == 401
    assert asked == []
    assert (await http.of(right).get("/api/me")).status_code == 401
    assert len(asked) == 1


async def test_a_token_of_the_old_form_goes_on(http: Http) -> None:
    assert not OWNER.startswith("hg_t_")
    assert (await http.client.get("/api/me")).status_code == 200


async def test_the_policy_is_one_for_all_and_a_matter_of_owners(http: Http) -> None:
    for role in ROLES:
        client = http.client if role == "owner" else await http.user(f"the-{role}", role)
        answer = await client.get(POLICY)
        assert answer.status_code == (200 if "token:read" in ROLES[role] else 403), role
        body = {"content": {"max_idle_days": 80}, "reason": "x"}
        assert (await client.put(POLICY, json=body)).status_code == (200 if role == "owner" else 403), role
    await http.site("plant-a")
    narrow = await http.user("narrow", "owner", ["plant-a"])
    assert (await narrow.put(POLICY, json={"content": {}, "reason": "x"})).status_code == 403
    assert (await http.client.put(POLICY, params={"site": "plant-a"}, json={})).status_code == 422
    unreachable = {"max_ttl_days": 30, "rotate_after_days": 45}
    answer = await http.client.put(POLICY, json={"content": unreachable, "reason": "as theirs"})
    assert (answer.status_code, "no token would ever reach that age" in answer.text) == (422, True)


async def test_no_token_outlives_the_policy(http: Http) -> None:
    await publish(http, max_ttl_days=20, rotate_after_days=10)
    answer = await http.client.post("/api/tokens", json={"label": "long", "expires_in_hours": 20 * 24 + 1})
    assert (answer.status_code, "20 days at the most" in answer.json()["detail"]) == (422, True)
    token_id, client = await issue(http, "usual")
    http.stack.clock.advance(days=20)
    await refused(client, "expired")
    assert (await shown(http, token_id))["revoked_at"] is None


async def test_the_oldest_goes_for_a_new_one(http: Http) -> None:
    await publish(http, max_active_per_user=3)
    numbers = [(await issue(http, f"number {number}"))[0] for number in range(4)]
    for token_id in numbers[:2]:  # the first owner's token is live, too, and stays
        row = await shown(http, token_id)
        assert row["revoked_reason"] == "quota"
        event = await http.stack.heard(token_revoked, lambda event, t=token_id: event.data["token_id"] == t)  # type: ignore[misc]
        assert event.data["reason"] == "quota"
    assert [(await shown(http, token_id))["revoked_at"] for token_id in numbers[2:]] == [None, None]
    assert (await http.client.get("/api/me")).status_code == 200
    rows = (await http.client.get("/api/tokens", params={"active_only": "true"})).json()
    assert [row["token_id"] for row in rows] == [*reversed(numbers[2:]), 1]


async def test_two_at_once_keep_the_quota(http: Http) -> None:
    await publish(http, max_active_per_user=3)
    await asyncio.gather(*(issue(http, f"number {number}") for number in range(12)))
    rows = (await http.client.get("/api/tokens", params={"active_only": "true"})).json()
    assert len(rows) == 3


async def test_two_gateways_count_a_users_tokens_one_after_the_other(http: Http) -> None:
    other = await http.stack.superuser()
    try:
        async with other.transaction():
            await other.execute("SELECT FROM gateway.users WHERE username = 'owner' FOR NO KEY UPDATE")
            answer = await http.client.post("/api/tokens", json={"label": "x"}, headers={"Prefer": "wait=1"})
            assert answer.status_code == 202, "it waits for whoever issues to that user now"
    finally:
        await other.close()
    async with asyncio.timeout(10):
        while (await http.client.get(answer.headers["Location"])).json()["state"] != "done":
            await asyncio.sleep(0.05)


async def test_a_narrow_token_can_not_push_out_wider_ones(http: Http) -> None:
    await http.site("plant-a")
    wide, _ = await issue(http, "wide")
    _, narrow = await issue(http, "narrow", sites=["plant-a"])
    await publish(http, max_active_per_user=4)
    first = await narrow.post("/api/tokens", json={"label": "a"})
    assert first.status_code == 201
    assert (await narrow.post("/api/tokens", json={"label": "b"})).status_code == 201, "its own kind may go"
    assert (await shown(http, first.json()["token_id"]))["revoked_reason"] == "quota"
    await publish(http, max_active_per_user=2)
    answer = await narrow.post("/api/tokens", json={"label": "c"})
    assert (answer.status_code, "may not end the oldest" in answer.json()["detail"]) == (409, True)
    assert (await shown(http, wide))["revoked_at"] is None


async def test_an_idle_token_is_told_of_then_refused_then_ended(http: Http) -> None:
    await publish(http, max_idle_days=30, idle_warning_days=5)
    used, used_client = await issue(http, "used", expires_in_hours=8760)
    idle, idle_client = await issue(http, "idle", expires_in_hours=8760)
    http.stack.clock.advance(days=26)
    assert (await used_client.get("/api/me")).status_code == 200
    await http.edge.identity.store_uses()
    await watch(http)
    await http.stack.heard(token_idling, lambda event: event.data["token_id"] == idle)
    await watch(http)
    assert (told(http, token_idling, idle), told(http, token_idling, used)) == (1, 0)
    http.stack.clock.advance(days=4)
    await refused(idle_client, "Nobody used the token")
    await refused(idle_client, "Nobody used the token")  # remembered
    assert (await used_client.get("/api/me")).status_code == 200
    assert (await shown(http, idle))["revoked_at"] is None
    await watch(http)
    await http.stack.heard(
        token_revoked, lambda event: event.data == {**event.data, "token_id": idle, "reason": "idle"}
    )
    assert (await shown(http, idle))["revoked_reason"] == "idle"
    assert (await http.client.get("/api/me")).status_code == 200, "the last way in stays"


async def test_a_use_that_is_only_noted_yet_keeps_a_token(http: Http) -> None:
    await publish(http, max_idle_days=30)
    _, client = await issue(http, "used", expires_in_hours=8760)
    http.stack.clock.advance(days=29)
    assert (await client.get("/api/me")).status_code == 200
    await http.edge.identity.store_uses()
    http.stack.clock.advance(days=29)
    assert (await client.get("/api/me")).status_code == 200


async def test_rotation_is_told_of_and_required_where_the_policy_says_so(http: Http) -> None:
    await publish(http, rotate_after_days=40, rotate_warning_days=5)
    token_id, client = await issue(http, "ci", expires_in_hours=8760)
    http.stack.clock.advance(days=36)
    await watch(http)
    event = await http.stack.heard(token_aging, lambda event: event.data["token_id"] == token_id)
    assert (event.data["left_days"], "headgate tokens rotate" in event.data["action"]) == (4, True)
    http.stack.clock.advance(days=5)
    await watch(http)
    await watch(http)
    assert (await client.get("/api/me")).status_code == 200
    assert told(http, token_aging, token_id) == 2
    await publish(http, rotate_after_days=40, rotate_warning_days=5, rotation_required=True)
    async with asyncio.timeout(5):
        while (await client.get("/api/me")).status_code != 401:
            await asyncio.sleep(0.05)
    await refused(client, "older than tokens may get")
    await watch(http)
    await http.stack.heard(token_revoked, lambda event: event.data["token_id"] == token_id)
    assert (await shown(http, token_id))["revoked_reason"] == "rotation"


async def test_the_end_is_told_at_each_lead_once(http: Http) -> None:
    token_id, _ = await issue(http, "ends")
    for days, count in ((15, 0), (2, 1), (5, 1), (1, 2), (1, 2), (5, 3), (2, 3)):
        http.stack.clock.advance(days=days)
        await watch(http)
        assert told(http, token_expiring, token_id) == count, (days, count)


async def test_use_is_stored_in_batches_with_its_address(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    token_id, client = await issue(http, "used")
    await http.edge.identity.store_uses()
    statements = []
    execute = type(http.running.pool).execute

    async def counted(self: Any, statement: str, *values: Any, **more: Any) -> str:
        statements.append(statement)
        return await execute(self, statement, *values, **more)

    monkeypatch.setattr(type(http.running.pool), "execute", counted)
    for _ in range(50):
        assert (await client.get("/api/me")).status_code == 200
    assert statements == [], "no request writes"
    await http.edge.identity.store_uses()
    assert len(statements) == 2  # one for the tokens, one for their addresses, however many requests there were
    row = await shown(http, token_id)
    assert (row["last_used_address"], row["last_used_at"] is not None) == ("127.0.0.1", True)


async def test_a_database_that_is_away_is_outlived_for_seconds_only(http: Http) -> None:
    identity, now_s = http.edge.identity, [100.0]
    identity._monotonic = lambda: now_s[0]
    assert await identity.by_secret(OWNER, "127.0.0.1") is not None
    pool, identity._pool = identity._pool, _Away()  # type: ignore[assignment]
    now_s[0] += 4.9
    assert await identity.by_secret(OWNER, "127.0.0.1") is not None
    now_s[0] += 0.2
    with pytest.raises(Exception, match="can't be checked now"):
        await identity.by_secret(OWNER, "127.0.0.1")
    identity._pool = pool
    assert await identity.by_secret(OWNER, "127.0.0.1") is not None


class _Away:
    """A pool whose database can't be reached."""

    async def fetchrow(self, *_: Any, **__: Any) -> None:
        raise ConnectionRefusedError
