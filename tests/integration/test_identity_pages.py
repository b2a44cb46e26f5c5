"""Lists of people and machines beyond a thousand: page by page, and found by the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.http_edge import Http
from tests.integration.test_passwords import VAULT, person
from tests.stack import Stack

pytestmark = pytest.mark.integration
MANY = 1_205
CROWD = """
INSERT INTO gateway.users (username, role, sites, active, created_at, display_name)
SELECT 'crowd-' || to_char(n, 'FM0000'), 'viewer', '{*}', n % 5 <> 0, now(), 'Nr ' || n FROM generate_series(1, $1) AS n
"""


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open(vault_secret=VAULT)
    yield edge
    await edge.close()


async def crowd(http: Http) -> None:
    superuser = await http.stack.superuser()
    try:
        await superuser.execute(CROWD, MANY)
    finally:
        await superuser.close()


async def pages(http: Http, path: str) -> list[list[dict[str, Any]]]:
    """All pages, as the Link of each leads to the next."""
    found: list[list[dict[str, Any]]] = []
    while True:
        answer = await http.client.get(path)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if "next" not in answer.links:
            return found
        path = answer.links["next"]["url"]


async def test_nobody_beyond_a_thousand_is_hidden(http: Http) -> None:
    await crowd(http)
    found = await pages(http, "/api/users")
    assert [len(page) for page in found] == [1_000, MANY + 1 - 1_000], "who asks as before gets a thousand, and a Link"
    names = [user["username"] for page in found for user in page]
    assert names == sorted({*names})
    some = await pages(http, "/api/users?active=false&limit=100")
    assert [len(page) for page in some] == [100, 100, 41]
    assert not any(user["active"] for page in some for user in page)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("text=CROWD-1204", ["crowd-1204"]),
        ("text=nr 1203", ["crowd-1203"]),
        ("text=owner", ["owner"]),
        ("text=crowd-1205&active=true", []),
        ("text=100%25", []),
        ("cursor=crowd-1204", ["crowd-1205", "owner"]),
    ],
)
async def test_the_server_finds_them(http: Http, query: str, names: list[str]) -> None:
    await crowd(http)
    answer = await http.client.get(f"/api/users?{query}")
    assert [user["username"] for user in answer.json()] == names
    assert "Link" not in answer.headers


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=a b", "cursor=%00", "text=%00", "text="])
async def test_what_is_no_page_is_refused(http: Http, query: str) -> None:
    for path in ("/api/users", "/api/accounts"):
        assert (await http.client.get(f"{path}?{query}")).status_code == 422, path


async def test_machines_come_in_pages(http: Http) -> None:
    for name in ("ci", "cd", "night", "probe"):
        made = {"name": name, "role": "operator", "purpose": f"runs {name}"}
        assert (await http.client.post("/api/accounts", json=made)).status_code == 201
    assert (await http.client.patch("/api/accounts/cd", json={"active": False})).status_code == 200
    found = await pages(http, "/api/accounts?limit=3")
    assert [[one["name"] for one in page] for page in found] == [["cd", "ci", "night"], ["probe"]]
    for query, names in (("active=false", ["cd"]), ("text=Runs p", ["probe"]), ("text=account:ci", ["ci"])):
        answer = await http.client.get(f"/api/accounts?{query}")
        assert [one["name"] for one in answer.json()] == names, query


async def test_who_has_a_password_is_asked_one_by_one_and_page_by_page(http: Http) -> None:
    for name in ("ann", "bob", "cem"):
        await person(http, name)
    found = await pages(http, "/api/passwords?limit=2")
    assert [[one["username"] for one in page] for page in found] == [["ann", "bob"], ["cem"]]
    assert [one["username"] for one in (await http.client.get("/api/passwords?username=bob")).json()] == ["bob"]
    assert (await http.client.get("/api/passwords?username=owner")).json() == []
