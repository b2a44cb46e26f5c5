"""Every route of a whole running Headgate against broken input, and every message against the real server's streams.

Nothing is written per route: cases come from the contracts. Whatever is sent, there is an answer below 500 that is a
problem document or a result, and never a row of another site.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.local.stack import LocalStack
from libs.common.bus import connect
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Command
from libs.common.contracts.roles import ROLES
from libs.common.topology import Topology, durables
from services.gateway.domain.sessions import CSRF_HEADER
from tests.contract.test_sweep import CASES, HOSTILE, NO_NUMBERS, Case

pytestmark = [pytest.mark.integration, pytest.mark.whole]

JSON = "application/json"
BODIES: dict[str, tuple[str, bytes]] = {
    "nothing": (JSON, b""),
    "no json": (JSON, b"{"),
    "a list": (JSON, b"[]"),
    "a number": (JSON, b"1"),
    "deep": (JSON, b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "deep list": (JSON, b"[" * 100_000),
    "a repeated name": (JSON, b'{"status":"done","status":"blocked","label":"a","label":"b"}'),
    "not a number": (JSON, b'{"limit":NaN,"max_items":Infinity}'),
    "a lone surrogate": (JSON, b'{"completion_note":"\\ud800","label":"\\udfff","title":"\\ud800"}'),
    "nul": (JSON, b'{"completion_note":"a\\u0000b","label":"a\\u0000b","title":"\\u0000"}'),
    "a raw nul": (JSON, b'{"completion_note":"a\x00b"}'),
    "5,000 digits": (JSON, b'{"max_items":' + b"9" * 5000 + b"}"),
    "a huge float": (JSON, b'{"max_items":1e999}'),
    "not utf-8": (JSON, b'{"completion_note":"\xff\xfe"}'),
    "unknown fields": (JSON, b'{"$where":"1=1","__class__":"x"}'),
    "oversize": (JSON, b'{"completion_note":"' + b"x" * (7 * 1024 * 1024) + b'"}'),
    "xml": ("application/xml", b"<a/>"),
    "a form": ("application/x-www-form-urlencoded", b"a=1&b=2"),
    "a strange type": ("text/html; charset=\xff", b"{}"),
    "a broken event": ("application/cloudevents+json", b'{"specversion":"1.0"}'),
    "a broken batch": ("application/cloudevents-batch+json", b'[{"specversion":"1.0"},1]'),
}
WRONG: tuple[object, ...] = (
    None,
    True,
    -1,
    2**70,
    1.5,
    "",
    "x" * 100_000,
    [],
    ["a"],
    {},
    {"a": 1},
    "2026-13-40T99:99:99Z",
    "\u202e",
)


@pytest.fixture(scope="module")
def owner(local_stack: LocalStack) -> Iterator[httpx2.Client]:
    """A client that may do everything, so that what it sends gets as far as it can."""
    headers = {"Authorization": f"Bearer {local_stack.token}"}
    with httpx2.Client(base_url=local_stack.gateway_url, headers=headers, timeout=30) as client:
        yield client


def sound(answer: httpx2.Response, what: str) -> None:
    """Below 500, and an error is a problem document without a trace of our insides."""
    assert answer.status_code != 429, "the sweep ran into the rate limit: it proves nothing"
    assert answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", what
        assert answer.json()["detail"], what
    assert "Traceback" not in answer.text, what


def fields_of(case: Case) -> list[str]:
    """The fields that an operation's model has."""
    operation = case.operation
    model = operation.body if isinstance(operation, Command) else operation.params
    return sorted(model.model_fields)


def dangerous(case: Case) -> bool:
    """Routes that would take the sweep's own rights away."""
    return case.operation.name in ("gateway.user.patch", "gateway.token.revoke")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_broken_input_of_every_kind_is_answered(owner: httpx2.Client, case: Case) -> None:
    path = case.filled("999999")
    for name, (content_type, body) in BODIES.items():
        headers = {b"Content-Type": content_type.encode("latin-1")}
        answer = owner.request(case.method, path, content=body, headers=headers)
        sound(answer, f"{case} with {name}")
    for value in (*HOSTILE, *NO_NUMBERS):
        if "{" in case.path:
            sound(owner.request(case.method, case.filled(value)), f"{case} with the id {value[:20]}")
        for field in (*fields_of(case), "site", "cursor"):
            sound(owner.request(case.method, f"{path}?{field}={value}"), f"{case}?{field}={value[:20]}")
    if case.method == "GET":
        return
    for field in fields_of(case):
        for wrong in WRONG:
            if dangerous(case):
                continue
            answer = owner.request(case.method, path, json={field: wrong}, headers={"Prefer": "wait=1"})
            sound(answer, f"{case} with {field}={str(wrong)[:20]}")


def test_no_answer_holds_a_row_of_another_site(owner: httpx2.Client) -> None:
    ours, theirs = f"ours-{secrets.token_hex(3)}", f"theirs-{secrets.token_hex(3)}"
    for site in (ours, theirs):
        assert owner.post("/api/sites", json={"site": site, "title": site}).status_code == 201
        event = {"specversion": "1.0", "id": site, "source": f"/{site}", "type": "ops.preflight", "data": {"at": site}}
        headers = {"Content-Type": "application/cloudevents+json"}
        sent = owner.post(f"/api/signals?site={site}", json=event, headers=headers)
        assert sent.status_code == 201, sent.text
        assert owner.post(f"/api/gates/operations/runs?site={site}", json={}).status_code == 201
        path = f"/api/ops/governance/gate/remediation/tracker/sync?site={site}"
        assert owner.post(path, json={}).status_code == 200
    for role in ("viewer", "auditor", "manager"):
        name = f"{role}-{secrets.token_hex(3)}"
        assert owner.post("/api/users", json={"username": name, "role": role, "sites": [ours]}).status_code == 201
        token = owner.post("/api/tokens", json={"username": name, "label": "sweep"}).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=owner.base_url, headers=headers, timeout=30) as scoped:
            seen = 0
            for case in CASES:
                if case.method != "GET":
                    continue
                for path in (case.filled("1"), case.filled("operations"), f"{case.filled('1')}?site={ours}"):
                    answer = scoped.get(path)
                    sound(answer, f"{case} as {role}")
                    assert theirs not in answer.text, f"{path} shows {role} a row of another site"
                    seen += ours in answer.text
            assert seen > 3, "the sweep is blind: it saw nothing of its own site"


@dataclass(frozen=True)
class Column:
    """A caller of the sweep: what it comes with, what it holds, and what the refusal of all else names."""

    name: str
    headers: dict[str, str]
    held: frozenset[str]
    said: str = ""
    changes: bool = True
    is_machine: bool = False


def columns(owner: httpx2.Client) -> Iterator[Column]:
    """Callers who hold less than a role of the table: by a role of one's own, a token, a rule, or an unproven page."""
    own = f"own-{secrets.token_hex(3)}"
    holds = ["gate:read", "gate:run", "remediation:read", "audit:read", "share:read"]
    made(owner, "/api/roles", {"role": own, "permissions": holds, "purpose": "a sweep"})
    made(owner, "/api/users", {"username": own, "role": own, "sites": ["*"]})
    token = made(owner, "/api/tokens", {"username": own, "label": "sweep"})["token"]
    yield Column("a role of one's own", bearer(token), frozenset({*holds, "me:read"}))

    bound = ["gate:read", "signal:write", "metrics:read"]
    token = made(owner, "/api/tokens", {"label": "narrow", "permissions": bound})["token"]
    yield Column("a narrowed token", bearer(token), frozenset({*bound, "me:read"}), "bound")

    rule = ["gate:read", "gate:run", "signal:write"]
    yield Column(
        "a federated token", bearer(federated(owner, rule)), frozenset({*rule, "me:read"}), "bound", is_machine=True
    )

    cookie = owner.post("/api/sessions").headers["Set-Cookie"].partition(";")[0]
    yield Column("a session without the word of its page", {"Cookie": cookie}, ROLES["owner"], CSRF_HEADER, False)


def made(owner: httpx2.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the owner made."""
    answer = owner.post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def bearer(token: str) -> dict[str, str]:
    """The header of who has this token."""
    return {"Authorization": f"Bearer {token}"}


def federated(owner: httpx2.Client, permissions: list[str]) -> str:
    """The token of a CI job, by a rule that gives it these; the issuer's keys stand in the rules."""
    name, audience = f"ci-{secrets.token_hex(3)}", "https://headgate.example.com"
    key = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "one", "alg": "RS256"}
    made(owner, "/api/accounts", {"name": name, "role": "operator", "sites": ["*"], "purpose": "a sweep"})
    issuer = {"name": name, "issuer": f"https://{name}.example.com", "audience": audience, "jwks": {"keys": [public]}}
    given = {"name": name, "issuer": name, "account": name, "permissions": permissions, "claims": {"ref": ["main"]}}
    body = {"content": {"issuers": [issuer], "rules": [given | {"sites": ["*"]}]}, "reason": "a sweep"}
    assert owner.put("/api/admin/federation", json=body).status_code == 200
    now = datetime.now(UTC)
    told = {"iss": issuer["issuer"], "aud": audience, "iat": now, "exp": now + timedelta(minutes=5), "ref": "main"}
    shown = jwt.encode(told | {"sub": "a job"}, key, "RS256", headers={"kid": "one"})
    answer = httpx2.post(f"{owner.base_url}/api/federation/token", json={"token": shown}, timeout=30)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def test_who_holds_less_than_a_role_gets_no_further_on_any_route(owner: httpx2.Client) -> None:
    for column in columns(owner):
        passed, stopped = 0, 0
        with httpx2.Client(base_url=owner.base_url, headers=column.headers, timeout=30) as client:
            for case in CASES:
                headers = {"Prefer": "wait=1"}
                answer = client.request(case.method, case.filled("999999"), headers=headers)
                what = f"{case} by {column.name}"
                sound(answer, what)
                able = case.operation.permission in column.held
                if able and column.is_machine and case.operation.http and case.operation.http.seal == "person":
                    assert (answer.status_code, "a machine" in answer.text) == (403, True), f"{what}: {answer.text}"
                elif able and (column.changes or case.method == "GET"):
                    assert answer.status_code not in (401, 403), f"{what}: {answer.text}"
                    passed += 1
                else:
                    assert (answer.status_code, column.said in answer.text) == (403, True), f"{what}: {answer.text}"
                    stopped += 1
        assert min(passed, stopped) > 10, f"the sweep is blind: {column.name} passed {passed}, was stopped {stopped}"


def covers(pattern: str, subject: str) -> bool:
    """Whether a NATS filter matches a subject."""
    left, right = pattern.split("."), subject.split(".")
    for number, token in enumerate(left):
        if token == ">":
            return len(right) > number
        if number >= len(right) or token not in ("*", right[number]):
            return False
    return len(left) == len(right)


async def test_every_message_has_a_stream_and_a_consumer_on_the_real_server(local_stack: LocalStack) -> None:
    topology = Topology()
    bus = await connect(local_stack.servers.nats_url, topology, "gateway", name="sweep")
    try:
        filters: dict[str, list[str]] = {}
        for stream, config in durables(topology):
            have = (await bus.js.consumer_info(stream, config.durable_name or "")).config
            filters.setdefault(stream, []).extend(have.filter_subjects or [have.filter_subject or ">"])
        for contract in CONTRACTS.values():
            subjects = [topology.command_subject(command.name, "an-id") for command in contract.commands]
            subjects += [topology.event_subject(event, "global") for event in contract.events]
            for subject in subjects:
                stream = await bus.js.find_stream_name_by_subject(subject)
                assert [one for one in filters[stream] if covers(one, subject)], f"nobody consumes {subject}"
            for query in contract.queries:
                answer = await bus.nats.request(topology.query_subject(query), b"{}", timeout=5)
                assert (answer.headers or {})["Status"] == "422", query.name  # somebody is there, and reads it
    finally:
        await bus.close()
