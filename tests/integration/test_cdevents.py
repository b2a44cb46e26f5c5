"""CDEvents in, through the endpoint of signals, and out, as a representation of what gates decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.runs import GateRevoked, gate_revoked
from libs.common.contracts.governance.signals import get_signal, record_signals
from services.gateway import cdevents
from tests.http_edge import Http
from tests.integration.governance_desk import run, start
from tests.integration.test_gateway_events import reading
from tests.stack import Answer, Stack
from tests.unit.gateway.test_cdevents import check_shape
from tests.unit.governance.samples import tiny_policy
from tests.unit.governance.test_cdevents import PURL, RUN, cdevent

pytestmark = pytest.mark.integration

POLICY = tiny_policy(
    name="name: shop",
    settings="",
    subject_mode="subject_mode: version",
    scope="    scope: version",
    kind="    kind: deploy.status",
    condition="    condition: \"'staging' in derived.succeeded\"",
    observed='    observed: "{derived.succeeded_count} deployed"',
).decode()


class Line:
    """A delivery line that tells of its services; each event has an id of its own."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.count = stack, 0

    def event(self, what: tuple[str, str], content: dict[str, Any], seconds: int = 0, **more: Any) -> dict[str, Any]:
        """An event of so many seconds from now."""
        self.count += 1
        at = format_time(self.stack.clock() + timedelta(seconds=seconds))
        data = cdevent(*what, content, timestamp=at, **more)
        return {"id": f"e{self.count}", "source": "/ci", "type": data["context"]["type"], "subject": "x", "data": data}

    async def send(self, *events: dict[str, Any], **more: Any) -> Answer:
        return await self.stack.command(record_signals, {"signals": list(events), **more})

    async def service(self, predicate: str, version: str = "", seconds: int = 0, **more: Any) -> Answer:
        return await self.send(self.of_service(predicate, version, seconds, **more), subject="shop")

    def of_service(self, predicate: str, version: str = "", seconds: int = 0, **more: Any) -> dict[str, Any]:
        artifact = {"artifactId": f"pkg:oci/shop@{version}"} if version else {}
        content = {"environment": {"id": "staging"}, **artifact}
        return self.event(("service", predicate), content, seconds, id="shop-web", **more)

    async def may_go(self, version: str) -> bool:
        decision: str = (await run(self.stack, gate="shop", subject="shop", version=version))["decision"]
        return decision == "go"


@pytest.fixture
async def line(stack: Stack) -> Line:
    await start(stack)
    answer = await stack.command(publish_policy, {"gate": "shop", "content": POLICY, "reason": "Deployed to staging"})
    assert answer.status == 200, answer
    return Line(stack)


async def test_a_run_is_a_fact_of_the_version_that_it_names(line: Line) -> None:
    told = {"subject": "shop", "version": "1.0"}
    answer = await line.send(line.event(("pipelinerun", "finished"), RUN, custom=told))
    (item,) = answer.json["items"]
    assert (item["kind"], item["part"], item["subject"], item["version"]) == (
        "ci.pipeline", "build pipelinerun", "shop", "1.0",
    )  # fmt: skip
    answer = await line.send(line.event(("pipelinerun", "finished"), RUN), subject="till", version="2.0")
    assert [(one["subject"], one["version"]) for one in answer.json["items"]] == [("till", "2.0")]
    answer = await line.send(line.event(("artifact", "signed"), {}, id=PURL))
    (item,) = answer.json["items"]
    assert (item["kind"], item["subject"], item["version"]) == ("artifact.step", "pkg:oci/shop", "sha256:5f2b")
    assert item["judged"]


async def test_what_can_not_be_judged_is_kept_as_it_is_and_says_why(line: Line) -> None:
    events = [
        line.event(("pipelinerun", "finished"), RUN),
        line.event(("incident", "detected"), {"description": "down"}),
        line.event(("environment", "created"), {}),
    ]
    answer = await line.send(*events)
    assert answer.status == 201, answer
    assert [item["judged"] for item in answer.json["items"]] == [False] * 3
    kept = await line.stack.query(get_signal, {"signal_id": answer.json["items"][0]["signal_id"]})
    assert kept.json["kind"] == "dev.cdevents.pipelinerun.finished.0.3.0"
    assert kept.json["data"]["subject"] == events[0]["data"]["subject"]
    assert "subject" in kept.json["notes"][0]
    again = await line.send(*events)
    assert [item["duplicate"] for item in again.json["items"]] == [True] * 3
    broken = {**events[0], "id": "broken", "data": {"subject": 7}}
    assert (await line.send(broken)).status == 422


async def test_a_deployment_that_is_rolled_back_is_none(line: Line) -> None:
    await line.service("deployed", "1.0")
    line.stack.clock.advance(minutes=1)
    await line.service("upgraded", "1.1")
    assert await line.may_go("1.0")
    assert await line.may_go("1.1")
    line.stack.clock.advance(minutes=1)
    # The artifact of a rollback is the one that is there now, so the one that went is what was told before.
    answer = await line.service("rolledback", "1.0")
    assert answer.json["items"][0]["version"] == "1.1"
    assert not await line.may_go("1.1")
    assert await line.may_go("1.0")
    line.stack.clock.advance(minutes=1)
    await line.service("deployed", "1.1")
    assert await line.may_go("1.1"), "deployed again"


async def test_no_order_leaves_a_deployment_in_force_that_was_undone(line: Line) -> None:
    alone = await line.service("removed")
    assert (alone.status, "send it after" in alone.json["detail"]) == (409, True)
    await line.service("deployed", "1.0", -60)
    await line.service("rolledback", "0.9", -20)  # of 1.1, whose deployment comes late
    late = await line.service("deployed", "1.1", -30)
    assert late.status == 201
    assert not await line.may_go("1.1")
    # Within one request, too, and by their own times.
    events = [line.of_service("deployed", "2.0", -10), line.of_service("rolledback", "1.0", -5)]
    assert (await line.send(*events, subject="shop")).status == 201
    assert not await line.may_go("2.0")
    named = await line.service("removed", "", 0, custom={"version": "1.0"})
    assert named.json["items"][0]["version"] == "1.0"
    assert not await line.may_go("1.0")


async def test_what_is_undone_is_what_was_there_then(line: Line) -> None:
    for version, seconds in (("1.0", -60), ("1.1", -50), ("1.3", -10)):
        await line.service("deployed", version, seconds)
    late = await line.service("rolledback", "1.0", -30)
    assert late.json["items"][0]["version"] == "1.1", "the deployment of 1.3 came after it"
    again = await line.service("rolledback", "0.9", -20)
    assert again.json["items"][0]["version"] == "1.0", "1.1 was undone already"
    assert [await line.may_go(version) for version in ("1.0", "1.1", "1.3")] == [False, False, True]


async def test_a_decision_goes_out_as_an_approval(stack: Stack) -> None:
    edge = await Http(stack).open(public_url="https://gate.example")
    try:
        told = GateRevoked(
            gate="shop", site="global", subject="shop", version="1.0", revoked_run_id=7, run_id=None,
            revoked_at=stack.clock(), reasons=["old"],
        )  # fmt: skip
        async with reading(edge.client, params={"format": "cdevents"}) as frames:
            await edge.site("other")  # no decision
            event_id = await stack.publish(gate_revoked, told)
            frame = await frames.next()
        assert frame["event"] == cdevents.TYPE
        content = check_shape(frame["data"])
        assert (frame["data"]["id"], content["status"]) == (event_id, "rejected")
        assert content["approvalDetailsUrl"].startswith("https://gate.example/api/gates/shop/runs/7")
        for params in ({"format": "xml"}, {"format": "cdevents", "type": "tracker.board.synced"}):
            assert (await edge.client.get("/api/events", params=params)).status_code == 422
        ours = {"type": gate_revoked.name}
        async with reading(edge.client, params=ours, headers={"Last-Event-ID": frame["id"]}) as frames:
            await stack.publish(gate_revoked, told)
            assert (await frames.next())["event"] == gate_revoked.name, "ours, as ever"
    finally:
        await edge.close()
