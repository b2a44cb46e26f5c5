"""Second factors on real servers: begun, confirmed, asked for, each code once; recovery, and lost ones."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.passwords import enter_by_password
from libs.common.contracts.gateway.second_factors import factor_confirmed, factor_recovered, factor_removed
from libs.common.contracts.roles import ROLES
from services.gateway.domain.second_factors import STEP_S, code_at
from tests.http_edge import Http
from tests.integration.test_passwords import GOOD, OTHER, VAULT, browser, everything_stored, person, sign_in
from tests.stack import Stack

pytestmark = pytest.mark.integration
PATH = "/api/me/second-factor"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open(vault_secret=VAULT)
    yield edge
    await edge.close()


def secret_in(answer: httpx2.Response) -> bytes:
    assert answer.status_code == 201, answer.text
    (text,) = parse_qs(urlsplit(answer.json()["otpauth_uri"]).query)["secret"]
    return base64.b32decode(text)


def code_of(http: Http, secret: bytes, later: int = 0) -> str:
    return code_at(secret, int(http.stack.clock().timestamp() // STEP_S) + later)


async def with_factor(http: Http, name: str = "mia") -> tuple[httpx2.AsyncClient, bytes, list[str]]:
    """A person with a password and a second factor: a browser, the secret, the recovery codes."""
    await person(http, name)
    one = browser(http, await sign_in(http, name, GOOD))
    secret = secret_in(await one.post(PATH))
    answer = await one.post(f"{PATH}/confirm", json={"code": code_of(http, secret)})
    assert answer.status_code == 200, answer.text
    return one, secret, answer.json()["recovery_codes"].split()


async def enter(http: Http, code: str | None, password: str = GOOD) -> httpx2.Response:
    body = {"username": "mia", "password": password} | ({} if code is None else {"code": code})
    return await http.of(None).post("/api/sign-in", json=body)


async def test_a_code_is_asked_for_once_it_was_shown_and_counts_once(http: Http) -> None:
    await person(http, "mia")
    one = browser(http, await sign_in(http, "mia", GOOD))
    first = secret_in(await one.post(PATH))
    secret = secret_in(await one.post(PATH))
    assert (await sign_in(http, "mia", GOOD)).status_code == 201, "what is only begun is not asked for"
    for wrong in (code_of(http, first), "000000", "nonsense"):
        assert (await one.post(f"{PATH}/confirm", json={"code": wrong})).status_code == 403
    code = code_of(http, secret)
    assert (await one.post(f"{PATH}/confirm", json={"code": code})).status_code == 200
    assert (await http.stack.heard(factor_confirmed)).data["username"] == "mia"
    assert (await one.post(PATH)).status_code == 409
    assert (await one.post(f"{PATH}/confirm", json={"code": code})).status_code in (409, 429)
    refused = [await enter(http, None), await enter(http, code), await enter(http, code_of(http, secret, 1), OTHER)]
    assert {(one.status_code, one.json()["detail"]) for one in refused} == {(401, refused[0].json()["detail"])}
    http.stack.clock.advance(seconds=STEP_S)
    code = code_of(http, secret)
    assert (await enter(http, f"{code[:3]} {code[3:]}")).status_code == 201
    assert (await enter(http, code)).status_code == 401, "nobody who looked on comes in with it"
    (listed,) = (await http.client.get("/api/passwords")).json()
    assert listed["second_factor"] is True
    assert base64.b32encode(secret).decode() not in await everything_stored(http)


async def test_users_say_who_has_one_however_they_sign_in(http: Http) -> None:
    await with_factor(http)
    await http.user("max", "operator")
    issued = await http.client.post("/api/tokens", json={"username": "max", "label": "to come in"})
    one = browser(http, await http.of(issued.json()["token"]).post("/api/sessions"))
    secret = secret_in(await one.post(PATH))

    async def listed() -> dict[str, bool]:
        return {user["username"]: user["second_factor"] for user in (await http.client.get("/api/users")).json()}

    assert await listed() == {"max": False, "mia": True, "owner": False}, "what is only begun is none"
    assert (await one.post(f"{PATH}/confirm", json={"code": code_of(http, secret)})).status_code == 200
    assert [kept["username"] for kept in (await http.client.get("/api/passwords")).json()] == ["mia"]
    assert await listed() == {"max": True, "mia": True, "owner": False}
    assert (await http.client.get("/api/users/max")).json()["second_factor"] is True


async def test_of_two_who_show_one_code_at_once_one_comes_in(http: Http) -> None:
    _, secret, _ = await with_factor(http)
    other = await Http(http.stack).open(vault_secret=VAULT)
    try:
        http.stack.clock.advance(seconds=STEP_S)
        code = code_of(http, secret)
        answers = await asyncio.gather(enter(http, code), enter(other, code))
        assert sorted(one.status_code for one in answers) == [201, 401]
    finally:
        await other.close()


async def test_a_step_that_two_gateways_have_judged_counts_once(http: Http) -> None:
    """Both have looked before either was done: what they have proven arrives one behind the other."""
    await with_factor(http)
    superuser = await http.stack.superuser()
    revision = await superuser.fetchval("SELECT revision FROM gateway.password")
    step = await superuser.fetchval("SELECT last_step FROM gateway.second_factor") + 1
    await superuser.close()
    proven = {"revision": revision, "tries": {"kinds": [], "buckets": []}, "proof": {"step": step}, "address": "::1"}
    answers = [
        await http.stack.command(enter_by_password, {**proven, "secret_sha256": str(number) * 64}, actor="mia")
        for number in (1, 2)
    ]
    assert [one.status for one in answers] == [200, 401], answers


async def test_a_recovery_code_lets_in_once_and_is_told(http: Http) -> None:
    _, _, codes = await with_factor(http)
    assert len(set(codes)) == 10
    assert (await enter(http, codes[3].lower())).status_code == 201
    told = await http.stack.heard(factor_recovered)
    assert told.data == {"username": "mia", "recovery_codes_left": 9}
    assert (await enter(http, codes[3])).status_code == 401
    kept = await everything_stored(http)
    assert not [code for code in codes if code in kept or code.replace("-", "") in kept]


async def test_it_is_given_up_with_a_code_or_taken_away_by_who_may(http: Http) -> None:
    one, secret, codes = await with_factor(http)
    assert (await one.post(f"{PATH}/drop", json={"code": code_of(http, secret)})).status_code == 403, "was used"
    assert (await one.post(f"{PATH}/drop", json={"code": codes[0]})).status_code == 200
    assert (await http.stack.heard(factor_removed)).data == {"username": "mia", "by": "person"}
    assert (await one.post(f"{PATH}/drop", json={"code": codes[1]})).status_code == 409
    assert (await enter(http, None)).status_code == 201
    secret = secret_in(await one.post(PATH))
    await http.running.pool.execute("DELETE FROM sign_in_try")
    assert (await one.post(f"{PATH}/confirm", json={"code": code_of(http, secret)})).status_code == 200
    assert (await enter(http, codes[1])).status_code == 401, "the codes of the one before are gone"
    assert (await http.client.delete("/api/users/mia/second-factor")).status_code == 200
    await http.stack.heard(factor_removed, lambda event: event.data["by"] == "administrator")
    assert (await enter(http, None)).status_code == 201
    assert (await http.client.delete("/api/users/mia/second-factor")).status_code == 404


async def test_nobody_takes_it_from_who_holds_more(http: Http) -> None:
    await person(http, "ann", "owner")
    body = {"label": "narrow", "permissions": ["identity:write"]}
    narrow = http.of((await http.client.post("/api/tokens", json=body)).json()["token"])
    assert (await narrow.delete("/api/users/ann/second-factor")).status_code == 403


async def test_nor_from_who_was_lent_more(http: Http) -> None:
    await person(http, "mia")
    ends_at = (http.stack.clock() + timedelta(days=1)).isoformat()
    lent = {"username": "mia", "role": "manager", "sites": ["*"], "ends_at": ends_at, "reason": "a shift"}
    assert (await http.client.post("/api/grants", json=lent)).status_code == 201
    body = {"label": "narrow", "permissions": ["identity:write", "user:write", *sorted(ROLES["operator"])]}
    narrow = http.of((await http.client.post("/api/tokens", json=body)).json()["token"])
    assert (await narrow.delete("/api/users/mia/second-factor")).status_code == 403
    assert (await narrow.post("/api/users/mia/password-code")).status_code == 403
    await http.client.delete("/api/grants/1")
    assert (await narrow.post("/api/users/mia/password-code")).status_code == 201
