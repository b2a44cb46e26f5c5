"""Users, tokens and sites over HTTP, on real servers."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.common.contracts.gateway.tokens import token_issued, token_revoked
from libs.common.contracts.gateway.users import user_changed, user_created
from services.gateway.identity.bootstrap import BootstrapError, bootstrap
from services.gateway.service import SERVICE
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge without other services."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def test_the_first_owner_may_do_everything_everywhere(http: Http) -> None:
    answer = await http.client.get("/api/me")
    assert answer.status_code == 200
    me = answer.json()
    assert (me["username"], me["role"], me["sites"]) == ("owner", "owner", ["*"])
    assert "identity:write" in me["permissions"]
    await http.stack.heard(user_created, lambda event: event.subject == "owner")
    assert (await http.client.get("/api/sites")).json()[0]["site"] == "global"


async def test_both_headers_work_but_not_with_different_tokens(http: Http) -> None:
    assert (await http.of(None, **{"X-Admin-Token": OWNER}).get("/api/me")).status_code == 200
    assert (await http.of(OWNER, **{"X-Admin-Token": OWNER}).get("/api/me")).status_code == 200
    answer = await http.of(OWNER, **{"X-Admin-Token": "hg_" + "x" * 43}).get("/api/me")
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers
    assert "Two different tokens" in answer.json()["detail"]
    assert (await http.of(None, Authorization="Basic abc").get("/api/me")).status_code == 401


async def test_a_made_token_is_kept_in_a_private_file_and_survives_half_a_start(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = await stack.start(SERVICE, data_dir=tmp_path / "data")
    await bootstrap(running)
    path = tmp_path / "data" / "bootstrap-token"
    secret = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret in capsys.readouterr().out
    stored = await running.pool.fetchval("SELECT secret_sha256 FROM tokens")
    assert stored == hashlib.sha256(secret.encode()).digest()
    await bootstrap(running)  # a second start makes nothing and shows nothing
    assert capsys.readouterr().out == ""
    assert await running.pool.fetchval("SELECT count(*) FROM users") == 1


async def test_a_bootstrap_token_of_another_form_is_refused(stack: Stack) -> None:
    running = await stack.start(SERVICE, bootstrap_token="secret")
    with pytest.raises(BootstrapError, match="HEADGATE_BOOTSTRAP_TOKEN must be hg_"):
        await bootstrap(running)


async def test_a_token_is_shown_once_and_a_replay_says_so(http: Http) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await http.client.post("/api/tokens", json={"label": "ci"}, headers=headers)
    assert first.status_code == 201, first.text
    secret = first.json()["token"]
    assert secret.startswith("hg_")
    assert first.json()["fingerprint"] == hashlib.sha256(secret.encode()).hexdigest()[:16]
    again = await http.client.post("/api/tokens", json={"label": "ci"}, headers=headers)
    assert (again.status_code, again.json()["token"], again.json()["token_id"]) == (201, None, first.json()["token_id"])
    assert "shown once" in again.json()["note"]
    other = await http.client.post("/api/tokens", json={"label": "other"}, headers=headers)
    assert other.status_code == 422
    assert (await http.of(secret).get("/api/me")).status_code == 200
    for row in (await http.client.get("/api/tokens")).json():
        assert secret not in str(row)
    issued = await http.stack.heard(token_issued, lambda event: event.data["label"] == "ci")
    assert secret not in str(issued.data)


async def test_an_async_issue_shows_the_token_in_the_202(http: Http) -> None:
    answer = await http.client.post("/api/tokens", json={"label": "ci"}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    fingerprint = answer.json()["fingerprint"]
    await http.stack.heard(token_issued, lambda event: event.data["fingerprint"] == fingerprint)
    assert (await http.of(answer.json()["token"]).get("/api/me")).status_code == 200
    shown = await http.client.get(answer.headers["Location"])
    assert (shown.status_code, shown.json()["state"]) == (200, "done")
    assert shown.json()["result"]["fingerprint"] == fingerprint
    assert shown.json()["result"]["token"] is None


@pytest.mark.parametrize("field", ["secret_sha256", "caller_sites", "caller_bounds", "caller_token_id"])
async def test_no_caller_can_say_what_the_edge_seals(http: Http, field: str) -> None:
    answer = await http.client.post("/api/tokens", json={"label": "x", field: "0" * 64})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_a_revoked_token_stops_at_once(http: Http) -> None:
    client = await http.user("ann", "viewer")
    token_id = (await client.get("/api/me")).json()["token_id"]
    assert (await client.delete(f"/api/tokens/{token_id}")).status_code == 200
    await http.stack.heard(token_revoked, lambda event: event.data["token_id"] == token_id)
    await http.running.bus.nats.flush()
    async with asyncio.timeout(5):
        while (await client.get("/api/me")).status_code != 401:
            await asyncio.sleep(0.05)


async def test_an_expired_token_stops_though_it_is_cached(http: Http) -> None:
    issued = await http.client.post("/api/tokens", json={"label": "short", "expires_in_hours": 1})
    client = http.of(issued.json()["token"])
    assert (await client.get("/api/me")).status_code == 200
    http.stack.clock.advance(hours=1, seconds=1)
    assert (await client.get("/api/me")).status_code == 401


async def test_an_inactive_user_is_out_and_the_last_owner_stays(http: Http) -> None:
    client = await http.user("ann", "operator")
    assert (await client.get("/api/me")).status_code == 200
    answer = await http.client.patch("/api/users/ann", json={"active": False})
    assert answer.json()["active"] is False
    await http.stack.heard(user_changed, lambda event: event.subject == "ann")
    async with asyncio.timeout(5):
        while (await client.get("/api/me")).status_code != 401:
            await asyncio.sleep(0.05)
    for change in ({"role": "viewer"}, {"active": False}, {"sites": ["global"]}):
        answer = await http.client.patch("/api/users/owner", json=change)
        assert answer.status_code == 409, answer.text
        assert "last active owner" in answer.json()["detail"]
    await http.user("bob", "owner")
    assert (await http.client.patch("/api/users/bob", json={"role": "viewer"})).status_code == 200


async def test_a_narrow_token_can_not_make_a_wider_one(http: Http) -> None:
    await http.site("plant-a")
    await http.site("plant-b")
    issued = await http.client.post("/api/tokens", json={"label": "narrow", "sites": ["plant-a"]})
    narrow = http.of(issued.json()["token"])
    assert (await narrow.get("/api/me")).json()["sites"] == ["plant-a"]
    again = await narrow.post("/api/tokens", json={"label": "again"})
    assert (again.status_code, again.json()["sites"]) == (201, ["plant-a"])
    assert (await narrow.post("/api/tokens", json={"label": "b", "sites": ["plant-b"]})).status_code == 403
    answer = await narrow.post("/api/users", json={"username": "eve", "role": "owner", "sites": ["*"]})
    assert answer.status_code == 403
    assert "it reaches all sites, and you don't" in answer.json()["detail"]
    assert [row["site"] for row in (await narrow.get("/api/sites")).json()] == ["plant-a"]


async def test_a_narrow_token_can_not_revoke_a_wider_one_nor_touch_others_tokens(http: Http) -> None:
    await http.site("plant-a")
    ann = await http.user("ann", "viewer", ["plant-a"])  # her token says *, her user plant-a
    anns = (await ann.get("/api/me")).json()["token_id"]
    owners = (await http.client.get("/api/me")).json()["token_id"]
    issued = await http.client.post("/api/tokens", json={"label": "narrow", "sites": ["plant-a"]})
    narrow = http.of(issued.json()["token"])
    answer = await narrow.delete(f"/api/tokens/{owners}")
    assert (answer.status_code, "more sites" in answer.json()["detail"]) == (403, True)
    answer = await narrow.delete(f"/api/tokens/{anns}")
    assert (answer.status_code, "site scope *" in answer.json()["detail"]) == (403, True)
    answer = await narrow.post("/api/tokens", json={"label": "x", "username": "ann"})
    assert (answer.status_code, "site scope *" in answer.json()["detail"]) == (403, True)
    sealed = {"caller_sites": ["*"]}
    assert (await narrow.request("DELETE", f"/api/tokens/{owners}", json=sealed)).status_code == 422
    own = await narrow.post("/api/tokens", json={"label": "mine"})
    assert (await narrow.delete(f"/api/tokens/{own.json()['token_id']}")).status_code == 200
    assert (await ann.delete(f"/api/tokens/{anns}")).status_code == 200
    assert (await http.client.delete(f"/api/tokens/{issued.json()['token_id']}")).status_code == 200
    assert (await http.client.get("/api/me")).status_code == 200


async def test_others_tokens_are_for_those_who_may_read_or_write_identity(http: Http) -> None:
    viewer, auditor = await http.user("vera", "viewer"), await http.user("aud", "auditor")
    assert {row["username"] for row in (await viewer.get("/api/tokens")).json()} == {"vera"}
    assert (await viewer.get("/api/tokens", params={"username": "owner"})).status_code == 403
    assert {row["username"] for row in (await auditor.get("/api/tokens")).json()} == {"owner", "vera", "aud"}
    assert (await viewer.post("/api/tokens", json={"label": "x", "username": "owner"})).status_code == 403
    owners = (await http.client.get("/api/me")).json()["token_id"]
    assert (await viewer.delete(f"/api/tokens/{owners}")).status_code == 404
    assert (await http.client.post("/api/tokens", json={"label": "x", "username": "nobody"})).status_code == 404
    assert (await http.client.post("/api/tokens", json={"label": "x", "sites": ["nowhere"]})).status_code == 422


async def test_names_are_unique_and_sites_must_exist(http: Http) -> None:
    await http.site("plant-a")
    assert (await http.client.post("/api/sites", json={"site": "plant-a", "title": "x"})).status_code == 409
    await http.user("ann", "viewer")
    assert (await http.client.post("/api/users", json={"username": "ann", "role": "viewer"})).status_code == 409
    body = {"username": "ben", "role": "viewer", "sites": ["nowhere"]}
    assert (await http.client.post("/api/users", json=body)).status_code == 422
    assert (await http.client.patch("/api/users/nobody", json={"role": "viewer"})).status_code == 404
    assert (await http.client.get("/api/users/nobody")).status_code == 404
    assert (await http.client.get("/api/users/ann")).json()["role"] == "viewer"
    assert {row["username"] for row in (await http.client.get("/api/users")).json()} == {"owner", "ann"}


async def test_last_use_is_noted_off_the_request(http: Http) -> None:
    await http.client.get("/api/me")
    await http.edge.identity.store_uses()
    assert (await http.client.get("/api/tokens")).json()[0]["last_used_at"] is not None
