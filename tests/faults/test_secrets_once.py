"""Kill -9 while people choose passwords, programs renew their logins, and roles are given for a while.

What counts once counts once: a code gives one password, a secret one renewal, a key one grant. What has ended has
ended: whoever comes with a used secret ends the login for both, also when the gateway dies before it has said so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest

from deploy.local.stack import LocalStack
from libs.judge.token_text import REFRESH
from services.gateway.identity.bootstrap import digest_of, make_secret
from tests.faults.lives import LIMITS, Life, all_at_once, said
from tests.local_traffic import await_that, client

pytestmark = pytest.mark.faults

KILLED = ("gateway", "postgres", "nats")
PEOPLE, PROGRAMS, RENEWALS, LENT = 10, 18, 4, 18


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("secrets") / "data", env=dict.fromkeys(LIMITS, "1000000"))
    stack.start()
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


async def made(http: httpx2.AsyncClient, owner: str, name: str, role: str = "viewer") -> None:
    """A user of this name."""
    body = {"username": name, "role": role, "sites": ["*"]}
    answer = await said(http, "POST", "/api/users", f"{name}-made", owner, body)
    assert answer.status_code == 201, answer.text


def answered(http: httpx2.Client, headers: dict[str, str], status: int) -> bool:
    """Whether who comes with these is answered so."""
    return http.get("/api/me", headers=headers).status_code == status


def told(http: httpx2.Client, kind: str, names: str) -> Counter[str]:
    """How often the audit log tells of each thing of this kind that is about one of these."""
    answer = http.get("/api/audit/entries", params={"type": kind, "limit": 500})
    assert answer.status_code == 200, answer.text
    return Counter(one["subject"] for one in answer.json()["items"] if names in str(one))


@dataclass
class Chooser:
    """A person with one code and two who have got hold of it."""

    name: str
    passwords: tuple[str, str]
    statuses: list[int] = field(default_factory=list)


async def choose(http: httpx2.AsyncClient, owner: str, person: Chooser) -> None:
    """A code is made, and two come with it at once."""
    await made(http, owner, person.name)
    code, number = None, 0
    while code is None:  # it went with its gateway's answer: another one is made
        number += 1
        path, key = f"/api/users/{person.name}/password-code", f"{person.name}-code-{number}"
        code = (await said(http, "POST", path, key, owner)).json()["code"]
    asked = [
        said(
            http,
            "POST",
            "/api/passwords",
            f"{person.name}-{place}",
            "",
            {"username": person.name, "code": code, "password": one},
        )
        for place, one in enumerate(person.passwords)
    ]
    person.statuses = [answer.status_code for answer in await asyncio.gather(*asked)]


def test_a_code_gives_one_password_under_kill_9(local: LocalStack) -> None:
    people = [Chooser(f"chooser-{n}", (f"four words of one {n}", f"other words of two {n}")) for n in range(PEOPLE)]
    lives: list[Life] = [partial(choose, owner=local.token, person=person) for person in people]
    asyncio.run(all_at_once(local, lives, KILLED))
    with client(local) as http:
        for person in people:
            assert set(person.statuses) <= {200, 401}, person
            assert person.statuses.count(200) <= 1, "one of the two has used the code up"
            works = []
            for password in person.passwords:
                body = {"username": person.name, "password": password}
                with httpx2.Client(base_url=local.gateway_url, timeout=30, trust_env=False) as browser:
                    works.append(browser.post("/api/sign-in", json=body).status_code == 201)
            assert works.count(True) == 1, (person, works)
            assert 200 not in person.statuses or works == [status == 200 for status in person.statuses], person
        once = Counter({person.name: 1 for person in people})
        await_that("each told once", lambda: told(http, "gateway.password.changed", "chooser-") == once)
        assert http.get("/api/audit/verify").json()["valid"]


@dataclass
class Program:
    """A login: what renews it now, and all that did before."""

    name: str
    session_id: int = 0
    access: str = ""
    refresh: str = ""
    used: list[str] = field(default_factory=list)
    ended: bool = False


async def renewed(http: httpx2.AsyncClient, program: Program, refresh: str, following: str) -> httpx2.Response:
    """The same request until it is answered; no key: the two secrets say which one it is."""
    body = {"refresh_token": refresh, "next_sha256": digest_of(following).hex()}
    for _ in range(120):
        answer = await said(http, "POST", "/api/logins/renew", "", "", body)
        if answer.status_code != 409:
            return answer
        await asyncio.sleep(0.25)
    raise AssertionError(answer.text)


async def renew(http: httpx2.AsyncClient, owner: str, program: Program) -> None:
    """Logs in, renews itself some times; of every second one an old secret is used by somebody else."""
    await made(http, owner, program.name)
    number, secret = 0, None
    while secret is None:
        number += 1
        body = {"username": program.name, "label": "login"}
        answer = await said(http, "POST", "/api/tokens", f"{program.name}-token-{number}", owner, body)
        secret = answer.json()["token"]
    shown: dict[str, Any] = {}
    while "refresh_token" not in shown:  # it went with the answer: one logs in again
        number += 1
        shown = (await said(http, "POST", "/api/logins", f"{program.name}-{number}", secret)).json()
    program.session_id, program.refresh = shown["session_id"], shown["refresh_token"]
    for _ in range(RENEWALS):
        following = make_secret(REFRESH)
        answer = await renewed(http, program, program.refresh, following)
        assert answer.status_code == 200, answer.text
        program.used.append(program.refresh)
        program.access, program.refresh = answer.json()["access_token"], following
    if int(program.name.rpartition("-")[2]) % 2:
        program.ended = True
        answer = await renewed(http, program, program.used[0], make_secret(REFRESH))
        assert answer.status_code == 401, answer.text


def test_a_login_is_renewed_once_and_ends_with_a_used_secret_under_kill_9(local: LocalStack) -> None:
    programs = [Program(f"program-{number}") for number in range(PROGRAMS)]
    lives: list[Life] = [partial(renew, owner=local.token, program=program) for program in programs]
    asyncio.run(all_at_once(local, lives, KILLED, seed=13))
    with client(local) as http:
        for program in programs:
            wanted = 401 if program.ended else 200
            headers = {"Authorization": f"Bearer {program.access}"}
            await_that(f"{program} is {wanted}", partial(answered, http, headers, wanted))
            body = {"refresh_token": program.refresh, "next_sha256": digest_of(make_secret(REFRESH)).hex()}
            answer = http.post("/api/logins/renew", json=body, headers={"Authorization": ""})
            assert answer.status_code == wanted, (program, answer.text)
        over = Counter({str(program.session_id): 1 for program in programs if program.ended})
        await_that("each reuse told once", lambda: told(http, "gateway.login.reused", "program-") == over)
        ends = told(http, "gateway.session.ended", "program-")
        assert {number: count for number, count in ends.items() if number in over} == over
        assert http.get("/api/audit/verify").json()["valid"]


@dataclass
class Lent:
    """A grant, and whether it was ended before its time."""

    name: str
    grant_id: int = 0
    ended: bool = False


async def lend(http: httpx2.AsyncClient, owner: str, lent: Lent, ends_at: datetime) -> None:
    """A role is given under one key, twice; every second one is ended."""
    await made(http, owner, lent.name)
    body = {
        "username": lent.name,
        "role": "operator",
        "sites": ["global"],
        "ends_at": ends_at.isoformat(),
        "reason": "stands in",
    }
    asked = [said(http, "POST", "/api/grants", f"{lent.name}-lent", owner, body) for _ in range(2)]
    for answer in await asyncio.gather(*asked):
        assert answer.status_code == 201, answer.text
        assert lent.grant_id in (0, answer.json()["grant_id"]), "one key, one grant"
        lent.grant_id = answer.json()["grant_id"]
    if int(lent.name.rpartition("-")[2]) % 2:
        answer = await said(http, "DELETE", f"/api/grants/{lent.grant_id}", f"{lent.name}-end", owner)
        lent.ended = True
        assert answer.status_code == 200, answer.text


def test_a_role_is_lent_once_and_ends_under_kill_9(local: LocalStack) -> None:
    many = [Lent(f"lent-{number}") for number in range(LENT)]
    later, soon = datetime.now(UTC) + timedelta(hours=8), datetime.now(UTC) + timedelta(seconds=40)
    lives: list[Life] = [
        partial(lend, owner=local.token, lent=one, ends_at=soon if place % 4 == 0 else later)
        for place, one in enumerate(many)
    ]
    asyncio.run(all_at_once(local, lives, KILLED, seed=14))
    with client(local) as http:
        names = {str(one.grant_id): 1 for one in many}
        await_that("each given once", lambda: told(http, "gateway.grant.given", "lent-") == Counter(names))
        early = Counter({str(one.grant_id): 1 for one in many if one.ended})
        await_that("each end told once", lambda: early <= told(http, "gateway.grant.ended", "lent-"))
        await_that("the others' time is over", lambda: datetime.now(UTC) > soon, within_s=45)
        held = {one["grant_id"] for one in http.get("/api/grants", params={"live_only": True}).json()}
        kept = {one.grant_id for place, one in enumerate(many) if place % 4 == 2}
        assert held & {one.grant_id for one in many} == kept, "what was ended or is over is held by nobody"
        assert max(told(http, "gateway.grant.ended", "lent-").values()) == 1
        assert http.get("/api/audit/verify").json()["valid"]
