"""Comments, links and labels of items, over HTTP: who may do what, what stays, and what goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.common.contracts.tracker.comments import comment_added, comment_withdrawn
from libs.common.contracts.tracker.links import link_added, link_removed
from tests.integration.tracker_office import Office

pytestmark = pytest.mark.integration


@pytest.fixture
async def path(office: Office) -> str:
    """An item's path."""
    return f"/items/{(await office.judge(disk='fail'))['disk']['id']}"


async def history(office: Office, path: str) -> list[dict[str, Any]]:
    answer = await office.ask("GET", f"{path}/history")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_a_comment_can_be_withdrawn_by_its_author_or_a_manager_and_its_place_stays(
    office: Office, path: str
) -> None:
    bob, cid, mia = [
        await office.http.user(*who) for who in (("bob", "operator"), ("cid", "operator"), ("mia", "manager"))
    ]
    first = await office.ask("POST", f"{path}/comments", bob, json={"text": " the password is swordfish\n"})
    assert (first.status_code, first.json()["author"]) == (201, "bob"), first.text
    assert first.json()["text"] == "the password is swordfish"
    second = await office.ask("POST", f"{path}/comments", cid, json={"text": "take it back"})
    told = await office.http.stack.heard(comment_added, lambda event: event.data["comment_id"] == first.json()["id"])
    assert "swordfish" not in str(told.data), "events are kept for ever"
    one = f"{path}/comments/{first.json()['id']}"
    refused = await office.ask("DELETE", one, cid)
    assert (refused.status_code, "bob wrote this" in refused.json()["detail"]) == (403, True)
    cheating = await office.ask("DELETE", one, cid, json={"for_others": True})
    assert cheating.status_code == 422, "only the edge can say that"
    gone = await office.ask("DELETE", one, bob)
    assert (gone.status_code, gone.json()["text"], gone.json()["withdrawn_by"]) == (200, None, "bob")
    assert (await office.ask("DELETE", one, bob)).status_code == 409
    other = await office.ask("DELETE", f"{path}/comments/{second.json()['id']}", mia)
    assert (other.status_code, other.json()["withdrawn_by"]) == (200, "mia")
    await office.http.stack.heard(comment_withdrawn, lambda event: event.actor == "mia")
    listed = (await office.ask("GET", f"{path}/comments")).json()["items"]
    assert [(one["author"], one["text"]) for one in listed] == [("cid", None), ("bob", None)]
    entries = await history(office, path)
    kinds = [(entry["kind"], entry["actor"], entry["comment"]) for entry in entries]
    assert kinds == [
        ("withdrew", "mia", None),
        ("withdrew", "bob", None),
        ("commented", "cid", None),
        ("commented", "bob", None),
        ("opened", entries[-1]["actor"], None),
    ]
    admin = await office.http.stack.superuser()
    try:
        assert await admin.fetchval("SELECT count(*) FROM tracker.item_comment WHERE text IS NOT NULL") == 0
    finally:
        await admin.close()


async def test_a_comment_is_in_the_history_and_makes_no_tag_stale(office: Office, path: str) -> None:
    tag = (await office.ask("GET", path)).headers["ETag"]
    said = await office.ask("POST", f"{path}/comments", json={"text": "one\ntwo"})
    newest = (await history(office, path))[0]
    assert (newest["comment_id"], newest["comment"], newest["changed"]) == (said.json()["id"], "one\ntwo", [])
    mine = await office.ask("PATCH", path, json={"assignee": "bob"}, headers={"If-Match": tag})
    assert (mine.status_code, mine.json()["revision"]) == (200, 2), "whoever read it before may still write"


async def test_an_item_has_so_many_comments_and_no_more(
    office: Office, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tracker.comments.MAX_COMMENTS", 3)
    answers = await asyncio.gather(*(office.ask("POST", f"{path}/comments", json={"text": f"{n}"}) for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    page = (await office.ask("GET", f"{path}/comments", params={"limit": 2})).json()
    rest = (await office.ask("GET", f"{path}/comments", params={"cursor": page["next_cursor"]})).json()
    assert len({one["id"] for one in page["items"] + rest["items"]}) == 3


@pytest.mark.parametrize("text", ["", " \n ", "x" * 4001, "a\x1b[31m"])
async def test_comments_that_say_nothing_too_much_or_odd_things(office: Office, path: str, text: str) -> None:
    assert (await office.ask("POST", f"{path}/comments", json={"text": text})).status_code == 422


async def test_links(office: Office, path: str) -> None:
    link = {"title": "Ticket 42", "url": "https://tickets.example:8443/42?view=all#top"}
    added = await office.ask("POST", f"{path}/links", json=link)
    assert (added.status_code, added.json()["url"], added.json()["added_by"]) == (201, link["url"], "owner")
    await office.http.stack.heard(link_added, lambda event: event.data["link"] == added.json())
    assert (await office.ask("GET", f"{path}/links")).json() == [added.json()]
    one = f"{path}/links/{added.json()['id']}"
    assert (await office.ask("DELETE", one)).json() == added.json()
    assert (await office.ask("DELETE", one)).status_code == 404
    await office.http.stack.heard(link_removed)
    assert (await office.ask("GET", f"{path}/links")).json() == []
    entries = await history(office, path)
    assert [(entry["kind"], entry["before"], entry["after"]) for entry in entries[:2]] == [
        ("unlinked", link, {}),
        ("linked", {}, link),
    ]


async def test_an_item_has_20_links_and_no_more(office: Office, path: str) -> None:
    link = {"title": "t", "url": "http://a.example"}
    answers = await asyncio.gather(*(office.ask("POST", f"{path}/links", json=link) for _ in range(23)))
    assert sorted(answer.status_code for answer in answers) == [201] * 20 + [409] * 3


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a.example",
        "//a.example",
        "https://",
        "https://a b.example",
        "https://ann:secret@a.example/",
        "https://a.example:port/",
        "https://[::1/",
        "https://a.example/\n",
        "https://a.example/\u202e",
        "https://a.example/" + "x" * 2000,
    ],
)
async def test_addresses_that_nobody_should_follow(office: Office, path: str, url: str) -> None:
    answer = await office.ask(
        "POST", f"{path}/links", json={"title": "t", "url": url + "x" if url.endswith("\n") else url}
    )
    assert answer.status_code == 422, answer.text


async def test_what_belongs_to_a_foreign_item_is_not_there(office: Office, path: str) -> None:
    said = (await office.ask("POST", f"{path}/comments", json={"text": "x"})).json()["id"]
    linked = (await office.ask("POST", f"{path}/links", json={"title": "t", "url": "http://a.example"})).json()["id"]
    items = await office.judge(disk="fail", tape="fail")
    for where, site in ((path, "global"), (f"/items/{items['tape']['id']}", "north")):
        for method, tail, body in (
            ("DELETE", f"/comments/{said}", None),
            ("DELETE", f"/links/{linked}", None),
        ):
            answer = await office.ask(method, where + tail, params={"site": site}, json=body)
            assert answer.status_code == 404, answer.text
    for method, tail, body in (
        ("GET", "/comments", None),
        ("GET", "/links", None),
        ("POST", "/comments", {"text": "x"}),
        ("POST", "/links", {"title": "t", "url": "http://a.example"}),
    ):
        answer = await office.ask(method, path + tail, params={"site": "global"}, json=body)
        assert answer.status_code == 404, answer.text


async def test_labels(office: Office, path: str) -> None:
    both = {"add_labels": ["waits for vendor", " db "], "remove_labels": ["nothing"]}
    assert (await office.ask("PATCH", path, json=both)).json()["labels"] == ["db", "waits for vendor"]
    answer = await office.ask("PATCH", path, json={"add_labels": ["db", "b"], "remove_labels": ["waits for vendor"]})
    assert (answer.json()["labels"], answer.json()["revision"]) == (["b", "db"], 3)
    assert (await office.ask("PATCH", path, json={"add_labels": ["db"]})).json()["revision"] == 3, "nothing has changed"
    newest = (await history(office, path))[0]
    assert (newest["before"], newest["after"]) == ({"labels": ["db", "waits for vendor"]}, {"labels": ["b", "db"]})
    full = await office.ask("PATCH", path, json={"add_labels": [f"l{n}" for n in range(19)]})
    assert (full.status_code, "20 labels" in full.json()["detail"]) == (409, True)
    for wrong in (["x" * 51], [""], ["a\u202eb"], ["a\nb"], [f"{n}" for n in range(21)], None, "db"):
        assert (await office.ask("PATCH", path, json={"add_labels": wrong})).status_code == 422, wrong
    assert (await office.ask("GET", path)).json()["labels"] == ["b", "db"]
