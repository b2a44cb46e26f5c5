"""The whole EVENTS stream, read by the NATS client for Node and parsed by the CloudEvents SDK."""

from __future__ import annotations

import json
import uuid
from typing import Any

from libs.common.topology import Topology
from tests.outside.tools import run
from tests.outside.world import World, check, until

STREAM = "EVENTS"
_ATTRIBUTES = {"ce-specversion": "1.0", "ce-source": "/headgate/governance", "ce-site": "global", "ce-actor": "outside"}


def step(world: World) -> None:
    """Publish as an outside producer would, then read all: each event parses, and each is in the audit log."""
    published = _outside_events(Topology())
    file = world.folder / "publish.json"
    file.write_text(json.dumps(list(published.values())))
    read = _consume(world, str(file))
    buried = _buried(world, "audit")
    check("came on subject" in buried[0]["reason"], f"buried by audit: {buried[0]}")
    known = str(published["good"]["headers"]["ce-id"])

    def settled() -> tuple[dict[str, Any], int] | None:
        """The stream as read, once nothing new came meanwhile and the audit log has caught up."""
        found = _consume(world)
        verified = world.get("/api/audit/verify")
        check(verified["valid"], f"the audit chain does not verify: {verified}")
        events = _events_in_the_log(world)
        whole = found["count"] == found["last"] and found["count"] == events + len(buried)
        return (found, events) if whole else None

    found, entries = until("the audit log has every event of the stream but the one that it buried", settled)
    check(not found["unparsed"], f"the CloudEvents SDK can't parse {found['unparsed'][:3]}")
    check(found["ids"] == found["count"], f"{found['count']} events have {found['ids']} ids")
    check(known in world.http.get("/api/audit/entries", params={"limit": 200}).text, "binary mode is not in the log")
    wanted = ("governance.signal.recorded", "governance.gate.decided", "tracker.item.opened", "gateway.token.issued")
    missing = [name for name in (*wanted, "audit.deadletter.buried") if f"headgate.{name}.v1" not in found["types"]]
    check(not missing, f"the story has no {missing}")
    check(read["modes"]["binary"] == len(published), f"modes {read['modes']}")
    sdk = "@nats-io/jetstream, cloudevents"
    world.figure("events of the whole stream parsed, strictly", sdk, f"{found['count']} of {found['count']}")
    world.figure("types of events among them", sdk, str(len(found["types"])))
    world.figure("audit entries + buried by audit = events", sdk, f"{entries} + {len(buried)}")
    world.figure("binary mode from outside: accepted / buried", sdk, "1 / 1")


def _outside_events(topology: Topology) -> dict[str, dict[str, Any]]:
    """A good event in binary mode, and one that is not what its subject says."""

    def binary(name: str, type_: str, data: dict[str, Any]) -> dict[str, Any]:
        headers = _ATTRIBUTES | {"ce-id": str(uuid.uuid4()), "ce-type": type_, "Content-Type": "application/json"}
        subject = topology.event_subject_named(name, "global")
        return {"subject": subject, "headers": headers, "body": json.dumps(data)}

    return {
        "good": binary("governance.signal.repeated", "headgate.governance.signal.repeated.v1", {"count": 1}),
        "foreign": binary("governance.signal.recorded", "com.example.build.finished", {}),
    }


def _events_in_the_log(world: World) -> int:
    """How many entries are events; the others are records of commands, which are on no stream that others read."""
    exported = world.http.get("/api/audit/export.ndjson")
    check(exported.status_code == 200, exported.text[:500])
    return sum("outcome" not in json.loads(line)["event"] for line in exported.text.splitlines())


def _consume(world: World, *publish: str) -> dict[str, Any]:
    command = [world.tools.node, "consume.mjs", STREAM, *publish]
    code, said = run(command, 60, NATS_URL=world.stack.servers.nats_url)
    check(code == 0, f"consume.mjs: {said[-1500:]}")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _buried(world: World, service: str) -> list[dict[str, Any]]:
    def items() -> Any:
        return world.get(f"/api/dead-letters/{service}")["items"]

    found: list[dict[str, Any]] = until(f"a dead letter of {service}", items)
    return found
