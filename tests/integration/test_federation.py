"""Machines without secrets on real servers: an identity token gives a token of minutes, or is refused by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx2
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa

from libs.common.contracts.gateway.tokens import token_issued
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.integration.test_token_narrowing import junit
from tests.stack import Stack

pytestmark = pytest.mark.integration
AUDIENCE = "https://headgate.example.com"
CLAIMS = {"repository": "acme/shop", "ref": "refs/heads/main", "sub": "repo:acme/shop:ref:refs/heads/main"}
RULE: dict[str, Any] = {
    "name": "shop", "issuer": "ci", "account": "ci", "permissions": ["signal:write", "gate:read"],
    "claims": {"repository": ["acme/shop"], "ref": ["refs/heads/*"]}, "subjects": ["shop"],
}  # fmt: skip
KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(2)]


class Issuer:
    """A CI system's own address with its keys, by OpenID Connect Discovery; `asked` counts the calls."""

    def __init__(self) -> None:
        self.known, self.asked, self.broken = [0], 0, False
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mine.asked += 1
                found = mine.answer(self.path)
                self.send_response(500 if found is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def log_message(self, *_: object) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, path: str) -> dict[str, Any] | None:
        if self.broken:
            return None
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": [self.jwk(number) for number in self.known]}

    @staticmethod
    def jwk(number: int) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[number].public_key()))
        return made | {"kid": str(number), "alg": "RS256"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


@pytest_asyncio.fixture
async def http(stack: Stack, issuer: Issuer) -> AsyncIterator[Http]:
    """An edge with the gates behind it, the account ci, and one rule."""
    await stack.start(make_service(packaged_policies()))
    edge = await Http(stack).open(outbound_networks=["127.0.0.0/8"])
    account = {"name": "ci", "role": "operator", "purpose": "pipelines"}
    assert (await edge.client.post("/api/accounts", json=account)).status_code == 201
    await publish(edge, issuer)
    yield edge
    await edge.close()


async def publish(http: Http, issuer: Issuer, *rules: dict[str, Any], **more: Any) -> httpx2.Response:
    issuers = [{"name": "ci", "issuer": issuer.url, "audience": AUDIENCE, **more}]
    content = {"issuers": issuers, "rules": list(rules or (RULE,))}
    answer = await http.client.put("/api/admin/federation", json={"content": content, "reason": "as decided"})
    http.edge.federated_login._rules = None
    return answer


def identity(http: Http, issuer: Issuer, key: int = 0, **claims: Any) -> str:
    """What the CI system gives a job."""
    now = http.stack.clock()
    told = {"iss": issuer.url, "aud": AUDIENCE, "iat": now, "exp": now + timedelta(minutes=5), **CLAIMS, **claims}
    return jwt.encode(told, KEYS[key], "RS256", headers={"kid": str(key)})


async def login(http: Http, token: str, **more: Any) -> httpx2.Response:
    return await http.of(None).post("/api/federation/token", json={"token": token, **more})


async def refused(http: Http, token: str, said: str, **more: Any) -> None:
    answer = await login(http, token, **more)
    assert (answer.status_code, said in answer.json()["detail"]) == (401, True), answer.text


async def test_a_job_gets_a_token_for_minutes_of_what_the_rule_says(http: Http, issuer: Issuer) -> None:
    answer = await login(http, identity(http, issuer))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["username"], made["rule"], made["permissions"], made["subjects"]) == (
        "account:ci", "shop", ["gate:read", "signal:write"], ["shop"])  # fmt: skip
    assert made["label"] == "shop: repo:acme/shop:ref:refs/heads/main"
    client = http.of(made["token"])
    assert await junit(client, subject="shop") == 201
    assert await junit(client, subject="other") == 403
    assert (await client.post("/api/tokens", json={"label": "longer"})).status_code == 403
    again = await http.client.post(f"/api/tokens/{made['token_id']}/rotate", json={})
    assert (again.status_code, "log in again" in again.json()["detail"]) == (409, True)
    told = await http.stack.heard(token_issued, lambda event: event.data["rule"] == "shop")
    assert (told.actor, "token" in told.data) == ("account:ci", False)
    http.stack.clock.advance(minutes=15)
    late = await client.get("/api/me")
    assert (late.status_code, "expired" in late.json()["detail"]) == (401, True)


async def test_each_refusal_says_why(http: Http, issuer: Issuer) -> None:
    now = http.stack.clock()
    await refused(http, identity(http, issuer, aud="somebody else"), "another audience")
    await refused(http, identity(http, issuer, exp=now - timedelta(seconds=1)), "is over")
    await refused(http, identity(http, issuer, iss="https://evil.example.com"), "not trusted here")
    await refused(
        http, identity(http, issuer, repository="evil/shop"), "repository is 'evil/shop', wanted is acme/shop"
    )
    await refused(http, identity(http, issuer, ref=None), "no claim ref")
    await refused(http, identity(http, issuer), "no rule called other", rule="other")
    await refused(http, jwt.encode({"iss": issuer.url}, "", "none"), "'none'")
    head, claims, _ = identity(http, issuer).split(".")
    _, _, other = identity(http, issuer, n=1).split(".")
    await refused(http, f"{head}.{claims}.{other}", "no key of its issuer, or was altered")
    await refused(http, "nonsense", "no JSON Web Token")
    assert (await http.of(None).post("/api/federation/token", json={"token": ""})).status_code == 422
    assert (await http.of(None).post("/api/federation/token", content=b"{")).status_code == 400
    assert (await http.of(None).get("/api/federation/token")).status_code == 405


async def test_an_identity_token_gives_one_token_however_often_it_is_shown(http: Http, issuer: Issuer) -> None:
    token = identity(http, issuer)
    answers = await asyncio.gather(*(login(http, token) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]
    await refused(http, token, "used before")
    kept = await http.running.pool.fetchval("SELECT count(*) FROM identity_use")
    http.stack.clock.advance(days=2)
    assert (await login(http, identity(http, issuer))).status_code == 200
    assert (kept, await http.running.pool.fetchval("SELECT count(*) FROM identity_use")) == (1, 1)


async def test_keys_are_fetched_once_and_anew_when_the_issuer_changes_them(http: Http, issuer: Issuer) -> None:
    clock = Ticks()
    http.edge.federated_login._keys._monotonic = clock
    assert (await login(http, identity(http, issuer))).status_code == 200
    assert (await login(http, identity(http, issuer, n=1))).status_code == 200
    assert issuer.asked == 2, "configuration and keys, once"
    issuer.known = [1]
    await refused(http, identity(http, issuer, key=1), "no key of its issuer that is known here")
    assert issuer.asked == 2, "strangers don't make us call"
    clock.now_s += 31
    assert (await login(http, identity(http, issuer, key=1))).status_code == 200
    assert issuer.asked == 4
    await refused(http, identity(http, issuer, n=2), "no key of its issuer that is known here")
    issuer.broken, clock.now_s = True, clock.now_s + 3600
    assert (await login(http, identity(http, issuer, key=1, n=3))).status_code == 200, "it is away, its keys count on"
    clock.now_s += 86_400
    answer = await login(http, identity(http, issuer, key=1, n=4))
    assert (answer.status_code, "answers 500" in answer.json()["detail"]) == (503, True), answer.text


class Ticks:
    """A clock in seconds that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def test_published_keys_need_no_call_and_an_account_that_is_out_gives_nothing(http: Http, issuer: Issuer) -> None:
    asked = issuer.asked
    secret = {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}
    answer = await publish(http, issuer, jwks=secret)
    assert (answer.status_code, "public keys only" in answer.json()["detail"]) == (422, True), answer.text
    assert (await publish(http, issuer, jwks={"keys": [Issuer.jwk(0)]})).status_code == 200
    assert (await login(http, identity(http, issuer))).status_code == 200
    assert issuer.asked == asked
    assert (await http.client.patch("/api/accounts/ci", json={"active": False})).status_code == 200
    token = identity(http, issuer, n=1)
    answer = await login(http, token)
    assert (answer.status_code, "the account ci" in answer.json()["detail"]) == (403, True)
    assert (await http.client.patch("/api/accounts/ci", json={"active": True, "role": "auditor"})).status_code == 200
    answer = await login(http, token)
    assert answer.status_code == 200, "what was refused was not used"
    assert answer.json()["permissions"] == ["gate:read"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"permissions": ["token:write"]}, "outlive"),
        ({"permissions": ["webhook:write"]}, "outlive"),
        ({"permissions": ["signal:write", "channel:write"]}, "outlive"),
        ({"permissions": ["subscription:write"]}, "outlive"),
        ({"permissions": ["gate:approve"]}, "takes a person"),
        ({"permissions": ["made:up"]}, "no operation made:up"),
        ({"issuer": "unknown"}, "not listed"),
        ({"claims": {}}, "claims"),
        ({"claims": {"sub": ["*"]}}, "claims"),
        ({"lifetime_minutes": 61}, "lifetime_minutes"),
    ],
)
async def test_rules_that_would_let_in_too_much_are_refused(
    http: Http, issuer: Issuer, change: dict[str, Any], said: str
) -> None:
    answer = await publish(http, issuer, RULE | change)
    assert (answer.status_code, said in answer.text) == (422, True), answer.text


async def test_addresses_inside_are_not_called_unless_an_administrator_allows_it(stack: Stack, issuer: Issuer) -> None:
    edge = await Http(stack).open()
    try:
        await publish(edge, issuer)
        answer = await login(edge, identity(edge, issuer))
        assert (answer.status_code, "is not called" in answer.json()["detail"]) == (503, True), answer.text
        assert issuer.asked == 0
    finally:
        await edge.close()
