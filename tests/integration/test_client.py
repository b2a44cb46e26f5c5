"""The tool against the real gateway and services: from a report to GO, items and a verified audit log."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from deploy.demo.reports import watchdog
from libs.client.errors import ApiError
from libs.client.generated.build import Made
from libs.client.generated.faces import by_hand
from libs.client.generated.places import with_routes
from libs.client.http import Client
from libs.common.cloudevents import format_time
from libs.common.contracts.base import Query
from libs.common.contracts.tracker.items import item_opened
from libs.common.outbound import Outbound
from libs.common.settings import Settings
from libs.common.vault import Vault
from services.audit.service import make_service as make_audit
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.metrics.service import SERVICE as METRICS
from services.notifier.service import make_service as make_notifier
from services.operations.service import make_service as make_operations
from services.tracker.service import SERVICE as TRACKER
from tests.command_line import Tool
from tests.http_edge import OWNER, Http
from tests.integration.backup_desk import record_deployment, report_rehearsal
from tests.integration.notifier_desk import VAULT_SECRET
from tests.integration.notifier_typed import archived, name_channel, subscribe
from tests.integration.test_audit_mirror import LOG, log_signed
from tests.stack import Stack
from tests.unit.governance.samples import sarif

pytestmark = [pytest.mark.integration, pytest.mark.whole]

JUDGING = ("tracker.readiness.get", "tracker.autopilot.anomalies", "tracker.escalation.check")  # by their exit codes
DOCUMENTS = (
    *("chains", "calendar", "sla-rules", "assignment", "autopilot-policy", "freezes", "kinds", "signers", "groups"),
    *("token-policy", "federation", "security-policy", "probes", "templates", "retention-policy", "mttr-slo-policy"),
    *("noise-policy", "sign-in", "session-policy", "second-factor-policy"),
)
ABOUT = ("--subject", "app", "--version", "1.0")
ACME = '{"providers": [{"name": "acme", "issuer": "https://login.acme.com", "client_id": "headgate"}]}'
MORE = {"governance.freezes.preview": ABOUT[:2], "governance.plan.get": ("--gate", "release"),
        "gateway.sign_in.try": ("--provider", "acme", "--claims", "{}", "--content", ACME)}  # fmt: skip
JUNIT_ONE = b'<testsuite><testcase classname="t" name="a"/></testsuite>'
JUNIT = (
    '<testsuite tests="2" failures="{failed}"><testcase classname="t" name="a"/>'
    '<testcase classname="t" name="b">{mark}</testcase></testsuite>'
)
COBERTURA = (
    '<coverage line-rate="1" lines-valid="1" lines-covered="1"><packages><package name="p"><classes>'
    '<class name="a" filename="a.py"><lines><line number="1" hits="1"/></lines></class>'
    "</classes></package></packages></coverage>"
)
SARIF = {
    "version": "2.1.0",
    "runs": [{"tool": {"driver": {"name": "scanner"}}, "results": [], "invocations": [{"executionSuccessful": True}]}],
}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    notifier = make_notifier(Outbound(("127.0.0.0/8",)), Vault.from_secret(VAULT_SECRET))
    operations = make_operations(Settings())
    await stack.start(make_service(packaged_policies()), TRACKER, make_audit(LOG), METRICS, notifier, operations)
    edge = await Http(stack).open(vault_secret=SecretStr(VAULT_SECRET))
    yield edge
    await edge.close()


async def send_reports(tool: Tool, http: Http, *, failed: bool) -> None:
    junit = JUNIT.format(failed=int(failed), mark="<failure/>" if failed else "")
    reports: dict[str, str | bytes] = {
        "junit": junit,
        "cobertura": COBERTURA,
        "sarif": json.dumps(SARIF),
        "alertmanager": watchdog(http.stack.clock()),
    }
    for report_format, content in reports.items():
        about = ABOUT if report_format != "alertmanager" else ABOUT[:2]  # alerts tell of no single version
        result = await tool("report", "send", report_format, "-", *about, stdin=content)
        assert result.exit_code == 0, result.output


async def test_from_reports_to_no_go_to_go_with_proof(http: Http, tool: Tool, tmp_path: Path) -> None:
    result = await tool("gate", "explain", "release", "--subject", "app")
    assert result.exit_code == 2
    await send_reports(tool, http, failed=True)
    result = await tool("gate", "run", "release", *ABOUT)
    assert result.exit_code == 1, result.output
    assert "1 of 2 tests failed" in result.stdout
    newest = str(json.loads((await tool("gate", "history", "release", "--json")).stdout)["items"][0]["run_id"])
    assert "Nobody has said" in (await tool("gate", "seen-by", "release", newest)).stdout
    assert (await tool("gate", "mark-seen", "release", newest)).exit_code == 0
    assert "owner" in (await tool("gate", "seen-by", "release", newest)).stdout
    await http.stack.heard(item_opened)
    listed = json.loads((await tool("items", "list", "--gate", "release", "--json")).stdout)
    assert [item["rule_id"] for item in listed] == ["tests_passed"]
    number = str(listed[0]["id"])
    assert (await tool("items", "patch", number, "--assignee", "ann", "--status", "in_progress")).exit_code == 0
    result = await tool("gate", "explain", "release", "--subject", "app")
    assert "QA Lead (ann), by " in result.stdout
    csv = await tool("plan", "show", "--gate", "release", *ABOUT, "--csv")
    assert csv.stdout.splitlines()[1].split(",")[1] == "tests_passed"

    http.stack.clock.advance(seconds=1)
    await send_reports(tool, http, failed=False)
    result = await tool("items", "sync", "--gate", "release", *ABOUT)
    assert result.exit_code == 0, result.output
    assert "1 resolved, 0 active" in result.stdout
    result = await tool("gate", "run", "release", *ABOUT)
    assert result.exit_code == 0, result.output

    for service in ("governance", "tracker", "audit"):  # in this order: what one sent, the next has taken
        await http.stack.idle(service)
    result = await tool("audit", "verify")
    assert result.exit_code == 0, result.output
    assert "Recomputed here: the chain holds, entries 1 to " in result.stdout
    file = tmp_path / "audit.jsonl"
    assert (await tool("audit", "export", str(file))).exit_code == 0
    assert (await tool("audit", "verify", "--offline", str(file))).exit_code == 0
    result = await tool("events", "tail", "--from-start", "--count", "3", "--type", "governance.gate.decided", "--json")
    assert [json.loads(line)["data"]["decision"] for line in result.stdout.splitlines()] == ["no_go", "go", "go"]


async def test_roles_and_tokens(http: Http, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await tool("sites", "create", "plant-1", "--title", "Plant 1")).exit_code == 0
    created = await tool("users", "create", "bob", "--role", "auditor", "--scope", "plant-1")
    assert created.exit_code == 0, created.output
    token = (await tool("tokens", "issue", "ci", "--user", "bob")).stdout.strip()
    monkeypatch.setenv("HEADGATE_TOKEN", token)
    assert "bob" in (await tool("me")).stdout
    refused = await tool("gate", "run", "operations", "--site", "plant-1")
    assert refused.exit_code == 2
    assert "gate:run" in refused.stderr
    foreign = await tool("items", "list", "--site", "global")
    assert foreign.exit_code == 1
    assert (await tool("audit", "verify")).exit_code == 2


async def test_a_report_is_signed_by_the_tool_and_known_by_its_signer(http: Http, tool: Tool, tmp_path: Path) -> None:
    key, form = Ed25519PrivateKey.generate(), serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    (tmp_path / "unit tests.xml").write_text(JUNIT.format(failed=0, mark=""))
    body = json.dumps({"content": {"keys": [{"name": "ci", "pem": public}]}, "reason": "CI signs"})
    published = await tool("signers", "publish", "--file", "-", stdin=body)
    assert published.exit_code == 0, published.output
    words = ("report", "send", "junit", str(tmp_path / "unit tests.xml"), *ABOUT, "--json")
    sent = await tool(*words, "--sign-with", str(tmp_path / "key.pem"))
    assert sent.exit_code == 0, sent.output
    assert json.loads(sent.stdout)["items"][0]["signer"] == "key:global/ci"
    for more, said in (
        (("--sign-with", str(tmp_path / "unit tests.xml")), "no private key in PEM"),
        (("--identity-token", "NO_SUCH_VARIABLE"), "is empty"),
        (("--signature", str(tmp_path / "key.pem")), "no DSSE envelope"),
    ):
        refused = await tool(*words, *more)
        assert refused.exit_code
        assert said in refused.output


async def accept_baseline(tool: Tool, folder: Path) -> str:
    """Ask that a finding is accepted; the number that it got."""
    (folder / "scan.sarif").write_bytes(sarif([{"ruleId": "R", "level": "error", "message": {"text": "old"}}]))
    sent = await tool("report", "send", "sarif", str(folder / "scan.sarif"), *ABOUT)
    assert sent.exit_code == 0, sent.output
    until = format_time(datetime.now(UTC) + timedelta(days=1))
    asked = await tool("baselines", "accept", "release", "app@1.0", "--until", until, "--reason", "old", "--json")
    assert asked.exit_code == 0, asked.output
    return str(json.loads(asked.stdout)["accepted_id"])


async def publish_documents(tool: Tool) -> None:
    """Each as it is in force."""
    for document in DOCUMENTS:
        content = json.loads((await tool(document, "show", "--json")).stdout)["content"]
        body = json.dumps({"content": content, "reason": "first"})
        published = await tool(document, "publish", "--file", "-", stdin=body)
        assert published.exit_code == 0, published.output


async def archive_verified(http: Http, tool: Tool) -> None:
    """An archive of the log up to now, and its verification begun."""
    await log_signed(tool)
    month = {"month": f"{http.stack.clock():%Y-%m}"}
    assert (await tool("audit", "archive", "make", month["month"])).exit_code == 0
    assert (await http.client.post("/api/audit/archive-verifications", json=month)).status_code == 201


async def test_every_reading_command_reads_from_real_services(http: Http, tool: Tool, tmp_path: Path) -> None:
    await send_reports(tool, http, failed=True)
    run = json.loads((await tool("gate", "run", "release", *ABOUT, "--json")).stdout)
    assert (await tool("ops-gate", "run")).exit_code == 1
    await http.stack.heard(item_opened)
    for job in ("kpi", "escalation", "auto_assign", "autopilot"):
        assert (await tool("jobs", "run", f"ops_governance_remediation_{job}")).exit_code == 0
    checked = json.loads((await tool("ops", "check", "--json")).stdout)
    await publish_documents(tool)
    item = json.loads((await tool("items", "list", "--gate", "release", "--json")).stdout)[0]
    text = packaged_policies()["release"].text
    file = tmp_path / "release.yaml"
    file.write_text(text)
    for words in (["push", str(file), "--reason", "ours"], ["save", "release", "--content", text]):
        done = await tool("policies", *words, "--json")
        assert done.exit_code == 0, done.output
    waiver = await tool(
        "waivers", "request", "--gate", "release", "--rule-id", "tests_passed", "--subject", "app", "--issue", "OPS-1",
        "--ends-at", format_time(datetime.now(UTC) + timedelta(days=1)), "--reason", "known", "--json",
    )  # fmt: skip
    assert waiver.exit_code == 0, waiver.output
    backtest = await tool("policies", "backtest", "release", "--json")  # of the draft that was saved
    assert backtest.exit_code == 0, backtest.output
    keys = json.loads((await tool("capsule-keys", "list", "--json")).stdout)
    subscription_id, delivery_id = await subscribe(tool)
    await archive_verified(http, tool)
    assert (await tool("guard", "recover-batch")).exit_code == 0
    await report_rehearsal(tool)
    for words in (
        ["accounts", "create", "--name", "api-availability", "--role", "viewer", "--purpose", "a name for all"],
        ["audit", "verify", "--server"],
        ["teams", "create", "ops", "--purpose", "runs all"],
    ):
        assert (await tool(*words)).exit_code == 0, words
    work = json.loads((await tool("audit", "entries", "--actor", "owner", "--limit", "1", "--json")).stdout)["items"]
    share = await tool("shares", "create", "run", "--gate", "release", "--run", str(run["run_id"]))
    assert re.fullmatch(f"{http.url}/s#hgs_[0-9A-Za-z]{{49}}\n", share.stdout), share.output
    given = {
        "share_id": "1", "team": "ops", "subject": "app", "seq": "1", "from_size": "1", "name": "api-availability",
        "permission": "me:read", "trace_id": work[0]["trace_id"], "event_id": work[0]["event_id"], "actor": "owner",
        "resource_type": "tracker.item", "resource_id": "1", "role": "viewer", "delivery_id": delivery_id,
        "subscription_id": subscription_id, "channel_id": await name_channel(tool), "number": "1",
        "archive_id": await archived(http.stack, tool, delivery_id), "key_id": keys[0]["key_id"],
        "digest": hashlib.sha256(text.encode()).hexdigest(), "waiver_id": str(json.loads(waiver.stdout)["waiver_id"]),
        "backtest_id": str(json.loads(backtest.stdout)["backtest_id"]), "deployment_id": await record_deployment(tool),
        "accepted_id": await accept_baseline(tool, tmp_path),
        "gate": "release", "run_id": str(run["run_id"]), "item_id": str(item["id"]), "username": "owner",
        "signal_id": str(run["rules"][0]["facts_used"][0]), "version": "1", "check_run_id": str(checked["run_id"]),
        "report_run_id": str(json.loads((await tool("quality", "run", "--json")).stdout)["run_id"]),
        "integrity_run_id": str(json.loads((await tool("integrity", "run", "--json")).stdout)["run_id"]),
    }  # fmt: skip
    read = 0
    for operation in with_routes():
        if not isinstance(operation, Query) or by_hand(operation) is not None:
            continue
        assert operation.http is not None
        made = Made(operation, operation.http)
        words = [*made.face.path.split(" "), *(given[word.lower()] for word in made.words if word.lower() in given)]
        words += MORE.get(operation.name, ())
        if made.face.target and operation.name != "governance.runs.list":
            words += ["app@1.0"]
        for more in ((), ("--json",)):
            result = await tool(*words, *more)
            judged = made.face.judges or operation.name in JUDGING
            assert result.exit_code in ((0, 1) if judged else (0,)), (words, result.output)
            assert result.stdout.strip(), words
        if operation.http.file is None:  # a file comes as it is
            json.loads(result.stdout)
        read += 1
    assert read >= 20


async def test_a_long_list_is_followed_to_its_end(http: Http, tool: Tool) -> None:
    events = [
        {"specversion": "1.0", "id": str(number), "source": "/t", "type": "com.acme.built"} for number in range(7)
    ]
    assert (await tool("signal", "send", "-", stdin=json.dumps(events))).exit_code == 0
    page = await tool("signal", "list", "--limit", "3")
    assert "--all" in page.stderr
    assert len(page.stdout.splitlines()) == 1 + 3
    whole = await tool("signal", "list", "--limit", "3", "--all")
    assert (whole.stderr, len(whole.stdout.splitlines())) == ("", 1 + 7)


async def test_the_typed_client(http: Http) -> None:
    def work() -> dict[str, Any]:
        with Client(http.url, OWNER) as client:
            with pytest.raises(ApiError) as caught:
                client.patch_item(77, status="done")
            return {
                "me": client.me().username,
                "missing": caught.value.status,
                "runs": client.gate_runs("operations").items,
                "decision": client.run_gate("operations").decision,
                "again": [
                    client.call("governance.gate.run", gate="operations", idempotency_key="k")["run_id"]
                    for _ in range(2)
                ],
            }

    found = await asyncio.to_thread(work)
    assert (found["me"], found["missing"], found["runs"], found["decision"]) == ("owner", 404, [], "no_go")
    assert found["again"][0] == found["again"][1]


async def test_a_broken_newest_report_is_explained(http: Http, tool: Tool, tmp_path: Path) -> None:
    await send_reports(tool, http, failed=False)
    assert (await tool("gate", "run", "release", *ABOUT)).exit_code == 0
    (tmp_path / "default.xml").write_text("<testsuites><testsuite")
    sent = await tool("report", "send", "junit", str(tmp_path / "default.xml"), *ABOUT)
    assert (sent.exit_code, sent.stdout) == (1, "")
    assert "The JUnit report is not well-formed XML: unclosed token: line 1, column 12." in sent.stderr
    assert "It is kept as signal 5: the rules that read test.junit fail until one comes that can be read" in sent.stderr
    http.stack.clock.advance(minutes=5)
    assert (await tool("gate", "run", "release", *ABOUT)).exit_code == 1
    told = await tool("gate", "explain", "release", *ABOUT[:2])
    for text in (
        "reason The test report (signal 5) is broken: The JUnit report is not well-formed XML: unclosed token: line 1, "
        "column 12. It may have been cut off; the last good one, signal 1, is 5 minutes old; wanted valid data.",
        "wanted valid data baseline 1 facts signal 5: test.junit default by owner, /reports/junit, 5 min old; ",
        "was signal 1 trend +- who mends it QA Lead, by ",
    ):
        assert text in " ".join(told.stdout.split()), told.stdout
    kinds = await tool("signal", "kinds")
    assert "ops.preflight" in kinds.output, kinds.output
    shown = await tool("signal", "show", "5")
    assert '"head": "<testsuites><testsuite"' in shown.stdout


async def test_the_part_comes_from_the_files_name_over_plain_http_too(http: Http, tool: Tool) -> None:
    client = await http.user("ci", "operator")
    about = {"subject": "app", "version": "1.0"}
    for headers, more, part in (
        ({"Content-Disposition": 'attachment; filename="out/unit.xml"'}, {}, "unit"),
        ({"Content-Disposition": "attachment; filename*=UTF-8''it%20slow.xml"}, {}, "it-slow"),
        ({b"Content-Disposition": 'attachment; filename="결제-unit.xml"'.encode()}, {}, "결제-unit"),
        ({"Content-Disposition": 'attachment; filename="x.xml"'}, {"file": "e2e.xml"}, "e2e"),
        ({"Content-Disposition": 'attachment; filename="x.xml"'}, {"part": "mine"}, "mine"),
        ({}, {}, "default"),
    ):
        answer = await client.post("/api/signals/junit", params=about | more, content=JUNIT_ONE, headers=headers)
        assert (answer.status_code, answer.json()["items"][0]["part"]) == (201, part)
    # An empty file can't be read: it is refused, kept, and fails its rule like any other.
    empty = await client.post("/api/signals/junit", params=about, content=b"")
    assert (empty.status_code, "is empty" in empty.json()["detail"], empty.json()["signal_id"]) == (422, True, 7)
    assert (await client.get("/api/signals/7")).json()["data"]["bytes"] == 0


GATE_SH = Path(__file__).parents[2] / "deploy" / "ci" / "gate.sh"


async def test_a_pipeline_judges_by_the_script(http: Http, tool: Tool, tmp_path: Path) -> None:
    """The script of the GitHub action and the GitLab template, with the real tool."""
    report, summary = tmp_path / "unit=1.xml", tmp_path / "summary.md"
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = {"GATE": "release", "SUBJECT": "app", "VERSION": "1.0|<b>", "REPORTS": f"junit={report}\n", "PATH": tools}

    async def judged(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **told, "SUMMARY": str(summary), **more}
        return await asyncio.to_thread(
            subprocess.run,
            ["sh", str(GATE_SH)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    missing = await judged()
    assert (missing.returncode, "gate.sh: not sent: junit=" in missing.stderr) == (2, True), missing
    report.write_text(JUNIT.format(failed=1, mark="<failure/>"))
    failed = await judged()
    assert failed.returncode == 1, failed
    text = summary.read_text()
    assert text.startswith("## NO GO: app 1.0&#124;&#60;b&#62;\n")
    assert "1 of 2 tests failed &#40;" in text  # what was sent makes no markup
    about = ("--subject", "app", "--version", "1.0|<b>")
    report.write_text(JUNIT.format(failed=0, mark=""))
    await tool("report", "send", "cobertura", "-", *about, stdin=COBERTURA)
    await tool("report", "send", "sarif", "-", *about, stdin=json.dumps(SARIF))
    await tool("report", "send", "alertmanager", "-", *about[:2], stdin=watchdog(http.stack.clock()))
    http.stack.clock.advance(seconds=1)
    good = await judged()
    assert good.returncode == 0, good
    assert summary.read_text().startswith("## GO: app")
    assert (await tool("gate", "admit", "release", *about)).exit_code == 0
    for name in ("HEADGATE_TOKEN", "VERSION"):
        assert (await judged(**{name: ""})).returncode == 2
    assert (await judged(HEADGATE_URL="http://127.0.0.1:9")).returncode == 2
