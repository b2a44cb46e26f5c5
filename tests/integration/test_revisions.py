"""Nobody undoes unseen what somebody else changed meanwhile: an order may say which revision it is about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration


class Thing(NamedTuple):
    """How one is made, how somebody changes it, and what another one changes who has not seen that."""

    place: str
    made: dict[str, Any]
    theirs: dict[str, Any]
    mine: dict[str, Any]


THINGS = {
    "user": Thing(
        "/api/users/ida", {"username": "ida", "role": "viewer"}, {"role": "operator"}, {"display_name": "Ida"}
    ),
    "account": Thing(
        "/api/accounts/ci",
        {"name": "ci", "role": "operator", "purpose": "builds", "owner": "ann"},
        {"owner": "bob", "keep_tokens": True},
        {"purpose": "builds by night"},
    ),
    "team": Thing("/api/teams/ops", {"team": "ops", "purpose": "x"}, {"members": ["ann"]}, {"purpose": "nights"}),
    "role": Thing(
        "/api/roles/lead",
        {"role": "lead", "purpose": "x", "permissions": ["gate:read"]},
        {"permissions": ["gate:read", "gate:run"]},
        {"purpose": "leads"},
    ),
    "webhook": Thing(
        "/api/webhooks/{webhook_id}",
        {"name": "forge", "system": "github"},
        {"subjects": {"acme/shop": "shop"}},
        {"refs": ["main"]},
    ),
}

# Looked up anew for each answer.
COUNTED = ("user_count", "live_token_count", "last_used_at")


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge that can make secrets, with ann and bob."""
    edge = await Http(stack).open(webhook_secret=SecretStr("of this installation"))
    for name in ("ann", "bob"):
        await edge.user(name, "operator")
    yield edge
    await edge.close()


@pytest.mark.parametrize("kind", THINGS)
async def test_what_has_changed_since_it_was_read_is_not_overwritten(http: Http, kind: str) -> None:
    thing = THINGS[kind]
    method = "PUT" if kind == "webhook" else "PATCH"
    made = await http.client.post(thing.place.rpartition("/")[0], json=thing.made)
    assert made.status_code == 201, made.text
    path, first = thing.place.format(**made.json()), made.json()["revision"]
    changed = await http.client.request(method, path, json=thing.theirs | {"if_revision": first})
    assert changed.status_code == 200, changed.text
    assert changed.json()["revision"] > first

    late = await http.client.request(method, path, json=thing.mine | {"if_revision": first})
    assert (late.status_code, late.json()["revision"]) == (412, changed.json()["revision"]), late.text
    tagged = {"If-Match": f'"{first}-{"0" * 32}"'}
    assert (await http.client.request(method, path, json=thing.mine, headers=tagged)).status_code == 412
    listed = (await http.client.get(thing.place.rpartition("/")[0])).json()
    kept = {name: value for name, value in changed.json().items() if name not in COUNTED}
    assert any({**one, **kept} == one for one in listed), "nothing of it was done"

    seen = {"If-Match": f'"{changed.json()["revision"]}-{"0" * 32}"'}
    whole = {**thing.theirs, **thing.mine} if kind == "webhook" else thing.mine
    done = await http.client.request(method, path, json=whole, headers=seen)
    assert done.status_code == 200, done.text
    wanted = {name: value for name, value in {**thing.theirs, **thing.mine}.items() if name != "keep_tokens"}
    assert {name: done.json()[name] for name in wanted} == wanted, "both changes are there"
    blind = await http.client.request(method, path, json=whole)
    assert blind.status_code == 200, "who says nothing of it is not asked"


@pytest.mark.parametrize("kind", [one for one in THINGS if one != "webhook"])
async def test_what_is_read_has_the_tag_to_change_it_with(http: Http, kind: str) -> None:
    thing = THINGS[kind]
    assert (await http.client.post(thing.place.rpartition("/")[0], json=thing.made)).status_code == 201
    tag = (await http.client.get(thing.place)).headers["ETag"]
    assert (await http.client.patch(thing.place, json=thing.theirs, headers={"If-Match": tag})).status_code == 200
    assert (await http.client.patch(thing.place, json=thing.mine, headers={"If-Match": tag})).status_code == 412


async def test_each_change_of_a_webhook_counts(http: Http) -> None:
    thing = THINGS["webhook"]
    made = (await http.client.post("/api/webhooks", json=thing.made)).json()
    path = f"/api/webhooks/{made['webhook_id']}"
    rotated = (await http.client.post(f"{path}/rotate", json={})).json()
    changed = (await http.client.put(path, json=thing.mine)).json()
    removed = (await http.client.delete(path)).json()
    assert [one["revision"] for one in (made, rotated, changed, removed)] == [1, 2, 3, 4]
    gone = await http.client.put(path, json={**thing.mine, "if_revision": 3})
    assert gone.status_code == 404, "what is gone has no revision"
