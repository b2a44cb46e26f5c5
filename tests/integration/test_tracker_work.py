"""Work on items as people do it, over HTTP: the edge and the tracker on real servers."""

from __future__ import annotations

import asyncio

import pytest

from libs.common.contracts.tracker.items import BASE
from tests.integration.tracker_office import SITE, Office

pytestmark = pytest.mark.integration


async def test_two_people_who_read_the_same_don_t_overwrite_each_other(office: Office) -> None:
    item = (await office.judge(disk="fail"))["disk"]
    path = f"/items/{item['id']}"
    read = await office.ask("GET", path)
    tag = read.headers["ETag"]
    assert tag.startswith('"1-')
    first, second = await asyncio.gather(
        *(office.ask("PATCH", path, json={"assignee": name}, headers={"If-Match": tag}) for name in ("ann", "bob"))
    )
    won, lost = sorted((first, second), key=lambda answer: answer.status_code)
    assert (won.status_code, lost.status_code) == (200, 412), (won.text, lost.text)
    assert lost.json()["type"] == "urn:headgate:problem:precondition-failed"
    assert "has revision 2 by now" in lost.json()["detail"]
    assert lost.json()["revision"] == 2
    shown = await office.ask("GET", path)
    assert (shown.json()["assignee"], shown.json()["revision"]) == (won.json()["assignee"], 2)
    assert shown.headers["ETag"] == won.headers["ETag"], "a PATCH gives the tag for the next one"
    again = await office.ask("PATCH", path, json={"status": "blocked"}, headers={"If-Match": won.headers["ETag"]})
    assert (again.status_code, again.json()["revision"]) == (200, 3)


async def test_a_run_that_finds_nothing_new_makes_no_tag_stale(office: Office) -> None:
    item = (await office.judge(disk="fail"))["disk"]
    path = f"/items/{item['id']}"
    read = await office.ask("GET", path)
    await office.judge(disk="fail")
    shown = await office.ask("GET", path, headers={"If-None-Match": read.headers["ETag"]})
    assert shown.status_code == 200, "it shows another run"
    answer = await office.ask("PATCH", path, json={"status": "blocked"}, headers={"If-Match": read.headers["ETag"]})
    assert answer.status_code == 200
    await office.judge(disk="pass")
    answer = await office.ask("PATCH", path, json={"assignee": "bob"}, headers={"If-Match": answer.headers["ETag"]})
    assert answer.status_code == 412


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ("*", 200),
        ('W/"1-0123456789abcdef0123456789abcdef"', 200),
        ('"7-0123456789abcdef0123456789abcdef"', 412),
        ('"nonsense"', 412),
        ("1", 412),
        ('"1-0123456789abcdef0123456789abcdef", "nonsense"', 200),
        ('"1-0123456789abcdef0123456789abcdef", "2-0123456789abcdef0123456789abcdef"', 422),
    ],
)
async def test_tags(office: Office, tag: str, status: int) -> None:
    item = (await office.judge(disk="fail"))["disk"]
    answer = await office.ask("PATCH", f"/items/{item['id']}", json={"assignee": "bob"}, headers={"If-Match": tag})
    assert answer.status_code == status, answer.text


async def test_the_revision_may_stand_in_the_body_but_not_in_both(office: Office) -> None:
    item = (await office.judge(disk="fail"))["disk"]
    path = f"/items/{item['id']}"
    assert (await office.ask("PATCH", path, json={"assignee": "bob", "if_revision": 2})).status_code == 412
    both = {"If-Match": '"1-0123456789abcdef0123456789abcdef"'}
    answer = await office.ask("PATCH", path, json={"assignee": "bob", "if_revision": 1}, headers=both)
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "if_revision", "message": "given twice"}])
    assert (await office.ask("PATCH", path, json={"assignee": "bob", "if_revision": 1})).status_code == 200


async def test_the_history_says_who_did_what_when_page_by_page(office: Office) -> None:
    item = (await office.judge(disk="fail"))["disk"]
    path = f"/items/{item['id']}"
    bob = await office.http.user("bob", "operator")
    await office.ask("PATCH", path, bob, json={"assignee": "bob"})
    office.http.stack.clock.advance(hours=1)
    await office.ask("PATCH", path, bob, json={"status": "done", "completion_note": "swapped"})
    answer = await office.ask("GET", f"{path}/history", params={"limit": 2})
    assert answer.status_code == 200, answer.text
    newest, older = answer.json()["items"]
    assert (newest["actor"], newest["kind"], newest["revision"], newest["run_id"]) == ("bob", "patched", 3, None)
    assert newest["before"] == {
        "status": "pending",
        "completion_checked": False,
        "completion_note": "",
        "completed_at": None,
    }
    assert newest["after"]["completion_note"] == "swapped"
    assert newest["after"]["completed_at"] == newest["at"] > older["at"]
    assert 'rel="next"' in answer.headers["Link"]
    last = await office.ask("GET", f"{path}/history", params={"cursor": answer.json()["next_cursor"]})
    (opened,) = last.json()["items"]
    assert (opened["kind"], opened["before"], opened["after"]["reason"]) == ("opened", {}, "disk: fail")
    assert last.json()["next_cursor"] is None
    for site, item_id in (("global", item["id"]), (SITE, 2**40)):
        answer = await office.client.get(f"{BASE}/items/{item_id}/history", params={"site": site})
        assert answer.status_code == 404, answer.text
    assert (await office.ask("GET", f"{path}/history", params={"cursor": "x"})).status_code == 422
