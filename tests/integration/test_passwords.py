"""People without a provider, on real servers: a code, a password, a session; and nothing told to those who guess."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.contracts.gateway.passwords import password_changed, password_invited, password_removed
from libs.common.contracts.gateway.sessions import session_ended
from services.gateway.domain.sessions import CSRF_HEADER, LOCAL_COOKIE
from services.gateway.passwords import hashing
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration

GOOD = "four words make one"
OTHER = "and four other words"
VAULT = SecretStr("the vault of a test")


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open(vault_secret=VAULT)
    yield edge
    await edge.close()


async def code_for(http: Http, name: str) -> str:
    answer = await http.client.post(f"/api/users/{name}/password-code")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


async def choose(http: Http, name: str, code: str, password: str) -> httpx2.Response:
    return await http.of(None).post("/api/passwords", json={"username": name, "code": code, "password": password})


async def sign_in(http: Http, name: str, password: str, **headers: str) -> httpx2.Response:
    return await http.of(None, **headers).post("/api/sign-in", json={"username": name, "password": password})


async def person(http: Http, name: str, role: str = "operator", password: str = GOOD) -> None:
    """A user with a password."""
    await http.user(name, role)
    answer = await choose(http, name, await code_for(http, name), password)
    assert answer.status_code == 200, answer.text


def cookies(answer: httpx2.Response) -> dict[str, str]:
    return dict(one.partition(";")[0].split("=", 1) for one in answer.headers.get_list("Set-Cookie"))


def browser(http: Http, answer: httpx2.Response) -> httpx2.AsyncClient:
    """One with the session that this answer opened."""
    assert answer.status_code == 201, answer.text
    cookie = f"{LOCAL_COOKIE}={cookies(answer)[LOCAL_COOKIE]}"
    return http.of(None, Cookie=cookie, **{CSRF_HEADER: answer.json()["csrf_token"]})


async def everything_stored(http: Http) -> str:
    """What the database holds of the gateway, as text."""
    names = [row["tablename"] for row in await http.running.pool.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]  # fmt: skip
    parts = [await http.running.pool.fetchval(f"SELECT string_agg(t::text, ' ') FROM {name} t") for name in names]
    return " ".join(part or "" for part in parts)


async def test_a_code_lets_a_person_choose_a_password_that_opens_a_session(http: Http) -> None:
    await http.user("mia", "operator")
    code = await code_for(http, "mia")
    assert (await choose(http, "mia", code, GOOD)).status_code == 200
    answer = await sign_in(http, "mia", GOOD)
    one = browser(http, answer)
    me = (await one.get("/api/me")).json()
    assert (me["username"], me["role"], me["session_id"]) == ("mia", "operator", answer.json()["session_id"])
    assert (await one.post("/api/tokens", json={"label": "by the session"})).status_code == 201
    assert (await one.get("/api/users")).status_code == 403
    told = await http.stack.heard(password_changed)
    assert (told.actor, told.data["by"]) == ("mia", "code")
    assert told.data["changes"] == [{"field": "password", "before": None, "after": None, "masked": True}]
    assert (await http.stack.heard(password_invited)).data["username"] == "mia"
    (listed,) = (await http.client.get("/api/passwords")).json()
    assert (listed["username"], listed["code_until"]) == ("mia", None)
    kept = await everything_stored(http)
    assert all(secret not in kept for secret in (code, GOOD, "argon2")), "neither code, nor password, nor its hash"
    assert hashlib.sha256(GOOD.encode()).hexdigest() not in kept


async def test_a_code_counts_once_and_not_for_ever(http: Http) -> None:
    await http.user("mia", "operator")
    code = await code_for(http, "mia")
    assert (await choose(http, "mia", code, "too short")).status_code == 422, "which uses up nothing"
    assert (await choose(http, "mia", code, GOOD)).status_code == 200
    for wrong in (code, "x" * 43, ""):
        assert (await choose(http, "mia", wrong, OTHER)).status_code in (401, 422)
    first, second = await code_for(http, "mia"), await code_for(http, "mia")
    assert (await choose(http, "mia", first, OTHER)).status_code == 401, "the later one replaces it"
    assert (await choose(http, "lee", second, OTHER)).status_code == 401
    http.stack.clock.advance(hours=24)
    assert (await choose(http, "mia", second, OTHER)).status_code == 401
    assert (await sign_in(http, "mia", GOOD)).status_code == 201, "a code that nobody used changes nothing"
    assert (await http.client.post("/api/users/nobody/password-code")).status_code == 404


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("fourteen chars", "at least 15"),
        ("x" * 257, "at most 256"),
        ("abababababababab", "different"),
        ("mia mia mia mia headgate", "your name"),
        ("four words\nmake one", "control"),
        ("correct horse battery", "breach"),
        ("\uff43orrect horse battery", "breach"),
    ],
)
async def test_each_refusal_of_a_password_says_why(stack: Stack, tmp_path: Path, password: str, said: str) -> None:
    listed = tmp_path / "lost"
    listed.write_text(hashlib.sha1(b"correct horse battery").hexdigest().upper() + ":12\n")
    http = await Http(stack).open(vault_secret=VAULT, breached_passwords=listed)
    try:
        await http.user("mia", "operator")
        answer = await choose(http, "mia", await code_for(http, "mia"), password)
        assert (answer.status_code, said in answer.json()["detail"]) == (422, True), answer.text
        assert answer.json()["errors"][0]["field"] == "password"
        assert password not in answer.text
    finally:
        await http.close()


async def test_what_can_be_typed_in_two_ways_is_one_password(http: Http) -> None:
    await person(http, "mia", password="\ubcf8\uc778 \uc778\uc99d\uc740 cafe\u0301 four words")
    assert (await sign_in(http, "mia", "\ubcf8\uc778 \uc778\uc99d\uc740 caf\u00e9 four words")).status_code == 201


async def test_all_who_are_not_let_in_are_answered_alike(http: Http) -> None:
    for name in ("mia", "lee", "ann"):
        await person(http, name)
    await http.user("kim", "operator")
    assert (await http.client.patch("/api/users/lee", json={"active": False})).status_code == 200
    assert (await http.client.delete("/api/users/ann/password")).status_code == 200
    answers = [
        await sign_in(http, name, password)
        for name, password in (("mia", OTHER), ("lee", GOOD), ("ann", GOOD), ("kim", GOOD), ("nobody", GOOD))
    ]

    def shown(answer: httpx2.Response) -> Any:
        said = {name: value for name, value in answer.json().items() if name != "trace_id"}
        return answer.status_code, said, sorted(set(answer.headers) - {"content-length"})

    assert all(shown(answer) == shown(answers[0]) for answer in answers)
    assert answers[0].status_code == 401
    assert (await http.stack.heard(password_removed)).data == {"username": "ann"}


async def test_who_guesses_waits_longer_and_longer_whether_the_name_is_there_or_not(http: Http) -> None:
    await person(http, "mia")
    for name in ("mia", "nobody"):
        for _ in range(5):
            assert (await sign_in(http, name, OTHER)).status_code == 401
        waits = []
        for _ in range(4):
            assert (await sign_in(http, name, OTHER)).status_code == 401
            refused = await sign_in(http, name, OTHER)
            assert refused.status_code == 429
            waits.append(int(refused.headers["Retry-After"]))
            http.stack.clock.advance(seconds=waits[-1])
        assert waits == [1, 2, 4, 8]
        await http.running.pool.execute("DELETE FROM sign_in_try WHERE kind = 'address'")
    http.stack.clock.advance(hours=25)
    for _ in range(5):
        assert (await sign_in(http, "mia", OTHER)).status_code == 401, "counting began anew"


async def test_two_gateways_count_together_and_guesses_at_once_pass_one_at_a_time(http: Http) -> None:
    await person(http, "mia")
    other = await Http(http.stack).open(vault_secret=VAULT)
    try:
        for edge in (http, other, http, other, http):
            assert (await sign_in(edge, "mia", OTHER)).status_code == 401
        assert (await sign_in(other, "mia", OTHER)).status_code == 401
        assert (await sign_in(http, "mia", GOOD)).status_code == 429, "also who is right must wait"
        http.stack.clock.advance(seconds=1)
        assert (await sign_in(http, "mia", GOOD)).status_code == 201
        assert (await sign_in(http, "mia", OTHER)).status_code == 401, "what was counted is gone"
    finally:
        await other.close()


async def test_a_browser_that_was_there_before_is_not_barred_by_what_others_fail_at(http: Http) -> None:
    await person(http, "mia")
    known = cookies(await sign_in(http, "mia", GOOD))["headgate-browser"]
    for _ in range(6):
        assert (await sign_in(http, "mia", OTHER)).status_code == 401
    assert (await sign_in(http, "mia", GOOD)).status_code == 429
    assert (await sign_in(http, "mia", GOOD, Cookie=f"headgate-browser={known}")).status_code == 201
    assert (await sign_in(http, "mia", GOOD, Cookie=f"headgate-browser={known[:-3]}AAA")).status_code == 429
    await person(http, "lee")
    for _ in range(6):
        assert (await sign_in(http, "lee", OTHER)).status_code == 401
    answer = await sign_in(http, "lee", GOOD, Cookie=f"headgate-browser={known}")
    assert answer.status_code == 429, "it is of another person"


async def test_a_storm_is_stopped_before_it_is_counted_or_read(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = http.of(None)
    with monkeypatch.context() as crowded:
        crowded.setattr(hashing, "MAX_WAITING", 0)
        refused = await stranger.post("/api/sign-in", content=b"not even read")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2"), refused.text
        assert "X-RateLimit-Limit" not in refused.headers, "each would be a round trip to the store"
    read = await stranger.post("/api/sign-in", content=b"not even read")
    assert (read.status_code, "X-RateLimit-Limit" in read.headers) == (415, True), read.text


async def test_who_guesses_from_one_address_waits_whatever_the_name(http: Http) -> None:
    await person(http, "mia")
    for number in range(21):
        assert (await sign_in(http, f"name-{number}", OTHER)).status_code == 401
    assert (await sign_in(http, "mia", GOOD)).status_code == 429


async def test_another_password_of_ones_own_ends_the_other_sessions(http: Http) -> None:
    await person(http, "mia")
    one, two = [browser(http, await sign_in(http, "mia", GOOD)) for _ in range(2)]
    wrong = await one.post("/api/me/password", json={"current_password": OTHER, "password": OTHER + "!"})
    assert wrong.status_code == 403
    same = await one.post("/api/me/password", json={"current_password": GOOD, "password": GOOD})
    assert same.status_code == 409
    changed = await one.post("/api/me/password", json={"current_password": GOOD, "password": OTHER})
    assert changed.status_code == 200, changed.text
    assert (await one.get("/api/me")).status_code == 200
    ended = await http.stack.heard(session_ended)
    assert ended.data["reason"] == "password"
    assert (await two.get("/api/me")).status_code == 401
    assert (await sign_in(http, "mia", GOOD)).status_code == 401
    assert (await sign_in(http, "mia", OTHER)).status_code == 201


async def test_a_reset_and_a_removal_end_what_the_password_opened(http: Http) -> None:
    await person(http, "mia")
    one = browser(http, await sign_in(http, "mia", GOOD))
    assert (await choose(http, "mia", await code_for(http, "mia"), OTHER)).status_code == 200
    await http.stack.heard(session_ended)
    assert (await one.get("/api/me")).status_code == 401
    two = browser(http, await sign_in(http, "mia", OTHER))
    code = await code_for(http, "mia")
    assert (await http.client.delete("/api/users/mia/password")).status_code == 200
    await http.stack.heard(session_ended, lambda event: event.data["session_id"] == 2)
    assert (await two.get("/api/me")).status_code == 401
    assert (await sign_in(http, "mia", OTHER)).status_code == 401
    assert (await choose(http, "mia", code, GOOD)).status_code == 401, "the code went with it"
    assert (await http.client.delete("/api/users/mia/password")).status_code == 404


async def test_nobody_makes_a_code_for_who_holds_more(http: Http) -> None:
    await person(http, "ann", "owner")
    body = {"label": "narrow", "permissions": ["identity:write", "identity:read"]}
    narrow = http.of((await http.client.post("/api/tokens", json=body)).json()["token"])
    assert (await narrow.post("/api/users/ann/password-code")).status_code == 403
    assert (await narrow.delete("/api/users/ann/password")).status_code == 403
    assert (await http.client.post("/api/users/ann/password-code")).status_code == 201


async def test_without_https_or_a_key_nobody_signs_in(stack: Stack) -> None:
    http = await Http(stack).open()
    try:
        await http.user("mia", "operator")
        assert (await sign_in(http, "mia", GOOD, Host="headgate.example.com")).status_code == 403
        assert (await sign_in(http, "mia", GOOD)).status_code == 503
        assert (await choose(http, "mia", await code_for(http, "mia"), GOOD)).status_code == 503
    finally:
        await http.close()
