"""What a stranger reads of sign-in, what one leaves in the audit log, and what an older service is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from oidc_provider_mock import run_server_in_thread  # type: ignore[import-untyped]

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Command
from tests.http_edge import Http
from tests.integration.test_sign_in import PEOPLE, RULES, Browser, opened, provider_of, publish, refused
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a real provider that knows these people."""
    with run_server_in_thread(user_claims=PEOPLE, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest_asyncio.fixture
async def http(stack: Stack, provider: str) -> AsyncIterator[Http]:
    edge = await opened(stack, provider)
    yield edge
    await edge.close()


async def test_a_stranger_reads_the_names_of_the_providers_and_nothing_else_of_them(http: Http) -> None:
    answer = await http.of(None).get("/api/sign-in")
    assert (answer.status_code, answer.json()) == (200, {"providers": [{"name": "acme"}]})
    assert "RateLimit" in answer.headers, "it is not counted"
    assert (await http.of(None).get("/api/sign-in?site=x")).status_code == 422


async def test_from_where_somebody_came_is_noted_under_a_key_of_their_own_or_not_at_all(http: Http) -> None:
    sent: list[bytes] = []
    publish_command = http.edge.commands._bus.publish_command

    async def listening(command: Command, envelope: CloudEvent, body: bytes) -> None:
        sent.append(body)
        await publish_command(command, envelope, body)

    http.edge.commands._bus.publish_command = listening  # type: ignore[method-assign]
    for _ in range(2):
        assert (await Browser(http).enter("u-1")).status_code == 303
    rules = [{**RULES[0], "claims": {"groups": ["the others"]}}]
    assert (await publish(http, provider_of(http), rules)).status_code == 200
    await refused(await Browser(http).enter("u-1"), 403, "wanted is the others")
    rows = await http.running.pool.fetch(
        "SELECT name, convert_from(payload, 'UTF8')::jsonb AS record FROM outbox WHERE kind = 'record' "
        "AND name LIKE 'gateway.sign_in.%' AND name <> 'gateway.sign_in.publish' ORDER BY message_id"
    )
    found = [(row["name"].rpartition(".")[2], row["record"]["actor"], row["record"]["data"]) for row in rows]
    assert [(name, actor) for name, actor, _ in found] == [
        ("enter", "sign-in:acme"), ("enter", "mia-kim"), ("turn_away", "sign-in:acme"),
    ]  # fmt: skip
    assert [one.get("client_address", "")[:3] for _, _, one in found] == ["", "p1.", ""]
    assert await http.running.pool.fetchval("SELECT array_agg(holder) FROM personal_key WHERE holder = ''") is None
    # A service of the version before knows no newer field: it is sent only where there is something to say.
    assert not [body for body in sent if b'"amr"' in body or b'"acr"' in body]
