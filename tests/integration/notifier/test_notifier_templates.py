"""Templates over HTTP: published, refused with their line, shown with an event."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.contracts.notifier.templates import MAX_BYTES
from tests.integration.notifier_desk import Desk
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def publish(desk: Desk, *templates: dict[str, Any], status: int = 200) -> Any:
    body = {"content": {"templates": templates}, "reason": "our words"}
    return await desk.ask("PUT", "/templates", body, status)


async def test_templates_are_published_and_shown_with_an_event_that_was_kept(desk: Desk) -> None:
    await desk.subscribe()
    event_id = await desk.halt()
    await desk.until("delivered")
    made = await publish(desk, {"name": "ops", "body": "Stop: {{ data.reason }}", "event_types": ["governance.*"]})
    assert (made["source"], made["version"]) == ("own", 1)
    shown = await desk.ask("POST", "/templates/preview", {"name": "ops", "event_id": event_id})
    assert (shown["text"], shown["html"]) == ("Stop: a test", "<p>Stop: a test</p>")
    assert (shown["event_name"], shown["templated"], shown["note"]) == ("governance.line.halted", True, "")
    plain = await desk.ask("POST", "/templates/preview", {"event_id": event_id, "language": "ko"})
    assert (plain["title"], plain["templated"]) == ("릴리스 중단: *", False)
    missing = await desk.ask("POST", "/templates/preview", {"name": "ops", "event_name": "tracker.item.opened"}, 404)
    assert "is for tracker.item.opened" in missing["detail"]


async def test_a_template_that_can_t_be_good_is_refused_with_its_line_and_reason(desk: Desk) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"body": "one\n{{ data. }}"}, "body", "line 2: "),
        ({"body": "{% for i in range(10**9) %}{% endfor %}"}, "body", "calls, such as range()"),
        ({"body": "x", "title": "{{ secret }}"}, "title", "secret is not known here"),
        ({"body": "x", "html": "<a href='{{ data.x }}'>"}, "html", "between tags only"),
        ({"body": "{{ 'a' * 10 }}"}, "body", "can't word any event"),
        ({"body": "{{ data.gone }}"}, "body", "has no attribute 'gone'"),
        ({"body": "x", "event_types": ["nobody.*"]}, "event_types", "no event is called so"),
    ]
    for fields, part, said in cases:
        refused = await publish(desk, {"name": "good", "body": "good"}, {"name": "bad", **fields}, status=422)
        assert refused["errors"][0]["field"] == f"content.templates.1.{part}", refused
        assert said in refused["errors"][0]["message"]
        shown = await desk.ask("POST", "/templates/preview", {"template": {"name": "bad", **fields}}, 422)
        assert said in shown["detail"]
    await publish(desk, {"name": "bad", "body": "é" * MAX_BYTES}, status=422)
    assert (await desk.ask("GET", "/templates"))["source"] == "default"


async def test_a_preview_shows_what_each_kind_of_channel_would(desk: Desk) -> None:
    hostile = "<!channel> [a](http://evil.example.com) <script>"
    event = {"type": "headgate.governance.line.halted.v1", "data": {"reason": hostile, "subjects": "*"}}
    shown = await desk.ask("POST", "/templates/preview", {"event": event})
    assert "&lt;!channel&gt;" in shown["slack"]
    assert r"\[a\]\(http://evil" in shown["teams"]
    assert "&lt;script&gt;" in shown["html"]
    assert {"label": "Why", "text": hostile} in shown["parts"]
    sample = await desk.ask("POST", "/templates/preview", {})
    assert sample["event_name"] == "governance.gate.decided"
    failing = await desk.ask(
        "POST", "/templates/preview", {"template": {"name": "x", "body": "{{ data.subjects }}"}}
    )  # fmt: skip
    assert "the built-in wording was sent" in failing["note"]
    await desk.ask("POST", "/templates/preview", {"event": {"type": 7}}, 422)
    await desk.ask("POST", "/templates/preview", {"event_name": "no.such.thing"}, 422)
    await desk.ask("POST", "/templates/preview", {"event_id": "0195a1b2-0000-7000-8000-000000000001"}, 404)


async def test_who_may_not_see_an_event_sees_no_preview_of_it(desk: Desk, stack: Stack) -> None:
    made = await desk.subscribe(event_types=["gateway.user.created"], endpoint=desk.sink.url("/users"))
    assert made["status"] == "active"
    operator = await desk.http.user("olga", "operator")
    [got] = await desk.sink.wait_for("/users")
    event_id = got.headers["webhook-id"].rpartition("-")[0]
    seen = await desk.ask("POST", "/templates/preview", {"event_id": event_id})
    assert seen["event_name"] == "gateway.user.created"
    answer = await operator.post("/api/templates/preview", json={"event_id": event_id})
    assert answer.status_code == 404, answer.text
    denied = await operator.put("/api/templates", json={"content": {"templates": []}, "reason": "x"})
    assert denied.status_code == 403
