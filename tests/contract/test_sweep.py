"""Every route of the contracts against every kind of caller that must not pass; nothing here is written per route."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.base import Command, Operation
from libs.common.contracts.gateway.users import Role
from libs.common.contracts.roles import ROLES, SELF_SERVICE, WITHIN_SITES, may
from services.gateway.documents import openapi
from services.gateway.domain.sessions import CSRF_HEADER
from services.gateway.mount import binding_of, mounted, paths_of
from services.gateway.pages import PUBLIC
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = pytest.mark.integration

PLACE = re.compile(r"{([a-z_]+)}")
ROLE_NAMES: tuple[str, ...] = get_args(Role)
# Path-like, wildcard, huge and control-character ids. The client encodes them; a server may decode them to anything.
HOSTILE = ("a.%3E", "*", "%3E", "x" * 5000, "a%00b", "..%2F..%2Fetc", "%20", "%ED%A0%80")
NO_NUMBERS = ("-1", "1e3", "9" * 30, "0", "1.5", "%D9%A1")
ID_FIELDS = (
    "archive_id",
    "channel_id",
    "check_run_id",
    "comment_id",
    "deployment_id",
    "delivery_id",
    "grant_id",
    "halt_id",
    "item_id",
    "letter_id",
    "link_id",
    "missed_id",
    "run_id",
    "session_id",
    "share_id",
    "signal_id",
    "subscription_id",
    "token_id",
    "version",
    "waiver_id",
    "webhook_id",
)


@dataclass(frozen=True)
class Case:
    """One route."""

    operation: Operation
    method: str
    path: str

    def filled(self, value: str = "1") -> str:
        """The path with a value in every brace."""
        return PLACE.sub(value, self.path)

    async def ask(self, client: httpx2.AsyncClient, path: str, **request: Any) -> httpx2.Response:
        """Send the request; commands don't wait, since nobody answers here."""
        headers = {"Prefer": "respond-async", **request.pop("headers", {})}
        return await client.request(self.method, path, headers=headers, **request)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


CASES = [Case(operation, http.method, path) for operation, http in mounted() for path, _ in paths_of(http)]


async def everywhere(client: httpx2.AsyncClient, cases: Sequence[Case]) -> list[httpx2.Response]:
    """The answers of each route; so many at once that the last in the queue still comes within an answer's time."""
    turns = asyncio.Semaphore(32)

    async def one(case: Case) -> httpx2.Response:
        async with turns:
            return await case.ask(client, case.filled("999999"))

    return await asyncio.gather(*map(one, cases))


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the site plant-a; no other service runs, so whatever passes ends in 202, 404, 422 or 503."""
    edge = await Http(stack).open()
    await edge.site("plant-a")
    yield edge
    await edge.close()


def test_the_sweep_sees_every_route() -> None:
    documented = {
        (method.upper(), path) for path, methods in openapi.document()["paths"].items() for method in methods
    } - {
        ("GET", "/api/commands/{reference}"),
        ("GET", "/api/status"),
        ("GET", "/api/events"),
        ("GET", "/audit/checkpoint"),
        ("GET", "/audit/tile/{path}"),
        ("POST", "/api/webhooks/{webhook_id}"),
        ("POST", "/api/federation/token"),
        ("POST", "/api/sessions"),
        ("GET", "/api/sign-in"),
        ("POST", "/api/sign-in"),
        ("POST", "/api/sign-out"),
        ("GET", "/api/sign-in/{provider}/signed-out"),
        ("POST", "/api/passwords"),
        ("POST", "/api/logins"),
        ("POST", "/api/logins/renew"),
        ("GET", "/api/sign-in/{provider}"),
        ("GET", "/api/sign-in/{provider}/callback"),
        ("POST", "/api/sign-in/{provider}/backchannel-logout"),
    }
    unseen = set(documented)
    for case in CASES:
        # A field that is an enumeration is documented as one path for each value.
        pattern = re.compile(PLACE.sub("[^/]+", case.path.replace(".", r"\.")))
        found = {(method, path) for method, path in documented if method == case.method and pattern.fullmatch(path)}
        assert found, f"{case} is not documented"
        unseen -= found
    assert not unseen
    assert len(CASES) > 40
    for operation, _ in mounted():
        binding_of(operation)  # raises if a declaration contradicts itself
        assert any(may(role, operation.permission) for role in ROLES), operation.name


async def test_strangers_get_401_everywhere_but_on_the_public_pages(http: Http) -> None:
    nobody = http.of(None)
    wrong = http.of("hg_" + "A" * 43)
    malformed = http.of("nonsense")
    for case in CASES:
        for client in (nobody, wrong, malformed):
            answer = await case.ask(client, case.filled())
            assert answer.status_code == 401, case
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), case
            assert answer.headers["content-type"] == "application/problem+json", case
    assert all(not path.startswith("/api") for path in PUBLIC)


async def test_a_password_opens_nothing_but_what_says_so(http: Http) -> None:
    basic = http.of(None, Authorization="Basic " + base64.b64encode(f"owner:{OWNER}".encode()).decode())
    for case in CASES:
        assert case.operation.http is not None
        refused = (await case.ask(basic, case.filled("999999"))).status_code == 401
        assert refused is not case.operation.http.basic, case


async def test_each_role_may_exactly_what_the_table_says(http: Http) -> None:
    for role in ROLE_NAMES:
        client = http.client if role == "owner" else await http.user(f"the-{role}", role)
        # No user or token has this name or number, so that the sweep can't lock itself out.
        answers = await everywhere(client, CASES)
        for case, answer in zip(CASES, answers, strict=True):
            if may(role, case.operation.permission):
                assert answer.status_code in {200, 202, 400, 404, 415, 422, 503}, (role, str(case), answer.text)
            else:
                assert answer.status_code == 403, (role, str(case), answer.text)
                assert answer.json()["permission"] == case.operation.permission


async def test_a_role_of_ones_own_may_exactly_what_it_is_made_of(http: Http) -> None:
    held = ["audit:read", "deadletter:write", "gate:approve", "gate:read", "policy:write", "site:write"]
    made = await http.client.post("/api/roles", json={"role": "own", "permissions": held, "purpose": "a sweep"})
    assert made.status_code == 201, made.text
    client = await http.user("somebody", "own")
    answers = await everywhere(client, CASES)
    for case, answer in zip(CASES, answers, strict=True):
        if case.operation.permission in {*held, "me:read"}:
            assert answer.status_code in {200, 202, 400, 404, 415, 422, 503}, (str(case), answer.text)
        else:
            assert answer.status_code == 403, (str(case), answer.text)
            assert answer.json()["permission"] == case.operation.permission


async def test_a_narrowed_token_may_exactly_what_it_is_bound_to(http: Http) -> None:
    for bound in (["signal:write", "gate:read"], ["token:write"], ["remediation:read", "policy:write", "audit:read"]):
        answer = await http.client.post("/api/tokens", json={"label": "narrow", "permissions": bound})
        client = http.of(answer.json()["token"])
        answers = await everywhere(client, CASES)
        for case, answer in zip(CASES, answers, strict=True):
            if case.operation.permission in {*bound, "me:read"}:
                assert answer.status_code in {200, 202, 400, 404, 415, 422, 503}, (bound, str(case), answer.text)
            else:
                assert (answer.status_code, "bound" in answer.json()["detail"]) == (403, True), (bound, str(case))


async def test_a_token_for_some_subjects_reaches_nothing_that_may_be_about_others(http: Http) -> None:
    answer = await http.client.post("/api/tokens", json={"label": "narrow", "subjects": ["mine"]})
    client = http.of(answer.json()["token"])
    answers = await everywhere(client, CASES)
    passed = set()
    for case, answer in zip(CASES, answers, strict=True):
        if answer.status_code != 403:
            assert answer.status_code in {200, 202, 400, 404, 415, 422, 503}, (str(case), answer.text)
            passed.add(case.operation.permission if answer.status_code in {200, 202, 404, 503} else "")
    # What was not refused had no subject of others in it, or was refused for its form before that was looked at.
    assert passed - {""} <= {"me:read", "token:read", "token:write"}


async def test_a_session_changes_nothing_without_the_word_of_its_page(http: Http) -> None:
    answer = await http.client.post("/api/sessions")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    bare = http.of(None, Cookie=cookie)
    whole = http.of(None, Cookie=cookie, **{CSRF_HEADER: answer.json()["csrf_token"]})
    changing = [case for case in CASES if case.method != "GET"]
    answers = await everywhere(bare, changing)
    for case, answer in zip(changing, answers, strict=True):
        assert (answer.status_code, CSRF_HEADER in answer.text) == (403, True), (str(case), answer.text)
    for case in changing[::10]:  # what each role may is looked at elsewhere
        said = (await case.ask(whole, case.filled("999999"))).status_code
        assert said in {200, 202, 400, 404, 415, 422, 503}, str(case)


async def test_foreign_sites_are_forbidden_by_name_and_hidden_by_id(http: Http) -> None:
    await http.site("plant-b")
    narrow = await http.user("narrow", "owner", ["plant-a"])
    for case in CASES:
        if not case.operation.sited:
            answer = await case.ask(http.client, case.filled(), params={"site": "plant-b"})
            assert answer.status_code == 422, (str(case), "an operation without a site takes none")
            if isinstance(case.operation, Command) and case.operation.permission not in SELF_SERVICE | WITHIN_SITES:
                answer = await case.ask(narrow, case.filled())
                assert answer.status_code == 403, (str(case), "the installation needs the scope *")
            continue
        for foreign in ("plant-b", "global", "nowhere"):
            answer = await case.ask(narrow, case.filled(), params={"site": foreign})
            assert answer.status_code == 403, (str(case), foreign)
        answer = await case.ask(http.client, case.filled(), params={"site": "nowhere"})
        assert answer.status_code == 404, str(case)
        answer = await case.ask(http.client, case.filled(), params={"site": "a.>"})
        assert answer.status_code == 422, str(case)
        answer = await case.ask(narrow, case.filled())
        names_object = any(name.endswith("_id") for name in PLACE.findall(case.path))
        assert answer.status_code == (404 if names_object else 403), str(case)


async def test_hostile_ids_never_pass_the_edge(http: Http) -> None:
    before = await _stored_commands(http)
    for case in CASES:
        for name in PLACE.findall(case.path):
            for value in (*HOSTILE, *(NO_NUMBERS if name in ID_FIELDS else ())):
                path = PLACE.sub(lambda match, n=name, v=value: v if match[1] == n else "1", case.path)  # type: ignore[misc]
                answer = await case.ask(http.client, path)
                assert answer.status_code in {404, 405, 422}, (str(case), value[:20], answer.text)
                assert answer.headers["content-type"] == "application/problem+json"
    assert await _stored_commands(http) == before


async def test_unknown_and_hostile_query_parameters_never_pass_the_edge(http: Http) -> None:
    for case in CASES:
        for params in ({"surprise": "1"}, {"limit": "\x00"}, {"Site": "plant-a"}):
            answer = await case.ask(http.client, case.filled(), params=params)
            assert answer.status_code == 422, (str(case), params, answer.text)


async def test_broken_bodies_never_become_commands(http: Http) -> None:
    before = await _stored_commands(http)
    json_type = {"Content-Type": "application/json"}
    for case in CASES:
        if case.operation.http is None or case.method == "GET" or case.operation.http.reader == "report":
            continue
        for body in (b"{", b'{"x":NaN}', b"[" * 50_000, b'{"x":"\\ud800"}', b"\xff\xfe", b'{"surprise":1}', b"null"):
            answer = await case.ask(http.client, case.filled(), content=body, headers=json_type)
            assert answer.status_code in {400, 415, 422}, (str(case), body[:20], answer.text)
            assert answer.json()["trace_id"]
    assert await _stored_commands(http) == before


async def _stored_commands(http: Http) -> int:
    info = await http.stack.bus.js.stream_info(http.stack.topology.commands_stream)
    return info.state.last_seq
