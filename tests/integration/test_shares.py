"""Share links on real edges and services: what opens them, what ends them, and what they never let out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import orjson
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.shares import share_created, share_revoked, share_used
from libs.judge.capsule import check
from libs.judge.token_text import checksum
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.integration.bus_guest import until
from tests.stack import Stack

pytestmark = pytest.mark.integration
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Desk:
    """A manager who shares, and a stranger who opens."""

    def __init__(self, http: Http, manager: httpx2.AsyncClient, run: dict[str, Any]) -> None:
        self.http, self.manager, self.run = http, manager, run
        self.stranger = http.of(None)

    async def share(self, **more: Any) -> dict[str, Any]:
        """A new share; by default of the run."""
        body = {"kind": "run", "gate": "operations", "run_id": self.run["run_id"]} | more
        body = {name: value for name, value in body.items() if value is not None}
        answer = await self.manager.post("/api/shares", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def open(self, token: str, client: httpx2.AsyncClient | None = None, **more: Any) -> httpx2.Response:
        """As a program does."""
        return await (client or self.stranger).post("/s", json={"token": token}, **more)

    async def press(self, token: str, as_: str = "page", **headers: str) -> httpx2.Response:
        """As a person's browser does."""
        return await self.stranger.post("/s", data={"token": token, "as": as_}, headers=headers)


@pytest_asyncio.fixture
async def desk(stack: Stack) -> AsyncIterator[Desk]:
    edge = await Http(stack).open()
    await stack.start(make_service(packaged_policies()), TRACKER)
    manager = await edge.user("mia", "manager")
    answer = await edge.client.post("/api/gates/operations/runs", json={})
    assert answer.status_code == 201, answer.text
    await stack.idle("tracker")
    yield Desk(edge, manager, answer.json())
    await edge.close()


async def test_whoever_has_the_link_sees_the_thing_and_nothing_else(desk: Desk) -> None:
    made = await desk.share(label="for acme")
    assert (made["path"], re.fullmatch("hgs_[0-9A-Za-z]{49}", made["token"]) is not None) == ("/s#", True)
    shown = await desk.open(made["token"], headers={"user-agent": "acme"})
    assert shown.status_code == 200, shown.text
    told = shown.json()
    assert {name: told[name] for name in ("kind", "site", "gate", "shown")} == {
        "kind": "run", "site": "global", "gate": "operations", "shown": desk.run,
    }  # fmt: skip
    assert "for acme" not in shown.text
    used = await desk.http.stack.heard(share_used)
    assert (used.actor, used.data["use"]) == (f"share:{made['share_id']}", 1)
    assert used.data["changes"] == [{"field": "use_count", "before": 0, "after": 1, "masked": False}]
    assert "127.0.0.1" not in str(used.data)
    for client, whence in ((desk.manager, ("***", "***")), (desk.http.client, ("127.0.0.1", "acme"))):
        uses = (await client.get(f"/api/shares/{made['share_id']}/uses")).json()
        assert [(one["use"], one["address"], one["agent"]) for one in uses] == [(1, *whence)]
    listed = (await desk.manager.get("/api/shares", params={"active_only": True})).json()
    assert [(one["share_id"], one["use_count"], one["label"]) for one in listed] == [(made["share_id"], 1, "for acme")]
    assert made["token"] not in str(listed)
    # It is no token: it opens nothing of the API.
    assert (await desk.http.of(made["token"]).get("/api/me")).status_code == 401
    for event in (share_created, share_used):
        assert made["token"] not in str((await desk.http.stack.heard(event)).data)


async def test_each_kind_is_shown_as_a_page_in_both_languages(desk: Desk) -> None:
    run_id = None
    for more, english, korean in (
        ({}, "Verdict", "판정"),
        ({"kind": "capsule"}, "Decision capsule", "결정 캡슐"),
        ({"kind": "plan", "run_id": run_id}, "Remediation plan", "조치 계획"),
        ({"kind": "board", "run_id": run_id}, "Remediation board", "조치 보드"),
    ):
        token = (await desk.share(**more))["token"]
        page = await desk.press(token)
        assert (page.status_code, f"<h1>{english}</h1>" in page.text) == (200, True), page.text
        assert "operations" in page.text
        page = await desk.press(token, **{"accept-language": "ko"})
        assert (page.status_code, f"<h1>{korean}</h1>" in page.text) == (200, True)
        assert token not in page.text
        file = await desk.press(token, "file")
        assert file.headers["content-disposition"].startswith("attachment")
        assert file.headers["content-type"].startswith("application/json")
        assert orjson.loads(file.content)
    board = (await desk.open(token)).json()
    assert board["shown"]["active_count"] == len(board["items"]) > 0


async def test_a_capsule_comes_as_its_file(desk: Desk) -> None:
    token = (await desk.share(kind="capsule"))["token"]
    mine = await desk.manager.get(f"/api/gates/operations/runs/{desk.run['run_id']}/capsule")
    assert (await desk.open(token)).content == (await desk.press(token, "file")).content == mine.content
    assert orjson.loads(mine.content)
    assert check(mine.content, {})[1] is not None


async def test_the_page_opens_nothing_and_may_nothing_but_send_its_form(desk: Desk) -> None:
    made = await desk.share()
    for method in ("GET", "HEAD", "GET"):
        page = await desk.stranger.request(method, "/s")
        assert page.status_code == 200
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; base-uri 'none'; form-action "
        r"'self'; frame-ancestors 'none'",
        page.headers["content-security-policy"],
    )
    for answer in (page, await desk.open(made["token"]), await desk.press(made["token"])):
        assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert "access-control-allow-origin" not in answer.headers
    for site in ("cross-site", "same-site"):
        refused = await desk.press(made["token"], **{"sec-fetch-site": site})
        assert (refused.status_code, "Nothing was opened" in refused.text) == (400, True)
    assert (await desk.press(made["token"], **{"sec-fetch-site": "same-origin"})).status_code == 200
    whole = await desk.press(f" https://gate.example/s#{made['token']} ")
    assert whole.status_code == 200, "the whole link was pasted"
    assert (await desk.manager.get("/api/shares")).json()[0]["use_count"] == 4


async def test_what_says_something_else_opens_nothing(desk: Desk) -> None:
    for content in (b"", b"token=a&token=b", b"token=a&as=x", b"as=page", b"token=a&x=1", b"token=\xff", b"&" * 2000):
        answer = await desk.stranger.post("/s", content=content, headers=FORM)
        assert (answer.status_code, "Nothing was opened" in answer.text) == (400, True), content
    mistakes: list[Any] = [{}, {"token": 1}, {"token": "a", "x": 1}, [], "a"]
    for body in mistakes:
        answer = await desk.stranger.post("/s", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), body


async def test_all_that_opens_nothing_is_one_answer(desk: Desk) -> None:
    revoked, used, over = await desk.share(), await desk.share(max_uses=1), await desk.share(expires_in_hours=1)
    assert (await desk.open(used["token"])).status_code == 200
    assert (await desk.manager.delete(f"/api/shares/{revoked['share_id']}")).status_code == 200
    told = await desk.http.stack.heard(share_revoked)
    assert [(one["field"], one["after"]) for one in told.data["changes"]][1:] == [("revoked_by", "mia")]
    again = await desk.manager.delete(f"/api/shares/{revoked['share_id']}")
    assert again.json()["revoked_at"] == told.data["revoked_at"]
    desk.http.stack.clock.advance(hours=1)
    good = await desk.share()
    token = good["token"]
    body = ("B" if token[4] == "A" else "A") + token[5:-6]
    answers = set()
    for wrong in (revoked["token"], used["token"], over["token"], "hgs_" + body + checksum(body), token[:-1], "", "x"):
        answer = await desk.open(wrong)
        problem = answer.json()
        problem.pop("trace_id")
        answers.add((answer.status_code, orjson.dumps(problem, option=orjson.OPT_SORT_KEYS)))
        pressed = await desk.press(wrong)
        assert (pressed.status_code, "This link opens nothing" in pressed.text) == (404, True)
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    assert (await desk.open(token)).status_code == 200


async def test_two_gateways_never_open_it_more_often_than_it_may_be(desk: Desk) -> None:
    made = await desk.share(max_uses=5)
    other = await Http(desk.http.stack).open()
    try:
        key = {"Idempotency-Key": "the same"}  # else a repetition would show it again, and count nothing
        there = other.of(None)
        asked = [desk.open(made["token"], client, headers=key) for client in (desk.stranger, there) * 8]
        opened = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert sorted(opened) == [200] * 5 + [404] * 11
        assert len((await desk.manager.get(f"/api/shares/{made['share_id']}/uses")).json()) == 5
        second = await desk.share()
        assert (await desk.open(second["token"], there)).status_code == 200
        await desk.manager.delete(f"/api/shares/{second['share_id']}")
        assert (await desk.open(second["token"], there)).status_code == 404, "at once, on the other gateway too"
    finally:
        await other.close()


async def test_a_share_may_what_its_sharer_may(desk: Desk) -> None:
    token, users = (await desk.share())["token"], "/api/users/mia"
    owner = desk.http.client
    for change, back in (
        ({"role": "auditor"}, {"role": "manager"}),
        ({"sites": ["plant-a"]}, {"sites": ["*"]}),
    ):
        await desk.http.site("plant-a") if "sites" in change else None
        assert (await owner.patch(users, json=change)).status_code == 200
        assert (await desk.open(token)).status_code == 404, change
        assert (await owner.patch(users, json=back)).status_code == 200
        assert (await desk.open(token)).status_code == 200, back
    held = ["share:write", "share:read", "remediation:read"]
    made = await owner.post("/api/roles", json={"role": "sharer", "permissions": held, "purpose": "shares plans"})
    assert made.status_code == 201
    assert (await owner.patch(users, json={"role": "sharer"})).status_code == 200
    assert (await desk.open(token)).status_code == 404, "a verdict takes gate:read"
    assert (await desk.manager.post("/api/shares", json={"kind": "plan", "gate": "operations"})).status_code == 201


async def test_who_leaves_and_comes_back_has_no_share_any_more(desk: Desk) -> None:
    made, owner = await desk.share(), desk.http.client
    over = await desk.share(expires_in_hours=1)
    desk.http.stack.clock.advance(hours=2)
    assert (await owner.patch("/api/users/mia", json={"active": False})).status_code == 200
    assert (await desk.open(made["token"])).status_code == 404
    told = await desk.http.stack.heard(share_revoked)
    assert (told.data["share_id"], told.data["revoked_by"], told.actor) == (made["share_id"], "owner", "owner")
    assert [one["field"] for one in told.data["changes"]] == ["revoked_at", "revoked_by"]
    assert (await owner.patch("/api/users/mia", json={"active": True})).status_code == 200
    assert (await desk.open(made["token"])).status_code == 404, "it does not come back with the person"
    listed = {one["share_id"]: one["revoked_by"] for one in (await owner.get("/api/shares")).json()}
    assert listed == {made["share_id"]: "owner", over["share_id"]: None}, "what was over needs no other end"


async def test_what_was_shared_by_a_grant_ends_with_it(desk: Desk) -> None:
    http, owner = desk.http, desk.http.client
    vic = await http.user("vic", "viewer")
    body = {"kind": "run", "gate": "operations", "run_id": desk.run["run_id"]}
    assert (await vic.post("/api/shares", json=body)).status_code == 403
    ends_at = http.stack.clock() + timedelta(hours=8)
    lent = {
        "username": "vic", "role": "manager", "sites": ["global"], "ends_at": ends_at.isoformat(), "reason": "stands in"
    }  # fmt: skip
    grants = [(await owner.post("/api/grants", json=lent)).json()["grant_id"] for _ in range(2)]

    async def shares() -> bool:
        return (await vic.post("/api/shares", json=body)).status_code == 201

    await until("the grant", shares)
    answer = await vic.post("/api/shares", json=body)
    assert datetime.fromisoformat(answer.json()["expires_at"]) == ends_at, "not the 168 hours that were asked for"
    brief = await vic.post("/api/shares", json=body | {"expires_in_hours": 2})
    assert datetime.fromisoformat(brief.json()["expires_at"]) == http.stack.clock() + timedelta(hours=2)
    token = answer.json()["token"]
    assert (await desk.open(token)).status_code == 200
    assert (await owner.delete(f"/api/grants/{grants[0]}")).status_code == 200
    assert (await desk.open(token)).status_code == 200, "the other one still runs"
    http.stack.clock.advance(hours=8)
    assert (await desk.open(token)).status_code == 404, "no job has come by"
    again = await owner.post("/api/grants", json=lent | {"ends_at": (ends_at + timedelta(hours=8)).isoformat()})
    assert again.status_code == 201
    assert (await desk.open(token)).status_code == 404, "another grant does not bring it back"
    # Who loses the role while a grant runs shares as long as that runs, whether or not the job has told of its end.
    token = (await desk.share())["token"]
    lent |= {"username": "mia", "ends_at": (http.stack.clock() + timedelta(hours=1)).isoformat()}
    assert (await owner.post("/api/grants", json=lent)).status_code == 201
    assert (await owner.patch("/api/users/mia", json={"role": "viewer"})).status_code == 200
    assert (await desk.open(token)).status_code == 200
    http.stack.clock.advance(hours=1)
    assert (await desk.open(token)).status_code == 404


async def test_a_grant_that_is_ended_takes_its_shares_along_at_once(desk: Desk) -> None:
    http, owner = desk.http, desk.http.client
    await http.user("vic", "viewer")
    team = {"team": "desk", "purpose": "shares", "members": ["vic"], "roles": [{"role": "manager", "sites": ["*"]}]}
    assert (await owner.post("/api/teams", json=team)).status_code == 201
    issued = await owner.post("/api/tokens", json={"username": "vic", "label": "new"})
    vic = http.of(issued.json()["token"])
    body = {"kind": "plan", "gate": "operations"}
    made = await vic.post("/api/shares", json=body)
    assert made.status_code == 201, made.text
    full = datetime.fromisoformat(made.json()["expires_at"]) - http.stack.clock()
    assert full == timedelta(hours=168), "a team has no end of its own"
    assert (await desk.open(made.json()["token"])).status_code == 200
    assert (await owner.patch("/api/teams/desk", json={"members": ["mia"]})).status_code == 200
    assert (await desk.open(made.json()["token"])).status_code == 404


async def test_only_who_may_read_and_share_shares_what_is_there(desk: Desk) -> None:
    body = {"kind": "run", "gate": "operations", "run_id": desk.run["run_id"]}
    for role in ("viewer", "operator", "auditor"):
        client = await desk.http.user(f"the-{role}", role)
        refused = await client.post("/api/shares", json=body)
        assert (refused.status_code, refused.json()["permission"]) == (403, "share:write")
    bound = {"label": "narrow", "permissions": ["share:write", "share:read"]}
    narrow = desk.http.of((await desk.manager.post("/api/tokens", json=bound)).json()["token"])
    refused = await narrow.post("/api/shares", json=body)
    assert (refused.status_code, "gate:read" in refused.json()["detail"]) == (403, True)
    for wrong, status in (
        ({"run_id": 999_999}, 404),
        ({"run_id": None}, 422),
        ({"subject": "app"}, 422),
        ({"kind": "board"}, 422),
        ({"max_uses": 0}, 422),
        ({"expires_in_hours": 721}, 422),
        ({"gate": "nothing"}, 404),
    ):
        sent = {name: value for name, value in (body | wrong).items() if value is not None}
        assert (await desk.manager.post("/api/shares", json=sent)).status_code == status, wrong
    await desk.http.site("plant-a")
    there = {"site": "plant-a"}
    assert (await desk.manager.post("/api/shares", json=body, params=there)).status_code == 404
    made = await desk.share()
    for path in ("", "/uses"):
        answer = await desk.manager.request("DELETE" if not path else "GET", f"/api/shares/{made['share_id']}{path}",
                                            params=there)  # fmt: skip
        assert answer.status_code == 404
    key = {"Idempotency-Key": "once"}
    first, second = [await desk.manager.post("/api/shares", json=body, headers=key) for _ in range(2)]
    assert (first.json()["share_id"], second.json()["token"]) == (second.json()["share_id"], None)


async def test_a_use_that_can_not_be_shown_counts_nothing(desk: Desk) -> None:
    made = await desk.share(kind="board", run_id=None, max_uses=1)
    await desk.http.stack.stop("tracker")
    answer = await desk.open(made["token"])
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (await desk.press(made["token"])).status_code == 503
    await desk.http.stack.start(TRACKER)

    async def back() -> bool:
        return (await desk.open(made["token"])).status_code == 200

    await until("the tracker's answer", back)


async def test_strangers_are_counted_and_old_shares_forgotten(stack: Stack) -> None:
    edge = await Http(stack).open(anonymous_requests_per_minute=3)
    try:
        assert (await edge.client.get("/api/me")).status_code == 200  # known before its address is refused
        stranger = edge.of(None)
        answers = [await stranger.post("/s", json={"token": "x"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        await stack.start(make_service(packaged_policies()))
        share = {"kind": "plan", "gate": "operations", "expires_in_hours": 1}
        assert (await edge.client.post("/api/shares", json=share)).status_code == 201
        stack.clock.advance(days=90)
        assert await stack.run_job("gateway", "share_watch")
        assert len((await edge.client.get("/api/shares")).json()) == 1
        stack.clock.advance(hours=2)
        assert await stack.run_job("gateway", "share_watch")
        superuser = await stack.superuser()
        assert await superuser.fetchval("SELECT count(*) FROM gateway.share") == 0
        await superuser.close()
    finally:
        await edge.close()
