"""Tokens that may less than their users: operations, subjects, networks; on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.token_survey import survey_tokens
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.integration.bus_guest import until
from tests.integration.test_token_lives import publish, shown
from tests.stack import Stack

pytestmark = pytest.mark.integration
CI: dict[str, Any] = {"permissions": ["signal:write", "gate:run", "gate:read"], "subjects": ["app-*", "lib"]}
JUNIT = b'<testsuite tests="1" failures="0"><testcase classname="t" name="a"/></testsuite>'
EVENT = {"specversion": "1.0", "source": "/ci", "type": "tests.unit", "data": {}}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the gates behind it."""
    await stack.start(make_service(packaged_policies()))
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def narrow(http: Http, by: Any = None, **bounds: Any) -> tuple[int, httpx2.AsyncClient]:
    """A token bound like this: its number, and a client that comes with it."""
    answer = await (by or http.client).post("/api/tokens", json={"label": "narrow", **bounds})
    assert answer.status_code == 201, answer.text
    return answer.json()["token_id"], http.of(answer.json()["token"])


async def junit(client: httpx2.AsyncClient, **params: str) -> int:
    """How it ends to send a report."""
    answer = await client.post("/api/signals/junit", params={"version": "1.0", **params}, content=JUNIT)
    if answer.status_code == 403:
        assert "subject" in answer.json()["detail"]
    return answer.status_code


async def test_a_pipelines_token_may_what_it_is_for_and_nothing_else(http: Http) -> None:
    _, client = await narrow(http, **CI)
    assert await junit(client, subject="app-web") == 201
    assert await junit(client, subject="lib") == 201
    for other in ("app", "lib2", "payments", "*"):
        assert await junit(client, subject=other) == 403
    assert await junit(client) == 403, "it may be about anything"
    assert (await client.get("/api/gates/release/runs", params={"subject": "lib"})).status_code == 200
    assert (await client.get("/api/gates/release/runs")).status_code == 403
    assert (await client.get("/api/gates/release/runs/1")).status_code == 403, "a thing by its number is of any subject"
    run = await client.post("/api/gates/release/runs", json={"subject": "lib", "version": "1.0"})
    assert run.status_code == 201, run.text
    assert (await client.post("/api/gates/release/runs", json={"subject": "x", "version": "1.0"})).status_code == 403
    assert (await client.get("/api/events")).status_code == 403
    answer = await client.get("/api/users")
    assert (answer.status_code, "your token is not bound" in answer.json()["detail"]) == (403, True)
    assert answer.json()["permission"] == "identity:read"


async def test_subjects_alone_close_what_names_none(http: Http) -> None:
    _, client = await narrow(http, subjects=["lib"])
    for path in ("/api/events", "/api/status", "/audit/checkpoint", "/api/audit/entries?subject=lib", "/api/facts"):
        async with client.stream("GET", path) as answer:  # one of them would never end
            assert answer.status_code == 403, path
            assert "bound to subjects" in (await answer.aread()).decode(), path
    assert (await client.get("/api/facts", params={"subject": "lib"})).status_code == 200
    # It names one of its own, and a thing by its number, which may be of any.
    body = {"subject": "lib", "reason": "it says what is not so"}
    answer = await client.post("/api/facts/1/retire", json=body)
    assert (answer.status_code, "bound to subjects" in answer.text) == (403, True), answer.text


async def test_each_event_of_a_batch_is_looked_at(http: Http) -> None:
    _, client = await narrow(http, **CI)
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    stored = "SELECT count(*) FROM signals"
    pool = http.stack.running["governance"].pool
    for subjects, params in (
        (["lib", "payments"], {}),
        (["lib", None], {}),
        (["lib", None], {"subject": "payments"}),
        ([None], {}),
        (["payments"], {"subject": "lib"}),
    ):
        events = [{**EVENT, "id": str(n), **({"subject": s} if s else {})} for n, s in enumerate(subjects)]
        answer = await client.post("/api/signals", json=events, headers=headers, params=params)
        assert answer.status_code == 403, (subjects, answer.text)
    assert await pool.fetchval(stored) == 0
    events = [{**EVENT, "id": "1", "subject": "lib"}, {**EVENT, "id": "2"}]
    answer = await client.post("/api/signals", json=events, headers=headers, params={"subject": "app-web"})
    assert answer.status_code != 403, answer.text


async def test_a_report_that_names_its_subjects_inside_is_refused(http: Http) -> None:
    _, client = await narrow(http, **CI)
    params = {"subject": "lib", "subject_label": "service"}
    answer = await client.post("/api/signals/alertmanager", params=params, json={"version": "4", "alerts": []})
    assert answer.status_code == 403, answer.text


async def test_me_tells_what_a_token_is_bound_to(http: Http) -> None:
    _, client = await narrow(http, **CI, cidrs=["127.0.0.0/8"])
    me = (await client.get("/api/me")).json()
    assert (me["narrowed"], me["subjects"], me["cidrs"]) == (True, ["app-*", "lib"], ["127.0.0.0/8"])
    assert me["permissions"] == ["gate:read", "gate:run", "me:read", "signal:write"]
    whole = (await http.client.get("/api/me")).json()
    assert (whole["narrowed"], whole["subjects"], "identity:write" in whole["permissions"]) == (False, None, True)


async def test_a_token_works_from_its_networks_only(http: Http) -> None:
    elsewhere, client = await narrow(http, cidrs=["10.0.0.0/8", "2001:db8::/32"])
    answer = await client.get("/api/me")
    assert (answer.status_code, "does not work from 127.0.0.1" in answer.json()["detail"]) == (403, True)
    assert "10.0.0.0" not in answer.text, "a thief is not told from where it works"
    await http.edge.identity.store_uses()
    assert (await shown(http, elsewhere))["last_used_at"] is None, "what is refused is no use"
    _, here = await narrow(http, cidrs=["10.0.0.0/8", "127.0.0.1"])
    assert (await here.get("/api/me")).status_code == 200


async def test_strangers_with_a_stolen_token_are_limited_by_address(stack: Stack) -> None:
    http = await Http(stack).open(anonymous_requests_per_minute=3)
    _, client = await narrow(http, cidrs=["10.0.0.0/8"])
    answers = [(await client.get("/api/me")).status_code for _ in range(5)]
    assert answers == [403, 403, 403, 429, 429]
    await http.close()


@pytest.mark.parametrize(
    ("bounds", "word"),
    [
        ({"permissions": []}, "permissions"),
        ({"permissions": ["everything"]}, "permissions"),
        ({"permissions": ["*"]}, "permissions"),
        ({"permissions": ["root:write"]}, "does not hold root:write"),
        ({"permissions": ["signal:write\n"]}, "permissions"),
        ({"permissions": None, "subjects": []}, "subjects"),
        ({"subjects": ["a\x00b"]}, "NUL"),
        ({"subjects": ["a\u202eb"]}, "subjects"),
        ({"subjects": ["x" * 202]}, "subjects"),
        ({"subjects": ["x"] * 51}, "subjects"),
        ({"cidrs": []}, "cidrs"),
        ({"cidrs": ["10.0.0.1/8"]}, "has host bits set"),
        ({"cidrs": ["all"]}, "write a network as"),
        ({"cidrs": ["10.0.0.0/8; DROP TABLE tokens"]}, "write a network as"),
        ({"caller_bounds": {}}, "caller_bounds"),
        ({"caller_token_id": 1}, "caller_token_id"),
    ],
)
async def test_what_binds_to_nothing_is_refused(http: Http, bounds: dict[str, Any], word: str) -> None:
    answer = await http.client.post("/api/tokens", json={"label": "x", **bounds})
    assert (answer.status_code, word in answer.text) == (422, True), answer.text


async def test_a_role_that_does_not_hold_it_is_named(http: Http) -> None:
    viewer = await http.user("vera", "viewer")
    answer = await viewer.post("/api/tokens", json={"label": "x", "permissions": ["signal:write"]})
    assert (answer.status_code, "The role viewer does not hold signal:write" in answer.json()["detail"]) == (422, True)


async def test_a_token_loses_what_its_user_loses(http: Http) -> None:
    operator = await http.user("oscar", "operator")
    _, client = await narrow(http, operator, permissions=["signal:write"])
    assert await junit(client, subject="lib") == 201
    await http.client.patch("/api/users/oscar", json={"role": "viewer"})
    async with asyncio.timeout(5):
        while (await client.post("/api/signals/junit", params={"subject": "lib"}, content=JUNIT)).status_code != 403:
            await asyncio.sleep(0.05)


async def test_nothing_wider_is_made_by_a_narrow_token(http: Http) -> None:
    mine = ["token:write", "token:read", "signal:write"]
    number, client = await narrow(http, permissions=mine, subjects=["app-*"], cidrs=["127.0.0.0/8"])
    _, inherits = await narrow(http, client)
    me = (await inherits.get("/api/me")).json()
    assert (me["permissions"], me["subjects"], me["cidrs"]) == (sorted([*mine, "me:read"]), ["app-*"], ["127.0.0.0/8"])
    narrower = {"permissions": ["signal:write"], "subjects": ["app-web"], "cidrs": ["127.0.0.1"]}
    await narrow(http, client, **narrower)
    for wider in ({"permissions": ["gate:run"]}, {"subjects": ["*"]}, {"subjects": ["app*"]}, {"cidrs": ["0.0.0.0/0"]}):
        answer = await client.post("/api/tokens", json={"label": "x", **wider})
        assert (answer.status_code, "reach further than yours" in answer.text) == (403, True), answer.text
    # Nor may it act for others, end a wider one, or take its place: its user is an owner, it is not.
    await http.user("ann", "viewer")
    anns = next(row["token_id"] for row in (await http.client.get("/api/tokens")).json() if row["username"] == "ann")
    assert (await client.post("/api/tokens", json={"label": "x", "username": "ann"})).status_code == 403
    assert (await client.delete(f"/api/tokens/{anns}")).status_code == 404
    for request in (
        client.delete("/api/tokens/1"),
        client.post("/api/tokens/1/rotate", json={}),
        client.post("/api/users/owner/tokens/revoke", json={}),
    ):
        answer = await request
        assert answer.status_code == 403, answer.text
    assert (await client.post("/api/users/ann/tokens/revoke", json={})).status_code == 404
    assert {row["username"] for row in (await client.get("/api/tokens")).json()} == {"owner"}
    rotated = await client.post(f"/api/tokens/{number}/rotate", json={"overlap_minutes": 0})
    assert rotated.status_code == 201, rotated.text
    me = (await http.of(rotated.json()["token"]).get("/api/me")).json()
    assert (me["subjects"], me["cidrs"]) == (["app-*"], ["127.0.0.0/8"])


async def test_a_narrow_token_pushes_no_wider_one_out(http: Http) -> None:
    wide, _ = await narrow(http)
    _, client = await narrow(http, permissions=["token:write"])
    await publish(http, max_active_per_user=3)
    answer = await client.post("/api/tokens", json={"label": "x"})
    assert (answer.status_code, "may not end the oldest" in answer.text) == (409, True)
    assert (await shown(http, wide))["revoked_at"] is None


async def test_it_makes_no_subscriber_for_others(http: Http) -> None:
    await http.user("mia", "manager")
    _, client = await narrow(http, permissions=["subscriber:write"])
    body = {"name": "theirs", "owner": "mia", "types": ["tracker.*"]}
    answer = await client.post("/api/subscribers", json=body)
    assert (answer.status_code, "of your own only" in answer.text) == (403, True), answer.text
    theirs = await http.client.post("/api/subscribers", json=body)
    number = theirs.json()["subscriber_id"]
    assert (await client.delete(f"/api/subscribers/{number}")).status_code == 404


async def test_outcomes_of_what_it_may_not_do_are_not_shown(http: Http) -> None:
    body = {"username": "ann", "role": "viewer"}
    sent = await http.client.post("/api/users", json=body, headers={"Prefer": "respond-async"})
    place = sent.headers["Location"]
    _, client = await narrow(http, permissions=["signal:write"])
    assert (await client.get(place)).status_code == 404
    assert (await http.client.get(place)).status_code == 200


async def test_a_narrow_token_reads_nothing_of_its_siblings(http: Http) -> None:
    _, one = await narrow(http, permissions=["signal:write"], subjects=["app-*"])
    _, other = await narrow(http, permissions=["signal:write"], subjects=["lib"])
    key = {"Idempotency-Key": "of-a-pipeline"}

    async def tell(client: httpx2.AsyncClient, subject: str, **more: str) -> httpx2.Response:
        params = {"version": "1.0", "subject": subject}
        return await client.post("/api/signals/junit", params=params, content=JUNIT, headers=key | more)

    wide = await tell(http.client, "app-api")
    mine, again = await tell(one, "app-web"), await tell(one, "app-web")
    assert [answer.status_code for answer in (wide, mine, again)] == [201, 201, 201], mine.text
    assert again.json() == mine.json()
    assert (await tell(one, "app-api")).status_code == 422, "of its own it is used up"
    assert (await tell(other, "lib")).status_code == 201, "a key is used up for nobody else"
    late = await tell(one, "app-late", Prefer="respond-async", **{"Idempotency-Key": "another"})
    place = late.headers["Location"]

    async def done() -> bool:
        found: str = (await http.client.get(place)).json()["state"]
        return found == "done"

    await until("done", done)
    assert (await http.client.get(place)).json()["result"] is not None
    told = (await other.get(place)).json()
    assert (told["state"], told.get("result")) == ("done", None)


async def test_a_bound_token_is_not_told_from_where_its_person_comes(http: Http) -> None:
    opened = await http.client.post("/api/sessions", headers={"User-Agent": "Lynx/2.9"})
    assert opened.status_code == 201
    _, client = await narrow(http, permissions=["gate:read"])
    (hidden,) = (await client.get("/api/me/sessions")).json()
    (told,) = (await http.client.get("/api/me/sessions")).json()
    assert (hidden["session_id"], hidden["address"], hidden["agent"]) == (told["session_id"], "", "")
    assert (told["address"], told["agent"]) == ("127.0.0.1", "Lynx/2.9")


async def test_networks_that_hold_nearly_all_bind_to_nothing(http: Http) -> None:
    numbers = {}
    for cidr in ("0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3", "10.0.0.0/8", "2001:db8::/32"):
        numbers[(await narrow(http, cidrs=["192.0.2.1/32", cidr]))[0]] = cidr
    found = await http.stack.query(survey_tokens, {})
    wide = {numbers[one["token_id"]] for one in found.json["wildcard"]["items"] if one["token_id"] in numbers}
    assert wide == {"0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3"}
