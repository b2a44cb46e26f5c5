"""The calendar feed: whose items are in it, of which sites, and how a calendar program gets it."""

from __future__ import annotations

import asyncio
import base64
import zlib
from typing import Any

import asyncpg
import pytest
from icalendar import Calendar

from libs.common.contracts.tracker.clocks import PauseBody, ResumeBody, pause_item, resume_item
from libs.common.contracts.tracker.feed import MAX_ENTRIES, FeedFilter
from libs.common.contracts.tracker.items import BASE, ItemPatch, patch_item
from libs.common.problems import Forbidden, Invalid
from libs.common.service import Read
from services.tracker import feed
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_office import Office
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration

PATH = f"{BASE}/items.ics"


async def entries(desk: Desk, *sites: str, actor: str = "ann", **wanted: Any) -> list[Any]:
    read = Read(desk.pool, "global", actor, desk.now, sites=sites or ("*",))
    answer = await feed.feed_items(read, FeedFilter(**wanted))
    assert answer.content_zlib_base64 is not None
    content = zlib.decompress(base64.b64decode(answer.content_zlib_base64))
    assert len(content) == answer.size
    return list(Calendar.from_ical(content).walk("VEVENT"))


async def rules(desk: Desk, *sites: str, **wanted: Any) -> list[str]:
    """The rules in the feed, in order; of this test's sites, since others' items lie in the same table."""
    return [one["summary"].split(" ")[2] for one in await entries(desk, *(sites or (desk.site,)), **wanted)]


async def patch(desk: Desk, rule: str, **more: Any) -> None:
    item = (await desk.items())[rule]
    applied = await desk.order(patch_item, ItemPatch.model_validate({"item_id": item.id, **more}))
    assert applied.ended[0].http_status == 200, applied.ended[0].body


async def test_ones_own_open_items_with_a_deadline_are_in_it(desk: Desk) -> None:
    await desk.decided({"late": "fail", "soon": "warning", "bobs": "fail", "nobodys": "fail", "claimed": "fail"})
    for rule, who in (("late", "ann"), ("soon", "ann"), ("bobs", "bob"), ("claimed", "ann")):
        await patch(desk, rule, assignee=who)
    await patch(desk, "claimed", status="done")
    await desk.pool.execute(
        "UPDATE item SET due_at = due_at + interval '1 h' WHERE rule_id = 'late' AND site = $1", desk.site
    )
    assert await rules(desk) == await rules(desk, assignee="me") == ["soon", "late"], "due first comes first"
    assert await rules(desk, assignee="bob") == ["bobs"]
    assert await rules(desk, assignee="eve") == []
    with pytest.raises(Invalid):
        await rules(desk, assignee="none")
    await desk.pool.execute(
        "UPDATE item SET due_at = NULL, sla_hours = NULL WHERE rule_id = 'late' AND site = $1", desk.site
    )
    assert await rules(desk) == ["soon"], "without a deadline there is nothing to show"
    desk.later(1)
    await desk.decided({"late": "fail", "soon": "pass", "bobs": "fail", "nobodys": "fail", "claimed": "fail"})
    assert await rules(desk) == ["claimed"], "a refused claim is work again, what passes is none any more"


async def test_a_paused_item_leaves_it_and_comes_back_as_the_same_entry(desk: Desk) -> None:
    await desk.decided({"disk": "fail"})
    await patch(desk, "disk", assignee="ann")
    (before,) = await entries(desk, desk.site)
    item = (await desk.items())["disk"]
    await desk.order(pause_item, PauseBody(item_id=item.id, reason="waits for the vendor"))
    assert await entries(desk, desk.site) == []
    desk.later(5)
    await desk.order(resume_item, ResumeBody(item_id=item.id))
    (after,) = await entries(desk, desk.site)
    assert after["uid"] == before["uid"]
    assert after["sequence"] > before["sequence"]
    assert (after.start - before.start).total_seconds() == 5 * 3600
    desk.later(1)
    await desk.decided({"disk": "pass"})
    await desk.decided({"disk": "fail"})
    (again,) = await entries(desk, desk.site)
    assert again["uid"] != before["uid"], "another episode is another entry"


async def test_it_holds_the_sites_in_scope_and_no_other(desk: Desk) -> None:
    home = desk.site
    for site, rule in ((home, "here"), (f"{home}-b", "there")):
        desk.site = site
        await desk.decided({rule: "fail"})
        await patch(desk, rule, assignee="ann")
    away, desk.site = desk.site, home
    assert await rules(desk, home) == ["here"]
    assert sorted(await rules(desk, away, home)) == ["here", "there"]
    assert set(await rules(desk, "*")) >= {"here", "there"}
    assert await rules(desk, "*", only_site=away) == await rules(desk, away, home, only_site=away) == ["there"]
    assert await rules(desk, "elsewhere") == []
    assert await desk.pool.fetchval("SELECT count(*) FROM item WHERE assignee = 'ann'") > 1
    with pytest.raises(Forbidden):
        await rules(desk, home, only_site=away)
    read = Read(desk.pool, "global", "ann", desk.now, sites=())
    assert (await feed.feed_items(read, FeedFilter())).size < 700, "without a scope there is nothing to see"


async def test_it_ends_after_so_many_and_says_so(desk: Desk) -> None:
    await desk.decided({f"r{n:03}": "fail" for n in range(MAX_ENTRIES + 1)})
    await desk.pool.execute("UPDATE item SET assignee = 'ann' WHERE site = $1", desk.site)
    read = Read(desk.pool, "global", "ann", desk.now, sites=(desk.site,))
    answer = await feed.feed_items(read, FeedFilter())
    assert answer.content_zlib_base64 is not None
    calendar = Calendar.from_ical(zlib.decompress(base64.b64decode(answer.content_zlib_base64)))
    assert len(calendar.walk("VEVENT")) == MAX_ENTRIES
    assert len({one["uid"] for one in calendar.walk("VEVENT")}) == MAX_ENTRIES
    assert "There are more" in str(calendar["x-wr-caldesc"])


async def test_it_reads_the_items_of_the_person_only(stack: Stack) -> None:
    url = stack.settings("tracker").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "tracker"})
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        found = nodes(await generic_plan(connection, feed.SELECT_DUE))
    finally:
        await connection.close()
    (scan,) = [node for node in found if node.get("Relation Name") == "item"]
    assert scan["Index Name"] == "item_in_hand", scan
    assert "(assignee = $1)" in scan["Index Cond"], scan


async def test_over_http_a_calendar_program_gets_it(office: Office) -> None:
    items = await office.judge(disk="fail", tape="warning")
    bob = await office.http.user("bob", "viewer")
    for rule in ("disk", "tape"):
        patched = await office.ask("PATCH", f"/items/{items[rule]['id']}", json={"assignee": "bob"})
        assert patched.status_code == 200, patched.text
    answer = await bob.get(PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8"), answer.text
    assert 'filename="headgate-bob.ics"' in answer.headers["content-disposition"]
    assert len(Calendar.from_ical(answer.content).walk("VEVENT")) == 2
    again = await bob.get(PATH, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = await bob.head(PATH)
    assert (head.status_code, head.content) == (200, b"")
    named = await office.client.get(PATH, params={"assignee": "bob", "only_site": "north"})
    assert len(Calendar.from_ical(named.content).walk("VEVENT")) == 2
    assert Calendar.from_ical((await office.client.get(PATH)).content).walk("VEVENT") == []
    for wrong, status in (({"assignee": "none"}, 422), ({"assignee": ""}, 422), ({"only_site": "a.>"}, 422)):
        assert (await bob.get(PATH, params=wrong)).status_code == status, wrong


async def test_the_password_of_a_calendar_program_is_a_token(office: Office) -> None:
    bob = await office.http.user("bob", "viewer")
    token = bob.headers["authorization"].removeprefix("Bearer ")
    nobody = office.http.of(None)

    def basic(text: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    asked = await nobody.get(PATH)
    assert asked.status_code == 401
    challenges = asked.headers.get_list("www-authenticate")
    assert challenges == ['Bearer realm="headgate"', 'Basic realm="headgate", charset="UTF-8"']
    assert (await nobody.get(PATH, headers=basic(f"bob:{token}"))).status_code == 200
    for wrong in (f"eve:{token}", f":{token}", "bob:", "bob:hg_" + "A" * 43, token):
        refused = await nobody.get(PATH, headers=basic(wrong))
        assert refused.status_code == 401, wrong
        assert refused.headers.get_list("www-authenticate") == challenges
    for odd in ("Basic", "Basic !", "Basic " + base64.b64encode(b"bob:\xff").decode()):
        assert (await nobody.get(PATH, headers={"Authorization": odd})).status_code == 401, odd
    both = basic(f"bob:{token}") | {"X-Admin-Token": token}
    assert (await nobody.get(PATH, headers=both)).status_code == 401, "one kind at a time"
    revoked = (await office.client.get("/api/tokens", params={"username": "bob"})).json()[0]["token_id"]
    assert (await office.client.delete(f"/api/tokens/{revoked}")).status_code == 200
    async with asyncio.timeout(4):  # it goes by an event, before the 5 s for which the edge remembers a token are over
        while (await nobody.get(PATH, headers=basic(f"bob:{token}"))).status_code != 401:
            await asyncio.sleep(0.01)
