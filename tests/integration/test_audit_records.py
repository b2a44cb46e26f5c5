"""What became of commands and where they came from: in the audit log, and nowhere else."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common.contracts import find
from libs.common.contracts.base import Command
from libs.common.contracts.gateway.refusals import refusals_counted
from libs.common.contracts.gateway.sites import create_site
from libs.common.contracts.tracker.items import patch_item
from libs.common.loop import MAX_ATTEMPTS
from services.audit.service import make_service
from services.gateway.service import SERVICE as GATEWAY
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.integration.audit_desk import listed, verified
from tests.stack import Stack

pytestmark = pytest.mark.integration
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
AGENT = {"User-Agent": "probe/1\tx", "traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge, and the audit log."""
    await stack.start(make_service(None))
    opened = await Http(stack).open()
    yield opened
    await opened.close()


async def records(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The log's records of a command, the oldest first."""
    for service in ("gateway", "audit"):
        await stack.idle(service)
    return [*reversed((await listed(stack, type=name, clients=True))["items"])]


async def test_each_command_leaves_where_it_came_from_and_how_it_ended(stack: Stack, http: Http) -> None:
    for wanted in (201, 409):
        answer = await http.client.post("/api/sites", json={"site": "north", "title": "N"}, headers=AGENT)
        assert answer.status_code == wanted
    applied, refused = await records(stack, "gateway.site.create")
    for one, outcome in ((applied, "applied"), (refused, "refused")):
        assert (one["outcome"], one["client"]) == (outcome, {"address": "127.0.0.1", "agent": "probe/1?x"})
        assert one["client_address"] == one["event"]["data"]["client_address"] == applied["client_address"]
        assert b"127.0.0.1" not in orjson.dumps(one | {"client": None})
        assert (one["actor"], one["actor_kind"], one["trace_id"]) == ("owner", "person", TRACE)
        assert (one["action"], one["resource_type"]) == ("gateway.site.create", "gateway.site")
        assert one["event"]["data"]["http_status"] == {"applied": 201, "refused": 409}[outcome]
    assert (applied["reason"], refused["reason"]) == (None, answer.json()["detail"])
    assert refused["correlationid"] == answer.headers["x-request-id"]
    [event] = (await listed(stack, type="gateway.site.created", subject="north"))["items"]
    assert (event["causationid"], event["outcome"], event["client_address"]) == (applied["event_id"], "applied", None)
    assert isinstance(find(applied["action"]), Command)
    assert (await verified(stack))["valid"]


async def test_address_and_agent_reach_nobody_but_the_log(stack: Stack) -> None:
    await stack.start(make_service(None))
    http = await Http(stack).open(trusted_proxies=[ip_network("127.0.0.1/32")])
    try:
        await told_from_afar(stack, http)
    finally:
        await http.close()


async def told_from_afar(stack: Stack, http: Http) -> None:
    far = {**AGENT, "X-Forwarded-For": "198.51.100.77"}
    answer = await http.client.post("/api/users", json={"username": "mia", "role": "viewer"}, headers=far)
    assert answer.status_code == 201
    [made] = await records(stack, "gateway.user.create")
    assert made["client"] == {"address": "198.51.100.77", "agent": "probe/1?x"}
    mia = http.of((await http.client.post("/api/tokens", json={"username": "mia", "label": "x"})).json()["token"])
    for client, path, status in ((http.of(None), "/api/me", 401), (http.of("hg_x"), "/api/me", 401),
                                 (mia, "/api/audit/entries", 403)):  # fmt: skip
        assert (await client.get(path, headers=far)).status_code == status
    await http.edge.refusals.flush()
    counted = await stack.heard(refusals_counted)
    assert counted.data["strangers"] == [{"route": "/api/me", "status": 401, "count": 2}]
    assert [one["who"] for one in counted.data["items"]] == ["mia"]
    logged = await records(stack, "gateway.refusals.counted")
    [alone] = [one for one in logged if one["event_id"] != counted.id]
    assert len(logged) == 2
    [row] = alone["event"]["data"]["items"]
    assert (row["who"], row["status"], row["count"]) == ("address:198.51.100.77", 401, 2)
    assert (alone["outcome"], alone["subject"]) == ("refused", counted.subject)
    assert (await verified(stack))["valid"]
    told = await stack.bus.js.stream_info(stack.topology.events_stream)
    for seq in range(1, told.state.last_seq + 1):
        said = (await stack.bus.js.get_msg(stack.topology.events_stream, seq)).data or b""
        assert b"probe/1" not in said
        assert b"198.51.100.77" not in said
        assert b"client" not in said
    # What the log has taken is not kept on the way.
    kept = await stack.bus.js.stream_info(stack.topology.records_stream)
    assert (kept.state.messages, kept.state.last_seq > 0) == (0, True)


async def test_what_a_command_is_about_and_what_it_belongs_to(stack: Stack) -> None:
    await stack.start(make_service(None), TRACKER)
    assert (await stack.command(patch_item, {"item_id": 7, "status": "done"}, actor="bob")).status == 404
    for service in ("tracker", "audit"):
        await stack.idle(service)
    [one] = (await listed(stack, type="tracker.item.patch"))["items"]
    assert (one["subject"], one["issue"], one["outcome"], one["actor"]) == ("7", "item:7", "refused", "bob")
    assert "7" in one["reason"]
    assert b'"done"' not in orjson.dumps(one)  # nothing of the body


async def test_records_wait_while_the_log_is_away(stack: Stack) -> None:
    await stack.start(GATEWAY)
    sent = [await stack.post(create_site, {"site": f"s{number}", "title": "S"}) for number in range(30)]
    for command_id in sent:
        assert (await stack.outcome(command_id)).status == 201
    await stack.start(make_service(None))
    found = await records(stack, "gateway.site.create")
    assert sorted(one["event_id"] for one in found) == sorted(sent)
    assert (await verified(stack))["checked_count"] == 60


async def test_a_buried_command_leaves_a_record_and_its_replay_another(
    stack: Stack, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.common.loop.NAK_DELAYS_S", (0.01,) * MAX_ATTEMPTS)
    pool = http.running.pool
    superuser = await stack.superuser()
    await superuser.execute("ALTER TABLE gateway.sites RENAME TO away")
    answer = await http.client.post("/api/sites", json={"site": "west", "title": "W"}, headers=AGENT)
    assert answer.status_code == 500, answer.text
    [failed] = await records(stack, "gateway.site.create")
    assert (failed["outcome"], failed["subject"], failed["client"]["agent"]) == ("failed", "west", "probe/1?x")
    command_id = failed["causationid"]
    await superuser.execute("ALTER TABLE gateway.away RENAME TO sites")
    await superuser.close()
    letter_id = await pool.fetchval("SELECT letter_id FROM dead_letters")
    kept = await pool.fetchval("SELECT payload FROM dead_letters")
    shown = (await http.client.get(f"/api/dead-letters/gateway/{letter_id}")).json()["payload"]
    for name, secret in (("clientaddress", "127.0.0.1"), ("clientagent", "probe/1")):
        assert orjson.loads(kept)[name].startswith("p1.")
        assert secret not in kept.decode()
        assert orjson.loads(shown)[name] == "masked"
    answer = await http.client.post(f"/api/dead-letters/gateway/{letter_id}/replay")
    assert answer.status_code == 200, answer.text
    found = await records(stack, "gateway.site.create")
    assert [(one["event_id"] == command_id, one["outcome"]) for one in found] == [(False, "failed"), (True, "applied")]
