"""Spans over OTLP: one request is one tree over processes."""

from __future__ import annotations

import secrets

from tests.local_traffic import OPS
from tests.outside.world import StepFailed, World, check, until

LEAVES = {
    ("governance", "sql INSERT"),
    ("governance", "send governance.gate.decided"),
    ("tracker", "process governance.gate.decided"),
    ("tracker", "sql INSERT"),
    ("tracker", "send tracker.board.synced"),
}


def step(world: World) -> None:
    """A sync is the longest way: gateway, tracker, governance, tracker again; all of it under one root."""
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"traceparent": f"00-{trace}-{parent}-01"}
    world.post(f"{OPS}/remediation/tracker/sync", status=200, json={}, headers=headers)

    def missing() -> set[tuple[str, str]]:
        return LEAVES - {(span.service, span.name) for span in world.receiver.tree(trace)[1]}

    try:
        until("the spans of a sync", lambda: not missing())
    except AssertionError as error:
        came = sorted({(span.service, span.name) for span in world.receiver.tree(trace)[1]})
        raise StepFailed(f"{error}; missing {missing()}, came {came}") from error
    # Spans come in any order: until the last has come, one in the middle may look like the root.
    until("one root of all spans", lambda: [one.parent for one in world.receiver.tree(trace)[0]] == [parent])
    roots, spans = world.receiver.tree(trace)
    root = roots[0]
    check((root.service, root.parent) == ("gateway", parent), f"the root is {root}")
    services = {span.service for span in spans}
    check(services >= {"gateway", "governance", "tracker"}, f"spans of {services}")

    def audited() -> bool:
        return any(
            (trace, span.span_id) in late.links
            for span in spans
            for late in list(world.receiver.spans)
            if late.name == "process audit-events"
        )

    until("a span of the audit log that links to the request", audited)
    depth = max(len(world.receiver.path(span)) for span in spans)
    world.figure("one sync: spans / roots / services / depth", "OTLP over HTTP",
                 f"{len(spans)} / {len(roots)} / {len(services)} / {depth}")  # fmt: skip
