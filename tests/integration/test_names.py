"""Names as people have them, from end to end: HTTP, facts, verdict, board, CSV, audit, events, metrics, the tool."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.governance.runs import run_gate
from libs.common.contracts.tracker.items import item_opened
from services.audit.service import make_service as make_audit
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.tracker.service import SERVICE as TRACKER
from tests.command_line import Tool
from tests.http_edge import Http
from tests.integration.governance_desk import event, send, start
from tests.integration.test_gateway_events import reading
from tests.stack import Stack
from tests.unit.governance.samples import case, junit

pytestmark = pytest.mark.integration

BOARD = "/api/ops/governance/gate/remediation/tracker"
FRIENDLY = (
    ("acme/payments-api", "2"),
    ("Payments_API", "release/2026-11"),
    ("web.shop", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("pkg:oci/app@sha256:9f86d081", "1.4.0+build 7"),
    ("@acme/api", "v1"),
    ("결제 API 🩷", "2026년 11월"),
)
HOSTILE = (
    ("=cmd|' /C calc'!A0", "+1"),
    ("a.>", "*"),
    ("../../etc/passwd", ".."),
    ("%2e%2e%2f%00?x=1&subject=y#z", "%ED%A0%80"),
    ("'; DROP TABLE governance.runs; --", "$1"),
    ("<script>alert(1)</script>", "{{7*7}}"),
    ("[bold]x[/bold] \\", '"'),
    ("e\u0301", "\u00e9"),
    ("\u00e9", "e\u0301"),
    ("N" * 200, "🩷" * 200),
)
REFUSED = (
    "", " ", " a", "a ", "x" * 201, "a\x00b", "a\nb", "a\tb", "\x7f", "a\u0085b", "a\u00a0b", "a\u200bb", "\ufeffa",
    "a\u202eb", "a\u2066b", "a\u2028b", "a\u2029b", "a\ue000b", "a\ufffeb", "a\u3000b", "a\u00adb",
)  # fmt: skip
# Four bytes each in UTF-8 and no two neighbours alike, so that nothing packs them: the most that an index must hold.
WIDE = [chr(0x20000 + number * 37 % 40_000) for number in range(2_000)]


def wide(first: int, length: int) -> str:
    return "".join(WIDE[first : first + length])


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_service(packaged_policies()), TRACKER, make_audit(None))
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def ok(answer: httpx2.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.parametrize("names", [FRIENDLY, HOSTILE], ids=["friendly", "hostile"])
async def test_names_are_taken_everywhere_and_mean_only_themselves(
    http: Http, names: tuple[tuple[str, str], ...]
) -> None:
    client = http.client
    for place, (subject, version) in enumerate(names):
        about = {"subject": subject, "version": version}
        report = junit(case("a"), case("b", "<failure/>" if place % 2 else ""))
        sent = await ok(await client.post("/api/signals/junit", params={**about, "part": version}, content=report))
        assert [(one["subject"], one["version"], one["part"]) for one in sent["items"]] == [(subject, version, version)]
        run = await ok(await client.post("/api/gates/release/runs", json=about))
        assert (run["subject"], run["version"], run["run_number"]) == (subject, version, 1)
        tests = next(rule for rule in run["rules"] if rule["id"] == "tests_passed")
        assert tests["facts_used"] == [sent["items"][0]["signal_id"]]
        assert tests["passed"] is not bool(place % 2), tests
    await http.stack.idle("governance")
    await http.stack.idle("tracker")
    await http.stack.idle("audit")
    for subject, version in names:
        about = {"subject": subject, "version": version}
        for path in ("/api/gates/release/runs", "/api/signals"):
            listed = (await ok(await client.get(path, params=about)))["items"]
            assert [(one["subject"], one["version"]) for one in listed] == [(subject, version)], path
        of_board = {"gate": "release", "subject": subject}
        items = await ok(await client.get(f"{BOARD}/items", params=of_board))
        assert {(item["subject"], item["version"]) for item in items} == {(subject, version)}
        assert (await ok(await client.get(f"{BOARD}/overview", params=of_board)))["total_items"] == len(items)
        synced = await ok(await client.post(f"{BOARD}/sync", json={**of_board, "version": version}))
        assert (synced["created_count"], synced["active_count"]) == (0, len(items))
        plan = await client.get(f"/api/gates/release/remediation.csv?subject={quote(subject)}&version={quote(version)}")
        assert len(list(csv.reader(io.StringIO(plan.text)))) == 1 + len(items)
    await http.stack.idle("tracker")
    await http.stack.idle("audit")
    for subject, _ in names:
        audited = await client.get(
            "/api/audit/entries", params={"subject": f"release/{subject}"}, headers={"Accept": "text/csv"}
        )
        rows = list(csv.DictReader(io.StringIO(audited.text)))
        assert {row["subject"] for row in rows} == {f"release/{subject}"}
        assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


async def test_names_stay_out_of_subjects_and_labels(http: Http) -> None:
    subject = "acme/secret-name > *"
    async with reading(http.client, params={"type": "governance.gate.decided"}) as frames:
        about = {"subject": subject, "version": "sha256:\u2603"}
        await ok(await http.client.post("/api/signals/junit", params=about, content=junit(case("a"))))
        await ok(await http.client.post("/api/gates/release/runs", json=about))
        frame = await frames.next()
        assert (frame["data"]["data"]["subject"], frame["data"]["data"]["version"]) == (subject, "sha256:\u2603")
    await http.stack.heard(item_opened)
    streams = http.stack.topology
    for stream in (streams.events_stream, streams.commands_stream):
        info = await http.stack.bus.js.stream_info(stream, subjects_filter=">")
        assert info.state.subjects or stream == streams.commands_stream, "the check would be blind"
        assert not any("secret" in one or "*" in one for one in info.state.subjects or {}), info.state.subjects
    assert "secret-name" not in (await http.client.get("/metrics")).text


async def test_what_is_no_name_is_refused_with_a_reason(http: Http) -> None:
    for text in REFUSED:
        for field in ("subject", "version"):
            body = {"subject": "shop", "version": "1", field: text}
            refused = [
                await http.client.post("/api/gates/release/runs", json=body),
                await http.client.post("/api/signals/junit", params=body, content=junit(case("a"))),
                await http.client.get("/api/signals", params=body),
            ]
            for answer in refused:
                assert answer.status_code == 422, (ascii(text), field, answer.text)
                assert field in answer.json()["detail"] or "NUL" in answer.json()["detail"]
    answer = await http.client.get("/api/signals", params={"subject": "pay\u200bments"})
    assert "character 4 is U+200B (ZERO WIDTH SPACE)" in answer.json()["detail"]
    lone = b'{"subject":"\\ud800","version":"1"}'
    answer = await http.client.post(
        "/api/gates/release/runs", content=lone, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert (await http.client.get("/api/signals?subject=%ED%A0%80")).status_code == 422


async def test_a_binary_cloudevent_names_what_it_is_about_in_its_headers(http: Http) -> None:
    headers = {
        "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/ci", "ce-type": "com.acme.built",
        "ce-subject": quote("acme/결제 \"100%\"", safe="/"), "ce-version": '"release/2026 \\"a\\""', "ce-part": "50%",
        "Content-Type": "application/json",
    }  # fmt: skip
    sent = await ok(await http.client.post("/api/signals", content=b"{}", headers=headers))
    one = sent["items"][0]
    assert (one["subject"], one["version"], one["part"]) == ('acme/결제 "100%"', 'release/2026 "a"', "50%")


async def test_the_tool_takes_them(http: Http, tool: Tool) -> None:
    name, version = "pkg:oci/app@sha256:9f86d081", "release/2026-11"
    about = ("--subject", name, "--version", version)
    sent = await tool("report", "send", "junit", "-", *about, "--part", "unit tests", stdin=junit(case("a")))
    assert sent.exit_code == 0, sent.output
    for target in ((f"{name}@{version}",), (name, "--version", version), about):
        ran = await tool("gate", "run", "release", *target, "--json")
        assert ran.exit_code == 1, ran.output
        run = json.loads(ran.stdout)
        assert (run["subject"], run["version"]) == (name, version)
        listed = json.loads((await tool("gate", "history", "release", *target, "--json")).stdout)
        assert {one["subject"] for one in listed["items"]} == {name}
        assert f"{name} {version}" in (await tool("gate", "explain", "release", *target)).stdout
    assert f"run {run['run_id']} " in (await tool("gate", "explain", "release", str(run["run_id"]))).stdout
    planned = await tool("plan", "show", f"{name}@{version}", "--gate", "release")
    assert "NO-GO" in planned.stdout
    assert (await tool("gate", "run", "release", "acme/payments-api@2")).exit_code == 1
    refused = await tool("gate", "run", "release", "pay\u200bments@2")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "U+200B" in refused.stderr


async def test_the_longest_names_fit_the_indexes(stack: Stack) -> None:
    await start(stack)
    data = {"line_rate_percent": 90, "lines_valid": 10, "lines_covered": 9}
    subject, version, part = wide(1200, 200), wide(1500, 200), wide(300, 200)
    for length, status in ((395, 422), (394, 201)):  # the id and the source share an index entry
        one = event(wide(0, 256), "coverage.cobertura", data, part=part, source=wide(600, length))
        answer = await send(stack, one, site="s" * 40, subject=subject, version=version)
        assert answer.status == status, answer
    target = {"gate": "release", "subject": subject, "version": version}
    run = await stack.command(run_gate, target, site="s" * 40)
    assert json.loads(json.dumps(run.json))["subject"] == subject
