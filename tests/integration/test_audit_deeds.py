"""Who did what: one actor's sessions, one request's trace, one thing's history, each as far as the asker may see."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import SecretStr

from libs.common.contracts.tracker.items import item_opened
from libs.common.outbound import Outbound
from libs.common.vault import Vault
from services.audit.service import make_service
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from services.notifier.service import make_service as make_notifier
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
VAULT_SECRET = "a secret of the vault for tests of deeds"
ITEMS = "/api/ops/governance/gate/remediation/tracker/items"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """All that a gate run touches, an edge, and an auditor of one site."""
    notifier = make_notifier(Outbound(("127.0.0.0/8",)), Vault.from_secret(VAULT_SECRET))
    await stack.start(make_service(None), make_governance(packaged_policies()), TRACKER, notifier)
    opened = await Http(stack).open(vault_secret=SecretStr(VAULT_SECRET))
    for site in ("north", "south"):
        await opened.site(site)
    yield opened
    await opened.close()


async def quiet(stack: Stack) -> None:
    """Everything told has arrived."""
    for _ in range(2):
        for service in ("gateway", "governance", "tracker", "notifier", "audit"):
            await stack.idle(service)


async def get(client: Any, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_who_changed_it_from_where_from_what_to_what_and_why(stack: Stack, http: Http) -> None:
    answer = await http.client.post("/api/ops/governance/gate/run?site=north", json={})
    assert answer.status_code == 200, answer.text
    opened = await stack.heard(item_opened, lambda event: event.site == "north")
    item = opened.data["item"]
    path, program = f"{ITEMS}/{item['id']}?site=north", {"User-Agent": "phone/2"}
    done = await http.client.patch(path, json={"assignee": "mia", "status": "in_progress"}, headers=program)
    assert done.status_code == 200, done.text
    lost = await http.client.patch(path, json={"status": "done"}, headers={"If-Match": '"1-%s"' % ("0" * 32)})
    assert lost.status_code == 412
    await quiet(stack)
    history = await get(http.client, f"/api/audit/resources/tracker.item/{item['id']}")
    told = [(deed["action"], deed["outcome"], deed["client_agent"]) for deed in history["items"]]
    assert ("tracker.item.patch", "refused", f"python-httpx2/{httpx_version()}") in told
    assert ("tracker.item.patch", "applied", "phone/2") in told
    [changed] = [deed for deed in history["items"] if deed["action"] == "tracker.item.updated"]
    assert {row["field"]: (row["before"], row["after"]) for row in changed["changes"]} == {
        "assignee": (None, "mia"),
        "status": ("pending", "in_progress"),
    }
    assert (changed["actor"], changed["client_address"], changed["client_agent"]) == ("owner", "127.0.0.1", "phone/2")
    [refused] = [deed for deed in history["items"] if deed["outcome"] == "refused"]
    assert refused["reason"] == lost.json()["detail"]
    shown = await get(http.client, f"/api/audit/entries/{changed['seq']}")
    assert (shown["command"]["seq"], shown["client"]["agent"]) == (changed["command_seq"], "phone/2")
    first = await get(http.client, f"/api/audit/resources/tracker.item/{item['id']}", limit=1)
    rest = await get(http.client, f"/api/audit/resources/tracker.item/{item['id']}", cursor=first["next_cursor"])
    assert [*first["items"], *rest["items"]] == history["items"]
    unknown = await http.client.get("/api/audit/resources/tracker.thing/1")
    assert (unknown.status_code, "tracker.item" in unknown.json()["detail"]) == (422, True)
    # Whoever sees another site only sees nothing of it.
    other = await http.user("sue", "auditor", ["south"])
    assert (await get(other, f"/api/audit/resources/tracker.item/{item['id']}"))["items"] == []
    assert (await other.get(f"/api/audit/entries/{changed['seq']}")).status_code == 404


def httpx_version() -> str:
    import httpx2

    return httpx2.__version__


async def test_what_one_request_set_off_is_a_tree(stack: Stack, http: Http) -> None:
    made = await http.client.post(
        "/api/subscriptions?site=north",
        json={"name": "all", "endpoint": "http://127.0.0.1:9/hook", "event_types": ["*"]},
    )
    assert made.status_code == 201, made.text
    request_id = str(uuid4())
    answer = await http.client.post(
        "/api/ops/governance/gate/run?site=north", json={}, headers={"X-Request-Id": request_id}
    )
    assert answer.status_code == 200, answer.text
    await stack.heard(item_opened, lambda event: event.site == "north")
    await quiet(stack)
    trace_id = answer.headers["traceparent"][3:35]
    found = await get(http.client, f"/api/audit/traces/{trace_id}")
    by_request = await get(http.client, f"/api/audit/traces/{request_id}")
    assert [node["node_id"] for node in by_request["nodes"]] == [node["node_id"] for node in found["nodes"]]
    nodes = {node["node_id"]: node for node in found["nodes"]}

    def way(node: dict[str, Any]) -> list[tuple[str, str]]:
        above = way(nodes[node["parent_id"]]) if node["parent_id"] else []
        return [*above, (node["kind"], node["action"])]

    ways = [way(node) for node in found["nodes"]]
    run = [("request", "request"), ("command", "governance.ops_gate.run"), ("event", "governance.gate.decided")]
    assert [*run, ("event", "tracker.item.opened")] in ways
    assert [*run, ("notification", "subscription")] in ways
    assert [len(one) - 1 for one in ways] == [node["depth"] for node in found["nodes"]]
    assert found["nodes"][0]["client_address"] == "127.0.0.1"
    assert (found["notifications"], found["left_out"]) == ("known", False)
    await stack.stop("notifier")
    assert (await get(http.client, f"/api/audit/traces/{trace_id}"))["notifications"] == "unknown"
    for wrong, status in (("0" * 32, 404), (str(uuid4()), 404), ("xyz", 422)):
        assert (await http.client.get(f"/api/audit/traces/{wrong}")).status_code == status
    other = await http.user("sue", "auditor", ["south"])
    assert (await other.get(f"/api/audit/traces/{trace_id}")).status_code == 404


async def test_the_history_of_one_thing_holds_nothing_of_another(stack: Stack, http: Http) -> None:
    runs = "/api/gates/operations/runs"
    first = (await http.client.post(f"{runs}?site=north", json={})).json()["run_id"]
    said = {"reason": "The plant stands still until this is in, and we watch it closely all night.", "issue": "OPS-1"}
    for run_id, status in ((first, 201), (first, 409), (999, 404)):
        answer = await http.client.post(f"{runs}/{run_id}/override?site=north", json=said)
        assert answer.status_code == status, answer.text
    tried = {"gate": "operations", "completion_note": "it is done"}
    complete = ITEMS.replace("/items", "/complete")
    assert (await http.client.post(f"{complete}?site=north", json=tried)).status_code == 409
    await quiet(stack)

    async def told(kind: str, id_: str) -> set[tuple[str, str]]:
        found = await get(http.client, "/api/audit/resources", resource_type=kind, resource_id=id_)
        return {(one["action"], one["outcome"]) for one in found["items"]}

    given = {("governance.override.give", "applied"), ("governance.override.given", "applied")}
    [override] = [one.subject for one in stack.events if one.name == "governance.override.given"]
    assert await told("governance.override", override) == given
    for run_id in (first, 999):
        refused = await told("governance.override", f"new:operations/{run_id}")
        assert refused == {("governance.override.give", "refused")}
    ran = {("governance.gate.run", "applied"), ("governance.gate.decided", "applied")}
    assert ran <= await told("governance.gate", str(first))
    assert ("tracker.board.complete", "refused") in await told("tracker.board", "operations/site")


async def test_when_somebody_was_at_work_and_from_where(stack: Stack, http: Http) -> None:
    mia = await http.user("mia", "manager", ["north"])
    for agent, wait_minutes in (("desk/1", 0), ("desk/1", 10), ("phone/2", 1), ("desk/1", 60)):
        stack.clock.advance(minutes=wait_minutes)
        for site in ("north", "south"):  # the second is refused at the edge
            headers = {"User-Agent": agent, "Prefer": "wait=5"}
            await mia.post(f"{ITEMS.replace('/items', '/sync')}?site={site}", json={}, headers=headers)
        await http.edge.denials.flush()  # in their order, however slow the machine is
    await mia.patch(f"{ITEMS}/999999?site=north", json={"status": "done"}, headers={"User-Agent": "desk/1"})
    await quiet(stack)
    found = await get(http.client, "/api/audit/actors/mia/sessions")
    rows = [(one["client_agent"], one["command_count"], one["refused_count"]) for one in found["items"]]
    assert [agent for agent, _, _ in rows] == ["desk/1", "phone/2", "desk/1"]
    assert rows[0][2] == 2  # at the edge, and by the tracker
    assert [sorted(one["sites"]) for one in found["items"]] == [["north", "south"]] * 3
    assert "tracker.item.patch" in found["items"][0]["actions"]
    first = await get(http.client, "/api/audit/actors/mia/sessions", limit=1)
    rest = await get(http.client, "/api/audit/actors/mia/sessions", cursor=first["next_cursor"])
    assert [*first["items"], *rest["items"]] == found["items"]
    other = await http.user("sue", "auditor", ["south"])
    seen = (await get(other, "/api/audit/actors/mia/sessions"))["items"]  # what was refused to mia there, and no more
    assert [one["sites"] for one in seen] == [["south"]] * 3
    assert all(one["command_count"] == one["refused_count"] for one in seen)
    assert (await mia.get("/api/audit/actors/mia/sessions")).status_code == 200


async def test_a_changed_role_says_from_what_to_what_and_names_stay_private(stack: Stack, http: Http) -> None:
    await http.user("bob", "viewer", ["north"])
    answer = await http.client.patch("/api/users/bob", json={"role": "manager", "display_name": "Robert Private"})
    assert answer.status_code == 200, answer.text
    await quiet(stack)
    [deed] = [
        one
        for one in (await get(http.client, "/api/audit/resources/gateway.user/bob"))["items"]
        if one["action"] == "gateway.user.changed"
    ]
    assert {row["field"]: (row["before"], row["after"], row["masked"]) for row in deed["changes"]} == {
        "role": ("viewer", "manager", False),
        "display_name": (None, None, True),
    }
