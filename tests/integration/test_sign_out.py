"""A provider says that a person has left it: sessions are out at both gateways; what does not fit is refused."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import jwt
import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.contracts.gateway.sessions import session_ended
from libs.common.contracts.gateway.sign_in import SignInProvider, SignInRule, SignInSealed, person_signed_out, sign_in
from services.gateway.domain.sessions import LOCAL_COOKIE, csrf_token
from services.gateway.domain.sign_out import EVENT
from services.gateway.identity.bootstrap import digest_of
from tests.http_edge import Http
from tests.integration.test_federation import KEYS, Issuer
from tests.integration.test_sessions import out_within_a_second
from tests.stack import Stack

pytestmark = pytest.mark.integration
CLIENT = "headgate"
RULE: dict[str, Any] = {
    "name": "staff", "provider": "acme", "claims": {"groups": ["staff"]}, "role": "viewer", "sites": ["*"],
}  # fmt: skip
PATH = "/api/sign-in/acme/backchannel-logout"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    yield found
    found.close()


@pytest_asyncio.fixture
async def http(stack: Stack, issuer: Issuer) -> AsyncIterator[Http]:
    edge = await opened(stack, issuer)
    content = {"providers": [{"name": "acme", "issuer": issuer.url, "client_id": CLIENT}], "rules": [RULE]}
    answer = await edge.client.put("/api/admin/sign-in", json={"content": content, "reason": "as decided"})
    assert answer.status_code == 200, answer.text
    yield edge
    await edge.close()


async def opened(stack: Stack, issuer: Issuer) -> Http:
    issuer.known, issuer.broken = [0], False
    return await Http(stack).open(outbound_networks=["127.0.0.0/8"], vault_secret=SecretStr("the vault of a test"))


def logout_token(http: Http, issuer: Issuer, *, key: int = 0, typ: str = "logout+jwt", **claims: Any) -> str:
    now = http.stack.clock()
    told = {
        "iss": issuer.url, "aud": CLIENT, "iat": now, "exp": now + timedelta(minutes=2),
        "jti": f"j-{next(_numbers)}", "events": {EVENT: {}}, **claims,
    }  # fmt: skip
    told = {name: value for name, value in told.items() if value is not None}
    return jwt.encode(told, KEYS[key], "RS256", headers={"kid": str(key), "typ": typ})


async def leave(http: Http, token: str) -> httpx2.Response:
    return await http.of(None).post(PATH, data={"logout_token": token})


async def entered(http: Http, issuer: Issuer, sub: str, sid: str | None, at: Http | None = None) -> httpx2.AsyncClient:
    """A browser with the session of a person whom the provider has vouched for, at this or the other gateway."""
    number = next(_numbers)
    secret = f"{number:043}"
    body = SignInSealed(
        provider=SignInProvider(name="acme", issuer=issuer.url, client_id=CLIENT),
        rule=SignInRule.model_validate(RULE), sub=sub, sid=sid, exact=True,
        state_sha256=f"{number:064x}", state_until=http.stack.clock(), secret_sha256=digest_of(secret).hex(),
        address="127.0.0.1",
    )  # fmt: skip
    outcome = await http.stack.command(sign_in, body, actor=sub)
    assert outcome.status == 200, outcome
    return (at or http).of(None, **{"Cookie": f"{LOCAL_COOKIE}={secret}", "X-CSRF-Token": csrf_token(secret)})


async def test_a_stay_or_a_person_is_out_at_both_gateways_within_a_second(
    http: Http, stack: Stack, issuer: Issuer
) -> None:
    first = stack.running.pop("gateway")
    second = await opened(stack, issuer)
    stack.running["first gateway"] = first
    try:
        places = (("s-1", http), ("s-1", second), ("s-2", second))
        mia = [await entered(http, issuer, "mia", sid, at) for sid, at in places]
        unknown, lee = await entered(http, issuer, "mia", None, second), await entered(http, issuer, "lee", "s-3")
        for one in (*mia, unknown, lee):
            assert (await one.get("/api/me")).status_code == 200
        answer = await leave(http, logout_token(http, issuer, sid="s-1"))
        assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (200, b"", "no-store")
        assert await out_within_a_second(mia[0])
        assert await out_within_a_second(mia[1])
        assert (await mia[2].get("/api/me")).status_code == 200, "another stay"
        told = await http.stack.heard(session_ended)
        assert (told.actor, told.data["reason"], told.data["username"]) == ("sign-in:acme", "provider", "mia")
        # Both: that person's of that stay, and those of which no stay is known.
        assert (await leave(second, logout_token(http, issuer, sub="mia", sid="s-9"))).status_code == 200
        assert await out_within_a_second(unknown)
        assert (await mia[2].get("/api/me")).status_code == 200
        assert (await leave(second, logout_token(http, issuer, sub="mia", sid="s-3"))).status_code == 200
        assert (await lee.get("/api/me")).status_code == 200, "a stay of somebody else"
        assert (await leave(second, logout_token(http, issuer, sub="mia"))).status_code == 200
        assert await out_within_a_second(mia[2])
        assert (await leave(http, logout_token(http, issuer, sub="nobody"))).status_code == 200
        assert (await lee.get("/api/me")).status_code == 200
        told = await http.stack.heard(person_signed_out, lambda event: len(event.data["session_ids"]) == 2)
        assert told.data["provider"] == "acme"
    finally:
        await second.close()


async def test_each_token_that_does_not_fit_is_refused_by_name(http: Http, issuer: Issuer) -> None:
    mia = await entered(http, issuer, "mia", "s-1")
    now = http.stack.clock()
    used = logout_token(http, issuer, sid="s-other")
    assert (await leave(http, used)).status_code == 200
    head, body, signature = logout_token(http, issuer, sub="mia").split(".")
    told = {"iss": issuer.url, "aud": CLIENT, "sub": "mia", "events": {EVENT: {}}, "jti": "x"}
    for token, said in {
        used: "used before",
        logout_token(http, issuer, sub="mia", aud="somebody else"): "another audience",
        logout_token(http, issuer, sub="mia", iss="https://evil.example.com"): "not trusted here",
        logout_token(http, issuer, sub="mia", exp=now - timedelta(seconds=1)): "is over",
        logout_token(http, issuer, sub="mia", exp=None): "at most 24 hours",
        logout_token(http, issuer, sub="mia", iat=None): "at most 24 hours",
        logout_token(http, issuer, sub="mia", iat=now + timedelta(minutes=5)): "not valid yet",
        logout_token(http, issuer, sub="mia", nonce="n"): "has a nonce",
        logout_token(http, issuer, sub="mia", events=None): "no logout token",
        logout_token(http, issuer, sub="mia", jti=None): "no number of its own",
        logout_token(http, issuer): "neither who",
        logout_token(http, issuer, sub="mia", typ="at+jwt"): "of the type",
        logout_token(http, issuer, sub="mia", key=1): "no key of its issuer",
        jwt.encode(told, "", "none"): "'none'",
        jwt.encode(told, "x" * 32, "HS256"): "'HS256'",
        f"{head}.{body[:-2]}AA.{signature}": "token",
        "nonsense": "no JSON Web Token",
        "": "one logout_token",
    }.items():
        answer = await leave(http, token)
        assert (answer.status_code, said in answer.json()["detail"]) == (400, True), (said, answer.text)
    assert (await http.of(None).post(PATH, json={"logout_token": used})).status_code == 400
    assert (await http.of(None).post(PATH, content=b"x" * 20_000)).status_code == 413
    assert (await http.of(None).post(PATH.replace("acme", "other"), data={"logout_token": used})).status_code == 404
    assert (await http.of(None).get(PATH)).status_code == 405
    assert (await mia.get("/api/me")).status_code == 200


async def test_a_key_that_is_new_at_the_provider_counts(http: Http, issuer: Issuer) -> None:
    mia = await entered(http, issuer, "mia", "s-1")
    assert (await leave(http, logout_token(http, issuer, sid="s-other"))).status_code == 200
    issuer.known = [1]
    http.edge.sign_in._providers._keys._monotonic = lambda: 1e9  # long after it was asked last
    assert (await leave(http, logout_token(http, issuer, sid="s-1", key=1))).status_code == 200
    assert await out_within_a_second(mia)


async def test_a_session_that_is_on_its_way_when_its_stay_ends_is_not_opened(http: Http, issuer: Issuer) -> None:
    assert (await leave(http, logout_token(http, issuer, sid="s-7"))).status_code == 200
    with pytest.raises(AssertionError, match="has ended this sign-in already"):
        await entered(http, issuer, "mia", "s-7")
    await entered(http, issuer, "mia", "s-8")
