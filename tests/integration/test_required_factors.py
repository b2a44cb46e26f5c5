"""Who must have a second factor by the policy: a grace, then nothing but to begin one; and a provider's word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.second_factors import factor_due
from libs.common.contracts.gateway.sign_in import SignInProvider, SignInRule, sign_in
from libs.common.contracts.gateway.token_survey import survey_tokens
from services.gateway.domain.second_factors import STEP_S
from services.gateway.identity.bootstrap import digest_of
from services.gateway.second_factors import demands
from tests.http_edge import Http
from tests.integration.test_passwords import GOOD, VAULT, browser, person
from tests.integration.test_passwords import sign_in as enter_by_password
from tests.integration.test_second_factors import PATH as FACTOR
from tests.integration.test_second_factors import code_of, enter, secret_in
from tests.stack import Stack

pytestmark = pytest.mark.integration
POLICY = "/api/admin/second-factor-policy"
TYPE = "urn:headgate:problem:second-factor-required"


@pytest_asyncio.fixture
async def http(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    monkeypatch.setattr(demands, "FRESH_SECONDS", 0.0)
    edge = await Http(stack).open(vault_secret=VAULT)
    yield edge
    await edge.close()


async def policy(http: Http, **content: Any) -> httpx2.Response:
    return await http.client.put(POLICY, json={"content": content, "reason": "more than a password"})


def is_barred(answer: httpx2.Response) -> bool:
    return answer.status_code == 403 and answer.json()["type"] == TYPE


async def is_soon(http: Http, client: httpx2.AsyncClient, barred: bool) -> bool:
    """Whether it becomes so, within the second for which sessions are remembered."""
    async with asyncio.timeout(5):
        while is_barred(await client.get("/api/sites")) is not barred:
            pass
    return True


async def due(http: Http) -> dict[str, Any]:
    rows = await http.running.pool.fetch("SELECT username, since FROM second_factor_due")
    return {row["username"]: row["since"] for row in rows}


async def lacking(http: Http) -> list[str]:
    answer = await http.stack.query(survey_tokens, {})
    names: list[str] = answer.json["users_without_second_factor"]
    return names


async def test_after_the_grace_a_session_does_nothing_but_begin_one(http: Http) -> None:
    await person(http, "mia", "manager")
    await person(http, "ann", "operator")
    one = browser(http, await enter_by_password(http, "mia", GOOD))
    other = browser(http, await enter_by_password(http, "ann", GOOD))
    assert (await policy(http, required_of=["manager"], grace_hours=2)).status_code == 200
    told = await http.stack.heard(factor_due)
    assert told.data["username"] == "mia"
    assert set(await due(http)) == {"mia"}
    assert (await one.get("/api/sites")).status_code == 200, "there is time"
    for _ in range(4):  # one that nobody uses for half an hour ends
        http.stack.clock.advance(minutes=29)
        assert (await one.get("/api/sites")).status_code == 200
    http.stack.clock.advance(minutes=4)
    assert await is_soon(http, one, True)
    for barred in (
        await one.post("/api/tokens", json={"label": "round it"}),
        await one.post("/api/logins"),
        await one.post("/api/me/password", json={"current_password": GOOD, "password": GOOD + "x"}),
        await one.get("/api/events"),
        await one.get("/api/status"),
        await one.get("/api/commands/gateway.00000000-0000-0000-0000-000000000000"),
        await one.put(POLICY, json={"content": {}, "reason": "x"}),
    ):
        assert is_barred(barred), barred.text
    two = browser(http, await enter_by_password(http, "mia", GOOD))
    assert is_barred(await two.get("/api/sites")), "to come in anew gives no other grace"
    assert (await policy(http, required_of=["manager", "owner"], grace_hours=2)).status_code == 200
    assert is_barred(await two.get("/api/sites")), "nor does another publication"
    assert (await two.get("/api/me")).status_code == 200
    assert (await two.get("/api/me/sessions")).status_code == 200
    secret = secret_in(await two.post(FACTOR))
    assert (await two.post(f"{FACTOR}/confirm", json={"code": code_of(http, secret)})).status_code == 200
    assert await is_soon(http, two, False)
    assert await is_soon(http, one, False)
    assert (await other.get("/api/sites")).status_code in (200, 401), "who is not meant"
    # Who gives it up must begin another at once.
    http.stack.clock.advance(seconds=STEP_S)
    assert (await two.post(f"{FACTOR}/drop", json={"code": code_of(http, secret)})).status_code == 200
    assert await is_soon(http, two, True)


async def test_who_comes_to_be_meant_is_noted_and_who_is_not_is_forgotten(http: Http) -> None:
    await person(http, "mia", "operator")
    await person(http, "ann", "viewer")
    assert (await policy(http, required_of=["gate:override"], grace_hours=1)).status_code == 200
    assert set(await due(http)) == {"owner"}
    ends_at = (http.stack.clock() + timedelta(hours=3)).isoformat()
    lent = {"username": "mia", "role": "commander", "sites": ["global"], "ends_at": ends_at, "reason": "a shift"}
    assert (await http.client.post("/api/grants", json=lent)).status_code == 201
    one = browser(http, await enter_by_password(http, "mia", GOOD))
    assert set(await due(http)) == {"owner", "mia"}, "at the sign-in"
    assert (await http.client.patch("/api/users/ann", json={"role": "commander"})).status_code == 200
    assert await http.stack.run_job("gateway", "second_factor_watch")
    assert set(await due(http)) == {"owner", "mia", "ann"}
    assert await lacking(http) == ["ann", "mia", "owner"]
    http.stack.clock.advance(minutes=20)
    assert (await one.get("/api/sites")).status_code == 200
    http.stack.clock.advance(hours=3)
    await http.stack.run_job("gateway", "second_factor_watch")
    assert set(await due(http)) == {"owner", "ann"}, "the grant is over"
    assert (await policy(http)).status_code == 200
    assert (await due(http), await lacking(http)) == ({}, [])


async def test_tokens_go_on_and_no_hours_mean_at_once(http: Http) -> None:
    await person(http, "mia", "manager")
    token = (await http.client.post("/api/tokens", json={"username": "mia", "label": "x"})).json()["token"]
    assert (await policy(http, required_of=["manager"], grace_hours=0)).status_code == 200
    assert (await http.of(token).get("/api/sites")).status_code == 200
    assert is_barred(await browser(http, await http.of(token).post("/api/sessions")).get("/api/sites"))
    assert is_barred(await browser(http, await enter_by_password(http, "mia", GOOD)).get("/api/sites"))


async def test_a_reset_gives_no_other_grace(http: Http) -> None:
    await person(http, "mia", "manager")
    one = browser(http, await enter_by_password(http, "mia", GOOD))
    secret = secret_in(await one.post(FACTOR))
    assert (await one.post(f"{FACTOR}/confirm", json={"code": code_of(http, secret)})).status_code == 200
    assert (await policy(http, required_of=["manager"], grace_hours=24)).status_code == 200
    assert await due(http) == {}
    http.stack.clock.advance(hours=30)
    assert (await http.client.delete("/api/users/mia/second-factor")).status_code == 200
    assert is_barred(await browser(http, await enter(http, None)).get("/api/sites"))


async def test_the_word_of_the_provider_will_do_where_the_policy_names_it(http: Http) -> None:
    content = {"required_of": ["manager"], "grace_hours": 0, "provider_amr": ["mfa"], "provider_acr": ["urn:acme:2"]}
    assert (await policy(http, **content)).status_code == 200
    provider = SignInProvider(name="acme", issuer="https://login.acme.com", client_id="headgate")
    rule = SignInRule(name="all", provider="acme", claims={"sub": ["u-*"]}, role="manager", sites=["*"])
    said: list[tuple[list[str], str | None, bool]] = [
        (["pwd"], None, True), (["pwd", "mfa"], None, False), ([], "urn:acme:2", False), ([], "urn:acme:1", True),
        ([], None, True),
    ]  # fmt: skip
    for number, (amr, acr, barred) in enumerate(said):
        secret = str(number) * 43
        body = {
            "provider": provider.model_dump(), "rule": rule.model_dump(), "sub": "u-1", "username": "mia",
            "exact": True, "amr": amr, "acr": acr, "state_sha256": str(number) * 64, "address": "::1",
            "state_until": http.stack.clock() + timedelta(minutes=5), "secret_sha256": digest(secret),
        }  # fmt: skip
        answer = await http.stack.command(sign_in, body, actor="mia" if number else "sign-in:acme")
        assert answer.status == 200, answer
        one = http.of(None, Cookie=f"headgate-session={secret}")
        assert is_barred(await one.get("/api/sites")) is barred, (amr, acr)
        if not barred:
            csrf = (await one.get("/api/me")).headers["X-CSRF-Token"]
            login = await one.post("/api/logins", headers={"X-CSRF-Token": csrf})
            assert (await http.of(login.json()["access_token"]).get("/api/sites")).status_code == 200


def digest(secret: str) -> str:
    return digest_of(secret).hex()


async def test_a_policy_means_whom_there_is(http: Http) -> None:
    for name, says in (
        ("managr", "no role managr"), ("identity:wirte", "do you mean identity:write"), ("keeper", "No person holds"),
    ):  # fmt: skip
        refused = await policy(http, required_of=[name])
        assert (refused.status_code, says in refused.json()["detail"]) == (422, True), refused.text
    assert (await policy(http, required_of=["owner"], grace_hours=-1)).status_code == 422


async def test_a_policy_that_can_not_be_read_is_mended_in_a_session(http: Http) -> None:
    await person(http, "boss", "owner")
    before = browser(http, await enter_by_password(http, "boss", GOOD))
    await http.running.pool.execute(
        "INSERT INTO document_version (kind, site, version, content, digest, author, reason, published_at) "
        "VALUES ('second_factor_policy', 'global', 1, $1, $2, 'owner', 'of a later version', $3)",
        '{"from_the_future": true}',
        "0" * 64,
        http.stack.clock(),
    )
    after = browser(http, await enter_by_password(http, "boss", GOOD))
    for client in (before, after):
        refused = await client.get("/api/sites")
        assert (refused.status_code, "Nobody knows who must have" in refused.json()["detail"]) == (503, True)
    body = {"content": {"required_of": ["operator"]}, "reason": "one that is understood"}
    assert (await after.put(POLICY, json=body)).status_code == 200
    for client in (before, after):
        assert (await client.get("/api/sites")).status_code == 200
