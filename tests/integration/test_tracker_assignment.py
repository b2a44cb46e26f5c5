"""Assignment over HTTP, with the gateway that knows the people, also those of whom nobody told the tracker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from libs.common.contracts.gateway.users import user_changed, user_created
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker.assignment import JOB
from libs.common.contracts.tracker.items import BASE
from services.tracker.service import SERVICE
from tests.http_edge import Http
from tests.stack import Stack
from tests.verdicts import decided, rule

pytestmark = pytest.mark.integration
OLD_USER = """
INSERT INTO gateway.users (username, role, sites, display_name, active, created_at)
SELECT name, role, ARRAY[site], '', true, now()
FROM (VALUES ('ole', 'operator', 'global'), ('far', 'operator', 'north'), ('vic', 'viewer', 'global'))
    AS old (name, role, site)
"""


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge in front of a tracker, and users of whom nobody was told."""
    edge = await Http(stack).open()
    admin = await stack.superuser()
    await admin.execute(OLD_USER)
    await admin.close()
    await stack.start(SERVICE)
    data = decided(
        rule("a", "fail"), rule("b", "fail"), run_number=1, decision="no_go", site="global", at=stack.clock()
    )
    await stack.publish(gate_decided, data, site="global")
    await stack.idle("tracker")
    yield edge
    await edge.close()


async def test_those_who_were_there_before_are_known(http: Http, stack: Stack) -> None:
    before = (await http.client.get(f"{BASE}/workload")).json()
    assert before["candidate_usernames_by_role"] == {"owner": ["owner"], "manager": [], "operator": ["ole"]}
    assert [one["recommended_assignee"] for one in before["suggestions"]] == ["ole", "owner"]
    assert (await http.client.get(f"{BASE}/auto-assign/latest")).status_code == 404
    dry = (await http.client.post(f"{BASE}/auto-assign/run?dry_run=true&limit=1")).json()
    assert (dry["limit"], dry["candidate_count"], dry["assigned_count"], dry["updated_ids"]) == (1, 1, 0, [])
    # From here on they are in the tracker's own table, and the gateway is not needed any more.
    mia = {"username": "mia", "role": "manager", "sites": ["global"]}
    assert (await http.client.post("/api/users", json=mia)).status_code == 201
    assert (await http.client.patch("/api/users/ole", json={"active": False})).status_code == 200
    await stack.heard(user_changed, lambda event: event.data["username"] == "ole")
    await stack.idle("tracker")
    after = (await http.client.get(f"{BASE}/workload")).json()
    assert after["candidate_usernames_by_role"] == {"owner": ["owner"], "manager": ["mia"], "operator": []}
    assert (await http.client.post(f"{BASE}/auto-assign/run?limit=501")).status_code == 422
    assert (await http.client.get(f"{BASE}/workload?max_suggestions=101")).status_code == 422


async def test_the_name_that_people_read_is_shown_and_told_to_nobody(http: Http, stack: Stack) -> None:
    mia = {"username": "mia", "role": "manager", "sites": ["global"], "display_name": "Mia Secretname"}
    made = await http.client.post("/api/users", json=mia)
    assert (made.status_code, made.json()["display_name"]) == (201, "Mia Secretname")
    await stack.heard(user_created, lambda event: event.data["username"] == "mia")
    await stack.idle("tracker")
    listed = {one["username"]: one["display_name"] for one in (await http.client.get(f"{BASE}/people")).json()}
    assert (listed["mia"], listed["owner"], listed["ole"]) == ("Mia Secretname", "First owner", "")
    change = {"display_name": "Mia Othername"}
    assert (await http.client.patch("/api/users/mia", json=change)).json() == made.json() | change | {"revision": 2}
    told = await stack.heard(user_changed, lambda event: event.data["username"] == "mia")
    assert [(one["field"], one["masked"]) for one in told.data["changes"]] == [("display_name", True)]
    await stack.idle("tracker")
    listed = {one["username"]: one["display_name"] for one in (await http.client.get(f"{BASE}/people")).json()}
    assert listed["mia"] == "Mia Othername"
    assert not any(word in event.encode().decode() for event in stack.events for word in ("Secretname", "Othername"))


async def test_the_schedule_gives_items_out(http: Http, stack: Stack) -> None:
    assert await stack.run_job("tracker", JOB)
    latest = (await http.client.get(f"{BASE}/auto-assign/latest")).json()
    assert (latest["job_name"], latest["trigger"], latest["assigned_count"]) == (JOB, "schedule", 2)
    items = (await http.client.get(f"{BASE}/items")).json()
    assert {one["assignee"] for one in items} == {"ole", "owner"}
    assert {one["updated_by"] for one in items} == {"system"}


async def test_while_the_gateway_is_away_a_run_fails_and_says_so(http: Http, stack: Stack) -> None:
    await stack.stop("gateway")
    assert not await stack.run_job("tracker", JOB)
    admin = await stack.superuser()
    row = await admin.fetchrow(
        "SELECT status, detail ->> 'reason' AS reason FROM tracker.job_run WHERE job_name = $1", JOB
    )
    await admin.close()
    assert row is not None
    assert (row["status"], row["reason"].partition(":")[0]) == ("failed", "Unavailable")


async def test_only_those_who_lead_give_out_and_everybody_tells_of_themselves(http: Http, stack: Stack) -> None:
    mia, pia = await http.user("mia", "manager"), await http.user("pia", "operator")
    await stack.idle("tracker")
    away = {"away_from": "2026-03-02T00:00:00Z", "away_to": "2027-03-01T00:00:00Z"}
    assert (await pia.post(f"{BASE}/auto-assign/run")).status_code == 403
    assert (await pia.post(f"{BASE}/people/mia/absences", json=away)).status_code == 403
    assert (await pia.put(f"{BASE}/people/pia/limit", json={"max_open_items": 0})).status_code == 403
    own = await pia.post(f"{BASE}/absences", json=away)
    assert (own.status_code, own.json()["username"]) == (201, "pia")
    assert (await pia.delete(f"{BASE}/absences/{own.json()['absence_id']}")).status_code == 200
    assert (await mia.post(f"{BASE}/people/pia/absences", json=away)).status_code == 201
    assert (await mia.put(f"{BASE}/people/ole/limit", json={"max_open_items": 1})).json()["max_open_items"] == 1
    people = {one["username"]: one for one in (await pia.get(f"{BASE}/people")).json()}
    assert (people["ole"]["max_open_items"], len(people["pia"]["absences"])) == (1, 1)
    items = (await pia.get(f"{BASE}/items")).json()
    taken = await pia.post(f"{BASE}/items/{items[0]['id']}/take")
    assert (taken.status_code, taken.json()["assignee"]) == (200, "pia")
    handed = await pia.post(f"{BASE}/items/{items[0]['id']}/hand-over", json={"to": "mia", "reason": "you know it"})
    assert (handed.status_code, handed.json()["assignee"]) == (200, "mia")
