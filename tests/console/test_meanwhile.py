"""A dialog that was open while somebody else changed the same thing: neither undoes the other, nor is a text lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok

REFUSED = r"412 (PATCH|PUT) "


def _opened(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _sent(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.post_data or "{}")
    return body


def test_who_changes_a_name_does_not_undo_a_role(visit: Visitor, filled: Filled) -> None:
    visit.expect(REFUSED)
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": "rosa", "role": "viewer", "sites": ["global"]}))
        page = visit("/admin/users/rosa")
        _opened(page, "Change")
        ok(http.patch("/api/users/rosa", json={"role": "operator"}))
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name to show").fill("Rosa")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("Somebody has changed the user rosa since you read it")
        expect(dialog.get_by_label("Role")).to_have_value("operator")
        expect(dialog.get_by_label("Name to show")).to_have_value("Rosa")
        with page.expect_request(lambda one: one.method == "PATCH") as order:
            dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        assert _sent(order.value).keys() == {"display_name", "if_revision"}
        found = ok(http.get("/api/users/rosa"))
        assert (found["role"], found["display_name"]) == ("operator", "Rosa")


def test_what_both_changed_is_shown_beside_what_was_typed(visit: Visitor, filled: Filled) -> None:
    visit.expect(REFUSED)
    with filled.http() as http:
        ok(http.post("/api/users", json={"username": "rita", "role": "viewer", "sites": ["global"]}))
        page = visit("/admin/users/rita")
        _opened(page, "Change")
        ok(http.patch("/api/users/rita", json={"role": "operator"}))
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Role").fill("auditor")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_contain_text("By now: operator")
        expect(dialog.get_by_label("Role")).to_have_value("auditor")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        assert ok(http.get("/api/users/rita"))["role"] == "auditor"


CASES = {
    "account": (
        "/admin/accounts", "Change account builder", "/api/accounts/builder", "What for",
        {"name": "builder", "purpose": "builds", "owner": "mia", "role": "operator"},
        {"owner": "olga", "keep_tokens": True}, ("owner", "olga"),
    ),
    "team": (
        "/admin/grants", "Change team early", "/api/teams/early", "What for",
        {"team": "early", "purpose": "mornings"}, {"members": ["viktor"]}, ("members", ["viktor"]),
    ),
    "role": (
        "/admin/roles", "Change role dawn", "/api/roles/dawn", "What for",
        {"role": "dawn", "purpose": "mornings", "permissions": ["gate:read"]},
        {"permissions": ["gate:read", "gate:run"]}, ("permissions", ["gate:read", "gate:run"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_what_somebody_else_changed_stays(visit: Visitor, filled: Filled, kind: str) -> None:
    visit.expect(REFUSED)
    page_at, button, path, field, made, theirs, (name, value) = CASES[kind]
    with filled.http() as http:
        ok(http.post(path.rpartition("/")[0], json=made))
        page = visit(page_at)
        _opened(page, button)
        ok(http.patch(path, json=theirs))
        dialog = page.get_by_role("dialog")
        dialog.get_by_label(field).fill("another purpose")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("since you read it")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        found = ok(http.get(path))
        assert (found["purpose"], found[name]) == ("another purpose", value)
        assert ok(http.delete(path) if kind != "account" else http.patch(path, json={"active": False}))


def test_a_webhooks_mapping_keeps_what_somebody_else_added(visit: Visitor, filled: Filled) -> None:
    visit.expect(REFUSED)
    with filled.http() as http:
        made = ok(http.post("/api/webhooks", json={"name": "twice", "system": "github"}))
        path = f"/api/webhooks/{made['webhook_id']}"
        page = visit("/admin/webhooks")
        _opened(page, "Change twice")
        ok(http.put(path, json={"subjects": {"acme/shop": "shop"}}))
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Branches and tags that count").fill("main")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_label("Subjects")).to_have_value("acme/shop=shop")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        [found] = [one for one in ok(http.get("/api/webhooks")) if one["name"] == "twice"]
        assert (found["subjects"], found["refs"]) == ({"acme/shop": "shop"}, ["main"])
        ok(http.delete(path))


def test_saving_what_was_not_changed_orders_nothing(visit: Visitor, filled: Filled) -> None:
    with filled.http() as http:
        before = ok(http.get("/api/users/viktor"))["revision"]
        page = visit("/admin/users/viktor")
        _opened(page, "Change")
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        assert ok(http.get("/api/users/viktor"))["revision"] == before
