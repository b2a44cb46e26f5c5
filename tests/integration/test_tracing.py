"""One request is one trace: all spans of a gate run hang together, from HTTP to the tracker's SQL, and logs name it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Kinds
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from libs.common import telemetry
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker.items import item_opened
from libs.common.telemetry import log, stop_tracing
from services.audit.service import make_service as make_audit
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.tracker.service import SERVICE as TRACKER
from tests.http_edge import Http
from tests.otlp import Receiver
from tests.stack import Stack

pytestmark = pytest.mark.integration
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REQUEST = "0190a1b2-0000-7000-8000-000000000001"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": REQUEST}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A collector that services started from now on export to."""
    with Receiver() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        yield made
        stop_tracing()


async def test_a_gate_run_is_one_tree_from_http_to_the_trackers_sql(stack: Stack, receiver: Receiver) -> None:
    await stack.start(make_audit(None), make_service(packaged_policies()), TRACKER)
    http = await Http(stack).open()
    try:
        ran = await http.client.post("/api/ops/governance/gate/run", json={}, headers=HEADERS)
        assert ran.status_code == 200, ran.text
        assert ran.json()["decision"] == "no_go", ran.text
        decided = await stack.heard(gate_decided)
        await stack.heard(item_opened)
        for name in ("tracker", "audit"):
            await stack.idle(name)
    finally:
        await http.close()
    stop_tracing()

    roots, spans = receiver.tree(TRACE)
    assert [(span.service, span.name, span.parent) for span in roots] == [
        ("gateway", "POST /api/ops/governance/gate/run", PARENT)
    ]
    root = roots[0]
    assert root.kind == Kinds.SPAN_KIND_SERVER
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["headgate.request_id"] == REQUEST
    assert ran.headers["traceparent"] == f"00-{TRACE}-{root.span_id}-01"
    # An event belongs to the span that made it.
    maker = next(span for span in spans if span.span_id == decided.traceparent[36:52])
    assert (maker.service, maker.name) == ("governance", "process governance.ops_gate.run")
    assert maker.kind == Kinds.SPAN_KIND_CONSUMER
    assert maker.attributes["messaging.system"] == "nats"

    paths = {tuple(receiver.path(span)) for span in spans}
    command = (
        "gateway: POST /api/ops/governance/gate/run",
        "gateway: send governance.ops_gate.run",
        "governance: process governance.ops_gate.run",
    )
    heard = (*command, "tracker: process governance.gate.decided")
    assert {
        (*command[:1], "gateway: sql SELECT"),
        (*command, "governance: sql INSERT"),
        (*command, "governance: send governance.gate.decided"),
        (*heard, "tracker: sql INSERT"),
        (*heard, "tracker: send tracker.item.opened"),
    } <= paths
    # The audit log writes sets of events of many requests: its span links to each.
    written = [span for span in receiver.spans if span.name == "process audit-events"]
    linked = {trace for span in written for trace, _ in span.links}
    assert TRACE in linked
    inside = {span.name for span in receiver.spans if span.parent in {one.span_id for one in written}}
    assert "sql INSERT" in inside


async def test_a_query_and_a_refusal_are_traced_too(stack: Stack, receiver: Receiver) -> None:
    await stack.start(TRACKER)
    http = await Http(stack).open()
    try:
        listed = await http.client.get("/api/ops/governance/gate/remediation/tracker/items", headers=HEADERS)
        assert listed.status_code == 200, listed.text
        refused = await http.client.get("/api/gates")  # governance is not running
        assert refused.status_code == 503
    finally:
        await http.close()
    stop_tracing()
    roots, spans = receiver.tree(TRACE)
    assert len(roots) == 1
    top = "gateway: GET /api/ops/governance/gate/remediation/tracker/items"
    paths = {tuple(receiver.path(span)) for span in spans}
    assert (top, "tracker: answer tracker.items.list", "tracker: sql SELECT") in paths
    failed = [span for span in receiver.spans if span.attributes.get("http.route") == "/api/gates"]
    assert [span.failed for span in failed] == [True]
    assert refused.json()["trace_id"] == failed[0].trace_id


async def test_a_collector_that_is_away_costs_three_seconds_at_the_most(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as gone:
        url = gone.url
    monkeypatch.setattr(telemetry, "_FLUSH_WITHIN_S", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    http = await Http(stack).open()
    answer = await http.client.get("/api/me")
    await http.close()
    await stack.stop("gateway")
    stop_tracing()  # pytest would hang here, and at its end, if it waited for the collector
    assert answer.status_code == 200


OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"}


async def exemplars(http: Http, route: str) -> set[str]:
    """The trace ids to which the times of a route point."""
    page = await http.client.get("/metrics", headers=OPEN_METRICS)
    assert page.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    return {
        sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(page.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_bucket" and sample.labels["route"] == route and sample.exemplar
    }


async def test_a_time_to_an_answer_points_to_its_trace_if_there_is_one(stack: Stack, receiver: Receiver) -> None:
    route, other = "/api/me/sessions", "/api/roles"
    http = await Http(stack).open()
    try:
        for path in (route, other):
            flags = "01" if path == route else "00"  # of the second the caller says that it is not sampled
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
            assert (await http.client.get(path, headers=headers)).status_code == 200
        assert await exemplars(http, route) == {TRACE}
        assert await exemplars(http, other) == set()
        plain = await http.client.get("/metrics")
        assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert TRACE not in plain.text
        stop_tracing()
        assert [span.attributes["http.route"] for span in receiver.tree(TRACE)[0]] == [route]
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert (await http.client.get(other, headers=headers)).status_code == 200
        assert await exemplars(http, other) == set()  # nobody takes spans any more
    finally:
        await http.close()


async def test_logs_carry_the_trace_and_the_request(stack: Stack, lines: io.StringIO) -> None:
    await stack.start(make_service(packaged_policies()))
    superuser = await stack.superuser()
    await superuser.execute("DROP TABLE governance.signals CASCADE")
    await superuser.close()
    http = await Http(stack).open()
    try:
        with telemetry.span("tracker", "work", HEADERS["traceparent"], request_id=REQUEST):
            log.info("inside")
        log.info("outside")
        logging.getLogger("a.library").warning("from a %s", "library")
        broken = await http.client.get("/api/signals", headers=HEADERS)
        assert broken.status_code == 500
    finally:
        await http.close()
    logged = {line["event"]: line for line in map(json.loads, lines.getvalue().splitlines())}
    for event in ("inside", "query failed"):
        assert logged[event]["trace_id"] == TRACE, event
        assert logged[event]["request_id"] == REQUEST, event
    assert (logged["from a library"]["logger"], logged["from a library"]["level"]) == ("a.library", "warning")
    assert "trace_id" not in logged["outside"]
    assert "request_id" not in logged["outside"]


async def test_a_link_that_opens_something_is_in_no_span(stack: Stack, receiver: Receiver, lines: io.StringIO) -> None:
    http = await Http(stack).open()
    try:
        for path in ("/a/v1.0123456789abcdef.c2VjcmV0", "/a/v1.0123456789abcdef.c2VjcmV0/", "/a/v1.c2VjcmV0/more"):
            assert (await http.of(None).get(path, headers=HEADERS)).status_code == 404
    finally:
        await http.close()
    stop_tracing()
    found = {span.attributes.get("url.path") for span in receiver.spans if span.kind == Kinds.SPAN_KIND_SERVER}
    assert found == {"/a/"}
    assert not [span for span in receiver.spans if "c2VjcmV0" in str(span)]
    assert "c2VjcmV0" not in lines.getvalue()
