"""What is offered on the pages of the administration is what the API will do for who reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.console.conftest import Visitor
from tests.console.filling import PEOPLE, Filled, ok

READERS = ("auditor", "manager")  # of all of identity, of which they administer nothing or little


@pytest.fixture(scope="module", autouse=True)
def machines(filled: Filled) -> Iterator[None]:
    """A machine of each reader's own and one of somebody else's, each with a token; and who reads the bus."""
    with filled.http() as http:
        for role in (*READERS, "operator"):
            name = f"of-{PEOPLE[role]}"
            ok(http.post("/api/accounts", json={"name": name, "owner": PEOPLE[role], "role": "viewer", "purpose": "x"}))
            issued = {"username": f"account:{name}", "label": name, "permissions": ["gate:read"]}
            ok(http.post("/api/tokens", json=issued))
    with filled.http("operator") as http:
        reader = ok(http.post("/api/subscribers", json={"name": "lake", "types": ["governance.gate.decided"]}))
    yield
    with filled.http() as http:
        ok(http.delete(f"/api/subscribers/{reader['subscriber_id']}"))
        for role in (*READERS, "operator"):
            ok(http.patch(f"/api/accounts/of-{PEOPLE[role]}", json={"active": False}))


@pytest.mark.parametrize("role", READERS)
def test_tokens_of_others_are_read_and_ones_own_are_ended(visit: Visitor, filled: Filled, role: str) -> None:
    with filled.http(role) as http:
        ok(http.post("/api/tokens", json={"label": f"spare of {role}"}))
    page = visit("/admin/tokens", role=role)
    rows = page.get_by_role("row")
    own = rows.filter(has_text=f"spare of {role}")
    expect(own.get_by_role("button")).to_have_count(2)
    expect(rows.filter(has_text=f"account:of-{PEOPLE[role]}").get_by_role("button")).to_have_count(2)
    for other in (f"account:of-{PEOPLE['operator']}", "viktor"):
        expect(rows.filter(has_text=other).first).to_be_visible()
        expect(rows.filter(has_text=other).get_by_role("button")).to_have_count(0)
    own.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(own).to_have_count(0)


@pytest.mark.parametrize("role", READERS)
def test_all_tokens_are_revoked_by_their_holder(visit: Visitor, role: str) -> None:
    page = visit("/admin/users/olga", role=role)
    expect(page.get_by_role("heading", level=1)).to_have_text("olga")
    expect(page.locator("dl.facts")).to_be_visible()
    expect(page.get_by_role("button", name="Revoke all tokens")).to_have_count(0)
    page.goto(f"/console/admin/users/{PEOPLE[role]}")
    expect(page.get_by_role("button", name="Revoke all tokens")).to_be_visible()


def test_an_owner_ends_what_is_anybodys(visit: Visitor) -> None:
    page = visit("/admin/tokens?user=account:of-olga")
    row = page.get_by_role("row").filter(has_text="account:of-olga")
    expect(row.get_by_role("button")).to_have_count(2)
    page.goto("/console/admin/users/olga")
    expect(page.get_by_role("button", name="Revoke all tokens")).to_be_visible()
    page.goto("/console/admin/webhooks")
    expect(page.get_by_role("button", name="Remove lake")).to_be_visible()


@pytest.mark.parametrize("role", READERS)
def test_readers_of_the_bus_are_removed_by_who_has_them(visit: Visitor, role: str) -> None:
    page = visit("/admin/webhooks", role=role)
    expect(page.get_by_role("row").filter(has_text="lake")).to_be_visible()
    expect(page.get_by_role("button", name="Remove lake")).to_have_count(0)
