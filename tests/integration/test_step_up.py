"""Step-up on real servers: before what the policy names a session shows its second factor anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.client import passwords
from libs.common.contracts.gateway.step_up import session_stepped_up, step_up
from services.gateway.domain.second_factors import STEP_S
from services.gateway.second_factors import demands
from tests.command_line import tool_at
from tests.http_edge import Http
from tests.integration.test_passwords import GOOD, VAULT, browser, person, sign_in
from tests.integration.test_second_factors import PATH as FACTOR
from tests.integration.test_second_factors import code_of, enter, secret_in
from tests.integration.test_sessions import out_within_a_second
from tests.stack import Stack

pytestmark = pytest.mark.integration
POLICY = "/api/admin/second-factor-policy"
PATH = "/api/me/step-up"
TYPE = "urn:headgate:problem:insufficient-user-authentication"


@pytest_asyncio.fixture
async def http(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    """An edge that looks at the policy each time; that it hears of a new one is tried with two."""
    monkeypatch.setattr(demands, "FRESH_SECONDS", 0.0)
    edge = await Http(stack).open(vault_secret=VAULT)
    yield edge
    await edge.close()


async def policy(http: Http, **content: Any) -> httpx2.Response:
    return await http.client.put(POLICY, json={"content": content, "reason": "a second look"})


async def with_factor(http: Http, role: str = "owner") -> tuple[httpx2.AsyncClient, bytes, list[str]]:
    """Mia in a browser, with a second factor of which no code was shown since she came in."""
    await person(http, "mia", role)
    one = browser(http, await sign_in(http, "mia", GOOD))
    secret = secret_in(await one.post(FACTOR))
    answer = await one.post(f"{FACTOR}/confirm", json={"code": code_of(http, secret)})
    assert answer.status_code == 200, answer.text
    http.stack.clock.advance(seconds=STEP_S)
    return one, secret, answer.json()["recovery_codes"].split()


async def make_site(client: httpx2.AsyncClient, name: str) -> httpx2.Response:
    return await client.post("/api/sites", json={"site": name, "title": name})


def is_asked(answer: httpx2.Response) -> bool:
    return answer.status_code == 403 and answer.json()["type"] == TYPE and "step_up" in answer.json()


async def test_a_code_is_asked_for_and_is_fresh_for_a_while(http: Http) -> None:
    one, secret, _ = await with_factor(http)
    assert (await make_site(one, "plant-a")).status_code == 201, "nothing asks for one yet"
    assert (await policy(http, step_up=["gateway.site.create"], step_up_minutes=10)).status_code == 200
    refused = await make_site(one, "plant-b")
    assert is_asked(refused), refused.text
    assert (refused.json()["step_up"], refused.json()["max_age_s"]) == (PATH, 600)
    hint = refused.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in hint
    assert 'max_age="600"' in hint
    assert (await one.get("/api/sites")).status_code == 200, "what is not named goes on"
    assert http.edge.denials._told["mia"] == 0, "to be asked is no denial"
    assert "mia" not in {who for who, _, _ in http.edge.refusals._rows}, "nor counted as one"
    for wrong in ("000000", "nonsense"):
        assert (await one.post(PATH, json={"code": wrong})).status_code == 403
    assert is_asked(await make_site(one, "plant-b"))
    code = code_of(http, secret)
    done = await one.post(PATH, json={"code": code})
    assert (done.status_code, done.json()["username"]) == (200, "mia"), done.text
    told = await http.stack.heard(session_stepped_up)
    assert (told.actor, told.data["by"], told.data["changes"][0]["field"]) == ("mia", "code", "factor_at")
    assert (await make_site(one, "plant-b")).status_code == 201
    assert (await one.post(PATH, json={"code": code})).status_code == 403, "a code counts once"
    (listed,) = (await one.get("/api/me/sessions")).json()
    assert listed["factor_at"] == done.json()["factor_at"]
    http.stack.clock.advance(minutes=10)
    assert is_asked(await make_site(one, "plant-c"))


async def test_it_is_the_sessions_own_and_ends_with_it(http: Http) -> None:
    one, secret, _ = await with_factor(http)
    await policy(http, step_up=["site:write"])
    assert (await one.post(PATH, json={"code": code_of(http, secret)})).status_code == 200
    assert (await make_site(one, "plant-a")).status_code == 201, "named by its permission"
    http.stack.clock.advance(seconds=STEP_S)
    two = browser(http, await enter(http, code_of(http, secret)))
    assert (await make_site(two, "plant-b")).status_code == 201, "who came in with a code has shown one"
    login = (await one.post("/api/logins")).json()
    three = http.of(login["access_token"])
    assert is_asked(await make_site(three, "plant-c")), "another session, though it was opened with this one"
    http.stack.clock.advance(seconds=STEP_S)
    assert (await three.post(PATH, json={"code": code_of(http, secret)})).status_code == 200
    assert (await make_site(three, "plant-c")).status_code == 201
    assert (await one.delete("/api/me/sessions", params={"keep_current": "false"})).status_code == 200
    assert await out_within_a_second(three)
    http.stack.clock.advance(seconds=STEP_S)
    # Who gives the second factor up has shown nothing any more.
    four = browser(http, await enter(http, code_of(http, secret)))
    http.stack.clock.advance(seconds=STEP_S)
    assert (await four.post(f"{FACTOR}/drop", json={"code": code_of(http, secret)})).status_code == 200
    async with asyncio.timeout(5):  # the edge hears of it
        while not is_asked(answer := await make_site(four, "plant-d")):
            assert answer.status_code in (201, 409), answer.text
    nothing = await four.post(PATH, json={"code": "123456"})
    assert (nothing.status_code, FACTOR in nothing.json()["detail"]) == (409, True)


async def test_two_gateways_agree_at_once_and_a_code_counts_once_over_both(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demands, "FRESH_SECONDS", 60.0)
    one, secret, _ = await with_factor(http)
    other = await Http(http.stack).open(vault_secret=VAULT)
    try:
        assert (await make_site(http.client, "plant-x")).status_code == 201  # both know the policy before
        assert (await make_site(other.client, "plant-y")).status_code == 201
        await policy(http, step_up=["gateway.site.create"])
        there = other.of(None, **{name: one.headers[name] for name in ("Cookie", "X-CSRF-Token")})
        async with asyncio.timeout(10):  # until both have heard of the policy
            for client in (one, there):
                while not is_asked(answer := await make_site(client, "plant-a")):
                    assert answer.status_code in (201, 409), answer.text
        body = {"code": code_of(http, secret)}
        answers = await asyncio.gather(one.post(PATH, json=body), there.post(PATH, json=body))
        assert sorted(answer.status_code for answer in answers) == [200, 403], [answer.text for answer in answers]
        both = await asyncio.gather(make_site(one, "plant-b"), make_site(there, "plant-c"))
        assert [answer.status_code for answer in both] == [201, 201], [answer.text for answer in both]
    finally:
        await other.close()


async def test_a_step_that_two_gateways_have_judged_counts_once(http: Http) -> None:
    await with_factor(http)
    superuser = await http.stack.superuser()
    step = await superuser.fetchval("SELECT last_step FROM gateway.second_factor") + 1
    number = await superuser.fetchval("SELECT session_id FROM gateway.sessions")
    await superuser.close()
    proven = {"proof": {"step": step}, "tries": {"kinds": [], "buckets": []}, "caller_session_id": number}
    answers = [await http.stack.command(step_up, proven, actor="mia") for _ in range(2)]
    assert [one.status for one in answers] == [200, 403], answers
    of_another = await http.stack.command(step_up, proven | {"proof": {"step": step + 1}}, actor="owner")
    assert of_another.status == 403


async def test_a_recovery_code_will_do_once(http: Http) -> None:
    one, _, codes = await with_factor(http)
    await policy(http, step_up=["gateway.site.create"])
    assert (await one.post(PATH, json={"code": codes[0]})).status_code == 200
    assert (await http.stack.heard(session_stepped_up)).data["by"] == "recovery"
    assert (await make_site(one, "plant-a")).status_code == 201
    assert (await one.post(PATH, json={"code": codes[0]})).status_code == 403


async def test_who_guesses_waits_and_who_is_right_does_not(http: Http) -> None:
    one, secret, _ = await with_factor(http)
    for _ in range(8):
        assert (await one.post(PATH, json={"code": code_of(http, secret)})).status_code == 200
        http.stack.clock.advance(seconds=STEP_S)
    answers = [await one.post(PATH, json={"code": "000000"}) for _ in range(7)]
    assert [answer.status_code for answer in answers[:5]] == [403] * 5
    assert answers[6].status_code == 429
    assert "Retry-After" in answers[6].headers
    assert (await one.post(PATH, json={"code": code_of(http, secret)})).status_code == 429


async def test_tokens_go_on_unless_the_policy_says_otherwise(http: Http) -> None:
    await with_factor(http)
    assert (await policy(http, step_up=["signal:write", "gateway.site.create"])).status_code == 200
    account = {"name": "ci", "role": "operator", "purpose": "pipelines"}
    assert (await http.client.post("/api/accounts", json=account)).status_code == 201
    body = {"label": "ci", "username": "account:ci", "permissions": ["signal:write"]}
    machine = http.of((await http.client.post("/api/tokens", json=body)).json()["token"])
    assert (await make_site(http.client, "plant-a")).status_code == 201
    said = await http.client.post(PATH, json={"code": "123456"})
    assert (said.status_code, "token" in said.json()["detail"]) == (409, True)
    shut_out = await policy(http, step_up=["gateway.site.create"], tokens="accounts")
    assert (shut_out.status_code, "second factor yourself" in shut_out.json()["detail"]) == (409, True)
    mias = http.of((await http.client.post("/api/tokens", json={"username": "mia", "label": "x"})).json()["token"])
    for tokens, of_account in (("accounts", {415}), ("refused", {403})):
        content = {"step_up": ["signal:write", "gateway.site.create"], "tokens": tokens}
        done = await mias.put(POLICY, json={"content": content, "reason": "people show a code"})
        assert done.status_code == 200, done.text
        refused = await make_site(http.client, "plant-b")
        assert (refused.status_code, refused.json()["type"]) == (403, TYPE)
        assert "step_up" not in refused.json(), "there is no session in which one could"
        assert (await machine.post("/api/signals", json={})).status_code in of_account


async def test_a_policy_names_what_there_is(http: Http) -> None:
    for names, says in (
        (["gateway.site.creat"], "do you mean gateway.site.create"),
        (["gate:overide"], "do you mean gate:override"),
        (["gateway.site.created"], "no operation"),
        (["gateway.session.step_up"], "needed to show a code"),
        (["me:write"], "needed to show a code"),
    ):
        refused = await policy(http, step_up=names)
        assert (refused.status_code, says in refused.json()["detail"]) == (422, True), refused.text
    assert (await policy(http, step_up=["site:write", "site:write"])).status_code == 422
    assert (await policy(http, step_up=["site:write"], step_up_minutes=0)).status_code == 422
    assert (await http.client.get(POLICY)).json()["version"] == 0
    mia = await http.user("mia", "manager")
    refused = await mia.put(POLICY, json={"content": {}, "reason": "x"})
    assert (refused.status_code, refused.json()["permission"]) == (403, "identity:write")


async def test_the_tool_asks_for_a_code_and_goes_on(
    http: Http, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, secret, _ = await with_factor(http)
    token = (await http.client.post("/api/tokens", json={"username": "mia", "label": "x"})).json()["token"]
    tool = tool_at(http.url, monkeypatch, tmp_path)
    monkeypatch.delenv("HEADGATE_TOKEN")
    assert (await tool("login", "--renewing", stdin=token)).exit_code == 0
    await policy(http, step_up=["gateway.site.create"])
    done = await tool("sites", "create", "plant-a", "--title", "a")
    assert (done.exit_code, "second factor" in done.output) == (1, True), "nobody is there to type one"
    typed = ["000000", code_of(http, secret)]
    monkeypatch.setattr(passwords, "typed_fresh_code", lambda: typed.pop(0))
    done = await tool("sites", "create", "plant-a", "--title", "a")
    assert (done.exit_code, "This code is wrong" in done.output) == (1, True), done.output
    done = await tool("sites", "create", "plant-a", "--title", "a")
    assert (done.exit_code, typed) == (0, []), done.output
    assert (await tool("sites", "create", "plant-b", "--title", "b")).exit_code == 0, "it is fresh for a while"
    http.stack.clock.advance(minutes=16)
    assert (await tool("logout")).exit_code == 0
