"""Every field stands where the contract says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from libs.client.errors import UsageProblem
from libs.client.requests import fields_of, operation_named, prepare
from libs.common.contracts import CONTRACTS

EVERY = [operation for contract in CONTRACTS.values() for operation in contract.operations() if operation.http]


@pytest.mark.parametrize(
    ("name", "fields", "method", "path", "params", "body"),
    [
        ("tracker.item.patch", {"item_id": 4, "status": "done", "site": "plant-1"}, "PATCH",
         "/api/ops/governance/gate/remediation/tracker/items/4", {"site": "plant-1"}, {"status": "done"}),
        ("governance.gate.run", {"gate": "release", "subject": "app", "version": "1"}, "POST",
         "/api/gates/release/runs", {}, {"subject": "app", "version": "1"}),
        ("governance.plan.get", {"gate": "release", "include_warnings": False, "subject": None}, "GET",
         "/api/gates/release/remediation", {"include_warnings": "false"}, None),
        ("gateway.site.create", {"site": "plant-1", "title": "Plant"}, "POST", "/api/sites", {},
         {"site": "plant-1", "title": "Plant"}),
        ("gateway.user.patch", {"username": "a/b ?", "display_name": None}, "PATCH", "/api/users/a%2Fb%20%3F", {},
         {"display_name": None}),
        ("gateway.token.revoke", {"token_id": 3}, "DELETE", "/api/tokens/3", {}, None),
    ],
)  # fmt: skip
def test_fields_are_placed(
    name: str, fields: dict[str, Any], method: str, path: str, params: dict[str, str], body: Any
) -> None:
    prepared = prepare(name, fields)
    assert (prepared.method, prepared.path, prepared.params) == (method, path, params)
    assert (orjson.loads(prepared.content) if isinstance(prepared.content, bytes) else None) == body


def test_a_report_goes_as_it_is_with_its_fields_in_path_and_query() -> None:
    fields = {"format": "junit", "subject": "app", "part": "unit", "site": "global"}
    prepared = prepare("governance.report.record", fields, content=b"<x/>", content_type="application/octet-stream")
    assert prepared.path == "/api/signals/junit"
    assert prepared.params == {"subject": "app", "part": "unit", "site": "global"}
    assert (prepared.content, prepared.content_type) == (b"<x/>", "application/octet-stream")


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("nothing.like.this", {}, "no operation"),
        ("governance.gate.decided", {}, "no operation"),  # an event
        ("tracker.outcomes.get", {}, "no operation"),  # not mounted
        ("tracker.item.patch", {"item_id": 1, "stauts": "done"}, "no field stauts"),
        ("tracker.item.patch", {"status": "done"}, "needs the field item_id"),
        ("gateway.users.get", {"username": ".."}, "can't be"),
        ("gateway.users.get", {"username": "."}, "can't be"),
        ("gateway.token.issue", {"label": "x", "secret_sha256": "0" * 64}, "no field secret_sha256"),
        ("gateway.users.list", {"site": "plant-1"}, "no field site"),  # concerns the installation
        ("governance.report.record", {"format": "junit"}, "needs a body"),
    ],
)
def test_what_makes_no_sense_is_refused_here(name: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageProblem, match=says):
        prepare(name, fields)


@pytest.mark.parametrize("operation", EVERY, ids=lambda operation: operation.name)
def test_every_mounted_operation_can_be_called(operation: Any) -> None:
    declared, http = operation_named(operation.name)
    fields = dict.fromkeys(fields_of(declared, http), "1")
    prepared = prepare(operation.name, fields, content=b"{}" if http.reader else None)
    assert "{" not in prepared.path
    assert prepared.method == http.method
