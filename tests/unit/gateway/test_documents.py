"""The OpenAPI and AsyncAPI documents and the reference page hold together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import GET, POST, Command, Http, Nothing, Query
from libs.common.contracts.blobs import Blob
from libs.common.contracts.tracker.items import BASE
from services.gateway.documents import asyncapi, openapi, reference
from services.gateway.mount import MountError, binding_of

IN_BODY = ("governance.gate.admit", "notifier.templates.preview", "gateway.sign_in.try")  # questions with a body


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from _refs(child)
    elif isinstance(value, list):
        for child in value:
            yield from _refs(child)


def _resolve(document: Any, ref: str) -> Any:
    assert ref.startswith("#/")
    for part in ref.removeprefix("#/").split("/"):
        document = document[part]
    return document


def test_openapi_holds_together() -> None:
    document = orjson.loads(orjson.dumps(openapi.document("https://gate.example")))
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "https://gate.example"}]
    for ref in _refs(document):
        _resolve(document, ref)
    ids = []
    for path, methods in document["paths"].items():
        places = set(re.findall(r"{([a-z_]+)}", path))
        for method, entry in methods.items():
            ids.append(entry["operationId"])
            named = {row["name"] for row in entry["parameters"] if row["in"] == "path"}
            assert named == places, (method, path)
            assert entry["x-headgate-permission"], path
            signed = entry.get("security") == []  # no role is asked
            refused = {"422", "429", "503", *(() if signed else ("403",))}
            if entry["operationId"] != "sign_in.offer":  # what it asks of nobody can't be wrong
                refused.add("401")
            assert refused <= set(entry["responses"]), path
            for status, response in entry["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
            if method != "get" and entry["operationId"] not in (*IN_BODY, "sign_in.leave"):  # who waits for nothing
                assert "202" in entry["responses"], path
    assert len(ids) == len(set(ids))


def test_nothing_that_the_edge_seals_is_asked_of_callers() -> None:
    assert b"secret_sha256" not in orjson.dumps(openapi.document()["paths"])
    assert b"caller_sites" not in orjson.dumps(openapi.document()["paths"])


def test_csv_twins_are_documented() -> None:
    paths = openapi.document()["paths"]
    for path in ("/api/audit/entries.csv", "/api/ops/governance/gate/remediation/csv"):
        assert list(paths[path]["get"]["responses"]["200"]["content"]) == ["text/csv"]


def test_an_answer_that_is_a_file_says_of_which_kind() -> None:
    paths = openapi.document()["paths"]
    feed = paths[f"{BASE}/items.ics"]["get"]
    assert list(feed["responses"]["200"]["content"]) == ["text/calendar"]
    assert list(paths["/api/signals/{signal_id}/report"]["get"]["responses"]["200"]["content"]) == [
        "application/octet-stream"
    ]
    by_basic = [path for path, methods in paths.items() for one in methods.values() if "security" in one]
    known = ["/api/federation/token", "/api/freezes.ics", "/api/gates/{gate}/forecast.ics", "/api/logins/renew"]
    known += [f"{BASE}/items.ics", "/api/passwords", "/api/sign-in", "/api/sign-in"]  # GET and POST
    known += [f"/api/sign-in/{{provider}}{way}" for way in ("", "/backchannel-logout", "/callback", "/signed-out")]
    assert by_basic == [*known, "/api/webhooks/{webhook_id}"], "nothing else is asked without a token"
    assert paths["/api/webhooks/{webhook_id}"]["put"].get("security") is None
    assert {"basic": []} in feed["security"]


@pytest.mark.parametrize(
    ("http", "result"),
    [
        (GET("/x", file="text/plain"), Nothing),
        (GET("/x"), Blob),
        (GET("/x", file="text/plain", bucket="nowhere"), Blob),
        (GET("/x", bucket="reports"), Nothing),
    ],
)
def test_a_file_that_can_not_be_answered_is_not_mounted(http: Http, result: Any) -> None:
    with pytest.raises(MountError):
        binding_of(Query("gateway.paper.get", result=result, permission="me:read", http=http))


def test_a_bare_list_that_goes_on_takes_a_cursor_and_a_limit() -> None:
    with pytest.raises(MountError, match="cursor"):
        binding_of(Query("gateway.paper.list", result=list[str], permission="me:read", http=GET("/x", after="name")))


def test_nothing_that_changes_anything_takes_a_password() -> None:
    with pytest.raises(MountError, match="Basic"):
        binding_of(Command("gateway.paper.fold", permission="me:read", http=POST("/x", basic=True)))


def test_asyncapi_holds_together() -> None:
    document = orjson.loads(orjson.dumps(asyncapi.document()))
    assert document["asyncapi"] == "3.0.0"
    for ref in _refs(document):
        _resolve(document, ref)
    events = {event.name for contract in CONTRACTS.values() for event in contract.events}
    assert set(document["channels"]) == set(document["operations"]) == events


def test_the_page_names_everything_and_loads_nothing() -> None:
    page = reference.page(openapi.document())
    for path in openapi.document()["paths"]:
        assert path in page
    assert not re.search(r'src=|href="(?:[a-z]+:|//)', page)
