"""The tool: what it sends, what it prints, and which exit code tells what."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from libs.client import cli
from libs.client.config import load
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal
from tests.unit.client.samples import NOW, gate_run, item, me, receipts

RUNS = "/api/gates/release/runs"
ITEMS = "/api/ops/governance/gate/remediation/tracker/items"
BOARD = "/api/ops/governance/gate/remediation/tracker"


@pytest.mark.parametrize(("decision", "code", "word"), [("go", 0, "GO"), ("no_go", 1, "NO-GO")])
def test_a_verdict_is_an_exit_code(gateway: FakeGateway, tool: Tool, decision: str, code: int, word: str) -> None:
    gateway.on(f"POST {RUNS}", Says(gate_run(decision), 201))
    result = tool("gate", "run", "release", "--subject", "app", "--version", "1.0", "--site", "plant-1")
    assert result.exit_code == code
    assert result.stdout.startswith(f"{word}  release gate, app 1.0")
    assert "tests_passed" in result.stdout
    assert gateway.asked[0].json == {"subject": "app", "version": "1.0"}
    assert gateway.asked[0].query == {"site": ["plant-1"]}


@pytest.mark.parametrize("status", [401, 403, 404, 422, 500])
def test_a_gate_that_could_not_judge_is_no_verdict(gateway: FakeGateway, tool: Tool, status: int) -> None:
    gateway.on(f"POST {RUNS}", refusal(status, "It can't be judged."))
    result = tool("gate", "run", "release")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "headgate: It can't be judged.\n"


def test_json_is_the_answer_as_it_came(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"POST {RUNS}", Says(gate_run("no_go"), 201))
    result = tool("gate", "run", "release", "--json")
    assert json.loads(result.stdout) == gate_run("no_go")
    assert result.exit_code == 1


def test_explain_says_who_mends_what_by_when(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"GET {RUNS}", Says({"items": [gate_run("no_go")]}))
    run = gate_run("no_go")
    run["rules"][0]["notes"] = ["unit: In suite 's' 1 test is announced and 2 are there."]
    gateway.on(f"GET {RUNS}/3", Says(run))
    gateway.on(f"GET {ITEMS}", Says([item()]))
    result = tool("gate", "explain", "release", "--subject", "app")
    assert result.exit_code == 1
    for text in ("2 of 5 tests failed", "0 failed", "QA Lead (ann), by 2026-03-01 15:00:00Z", "Mend the failing tests"):
        assert text in result.stdout
    for text in ("  notes", "unit: In suite 's' 1 test is announced and 2 are there."):
        assert text in result.stdout


def test_explain_without_the_right_to_see_items_computes_the_due_time(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"GET {RUNS}/3", Says(gate_run("no_go")))
    gateway.on(f"GET {ITEMS}", refusal(403, "No."))
    result = tool("gate", "explain", "release", "3")
    assert "QA Lead, by 2026-03-01 17:00:00Z" in result.stdout


def test_explain_before_the_first_run_is_no_verdict(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"GET {RUNS}", Says({"items": []}))
    result = tool("gate", "explain", "release")
    assert result.exit_code == 2
    assert "has not judged this yet" in result.stderr


def test_history(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"GET {RUNS}", Says({"items": [gate_run("no_go"), gate_run(run_id=2)]}))
    result = tool("gate", "history", "release", "--limit", "2")
    assert "NO-GO" in result.stdout
    assert gateway.asked[0].query == {"limit": ["2"]}


def test_text_from_outside_is_neither_markup_nor_control(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"GET {ITEMS}", Says([item(reason="[red]x[/red] \x1b[2J\u202e\nnext", assignee=None)]))
    result = tool("items", "list", "--gate", "release", "--status", "pending", "--all")
    assert "[red]x[/red]" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "nobody" in result.stdout
    wanted = {
        "gate": ["release"], "status": ["pending"], "include_inactive": ["true"], "limit": ["200"],
        "overdue": ["false"], "sort": ["priority"],
    }  # fmt: skip
    assert gateway.asked[0].query == wanted


def test_items_are_changed(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on(f"PATCH {ITEMS}/4", Says(item(status="in_progress")))
    result = tool("items", "patch", "4", "--assignee", "", "--status", "in_progress", "--note", "n", "--unchecked")
    assert result.stdout == "Item 4 (tests_passed): in_progress, ann\n"
    sent = {"assignee": "", "status": "in_progress", "completion_note": "n", "completion_checked": False}
    assert gateway.asked[0].json == sent
    assert tool("items", "patch", "4").exit_code == 2


def test_a_board_that_is_not_ready(gateway: FakeGateway, tool: Tool) -> None:
    counts = dict.fromkeys(
        ("total_items", "active_count", "closed_count", "pending_count", "in_progress_count", "done_count",
         "blocked_count", "completion_rate_percent", "missing_assignee_count", "critical_open_count", "overdue_count",
         "missing_completion_checked_count", "unverified_done_count", "readiness_score_percent"), 1,
    )  # fmt: skip
    answer = counts | {"generated_at": NOW, "ready": False, "blockers": ["1 item is pending."]}
    gateway.on(f"GET {BOARD}/readiness", Says(answer))
    gateway.on(f"GET {BOARD}/overview", Says(answer))
    result = tool("items", "readiness", "--gate", "release", "--subject", "app")
    assert result.exit_code == 1
    assert "1 item is pending." in result.stdout
    assert "overdue count" in tool("items", "overview").stdout
    gateway.on(f"POST {BOARD}/complete", refusal(409, "Not ready.", blockers=["1 item is pending."]))
    result = tool("items", "complete", "--note", "x")
    assert result.exit_code == 1
    assert result.stderr == "  1 item is pending.\nheadgate: Not ready.\n"


def test_a_plan_as_table_and_csv(gateway: FakeGateway, tool: Tool) -> None:
    summary = {"total_candidates": 1, "fail_count": 1, "warning_count": 0, "item_count": 1, "critical_path_count": 1}
    plan = {
        "generated_at": NOW, "gate_generated_at": NOW, "decision": "no_go", "include_warnings": True, "max_items": 30,
        "summary": summary, "items": [item(item_id="GR-001")],
    }  # fmt: skip
    gateway.on("GET /api/gates/release/remediation", Says(plan), Says(b"item_id\n", 200, {"Content-Type": "text/csv"}))
    assert "NO-GO: 1 of 1 items" in tool("plan", "show", "--gate", "release").stdout
    assert tool("plan", "show", "--gate", "release", "--csv", "--no-warnings").stdout == "item_id\n"
    assert gateway.asked[1].query == {"include_warnings": ["false"], "max_items": ["30"]}


# --- what is sent in -----------------------------------------------------------------------------------------------


def test_several_reports_are_told_apart_by_name(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    files = [tmp_path / "unit tests.xml", tmp_path / "e2e.xml"]
    for file in files:
        file.write_text("<testsuites/>")
    gateway.on("POST /api/signals/junit", Says(receipts(), 201))
    result = tool("report", "send", "junit", *map(str, files), "--subject", "app", "--version", "1.0")
    assert result.exit_code == 0
    assert [asked.query["part"] for asked in gateway.asked] == [["unit-tests"], ["e2e"]]
    assert [asked.query["file"] for asked in gateway.asked] == [["unit tests.xml"], ["e2e.xml"]]
    assert gateway.asked[0].body == b"<testsuites/>"
    assert tool("report", "send", "junit", *map(str, files), "--part", "x").exit_code == 2


def test_one_report_has_the_part_of_its_name_too(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text("")
    file = str(tmp_path / "unit.xml")
    gateway.on("POST /api/signals/junit", Says(receipts(), 201))
    gateway.on("POST /api/signals/sarif", Says(receipts(), 201))
    tool("report", "send", "junit", file)
    tool("report", "send", "junit", file, "--part", "mine")
    tool("report", "send", "junit", "-", stdin="<x/>")
    tool("report", "send", "sarif", file)
    told = [(asked.query.get("part"), asked.query.get("file")) for asked in gateway.asked]
    # An empty report is sent like any other: an older good one must not stay in charge because of it.
    assert told == [(["unit"], ["unit.xml"]), (["mine"], ["unit.xml"]), (None, None), (None, ["unit.xml"])]
    assert gateway.asked[0].body == b""


def test_names_in_any_script_tell_reports_apart(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    files = [tmp_path / "결제-unit.xml", tmp_path / "주문-unit.xml"]
    for file in files:
        file.write_text("<testsuites/>")
    gateway.on("POST /api/signals/junit", Says(receipts(), 201))
    assert tool("report", "send", "junit", *map(str, files)).exit_code == 0
    assert [asked.query["part"] for asked in gateway.asked] == [["결제-unit"], ["주문-unit"]]


def test_a_report_that_is_not_valid_is_no_success(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("POST /api/signals/sarif", Says(receipts(valid=False, problems=["no results"]), 201))
    result = tool("report", "send", "sarif", "-", stdin="{}")
    assert result.exit_code == 1
    assert "no results" in result.stdout
    assert "1 of 1 signals are not valid" in result.stderr


def test_what_was_read_of_a_report_is_told(gateway: FakeGateway, tool: Tool) -> None:
    said = {"summary": "2 tests: 2 passed", "notes": ["In suite \x1b 1 test is announced."], "incomplete": True}
    gateway.on("POST /api/signals/junit", Says(receipts(**said), 201))
    result = tool("report", "send", "junit", "-", stdin="<x/>")
    assert result.exit_code == 0
    assert "recorded as incomplete" in result.stdout
    assert "unit: 2 tests: 2 passed\n  note: In suite \ufffd 1 test is announced.\n" in result.stdout
    assert "1 of 1 reports are incomplete and will fail their rule." in result.stderr


def test_a_file_that_is_refused_does_not_keep_back_the_others(gateway: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    files = [tmp_path / "a.xml", tmp_path / "b.xml"]
    for file in files:
        file.write_text("<x/>")
    gateway.on("POST /api/signals/junit", refusal(422, "It is cut off."), Says(receipts(), 201))
    result = tool("report", "send", "junit", *map(str, files))
    assert (result.exit_code, len(gateway.asked)) == (1, 2)
    assert "recorded" in result.stdout
    assert f"headgate: {files[0]} is refused: It is cut off." in result.stderr
    gateway.on("POST /api/signals/junit", refusal(403, "No."))
    assert tool("report", "send", "junit", *map(str, files)).exit_code == 1
    assert len(gateway.asked) == 3


@pytest.mark.parametrize("name", ["missing.xml", "."])
def test_nothing_is_sent_when_a_file_can_not_be_read(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, name: str
) -> None:
    (tmp_path / "good.xml").write_text("<x/>")
    result = tool("report", "send", "junit", str(tmp_path / "good.xml"), str(tmp_path / name))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert gateway.asked == []


def test_an_unknown_format(tool: Tool) -> None:
    assert "junit, trx, nunit, xunit, tap, gotest" in " ".join(tool("report", "send", "xls", "x").stderr.split())


def test_data_become_a_cloudevent(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("POST /api/signals", Says(receipts(), 201))
    sent = (
        "signal",
        "send",
        "-",
        "--kind",
        "ops.preflight",
        "--part",
        "p",
        "--id",
        "7",
        "--source",
        "me",
        "--version",
        "2",
    )
    assert tool(*sent, stdin='{"error_count": 0}').exit_code == 0
    asked = gateway.asked[0]
    assert asked.headers["content-type"] == "application/cloudevents-batch+json"
    event = {
        "specversion": "1.0", "id": "7", "source": "me", "type": "ops.preflight", "part": "p",
        "datacontenttype": "application/json", "data": {"error_count": 0},
    }  # fmt: skip
    assert asked.json == [event]
    assert asked.query == {"version": ["2"]}


def test_many_cloudevents_go_in_batches(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("POST /api/signals", Says(receipts(), 201))
    events = [{"specversion": "1.0", "id": str(number), "source": "s", "type": "t"} for number in range(501)]
    assert tool("signal", "send", "-", stdin=json.dumps(events)).exit_code == 0
    assert [len(asked.json) for asked in gateway.asked] == [500, 1]
    assert tool("signal", "send", "-", "--part", "x", stdin="{}").exit_code == 2
    assert "is not JSON" in tool("signal", "send", "-", stdin="{").stderr


# --- login, general, errors ----------------------------------------------------------------------------------------


def test_login_reads_the_token_and_keeps_it(
    gateway: FakeGateway, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADGATE_TOKEN")
    monkeypatch.delenv("HEADGATE_URL")
    gateway.on("GET /api/me", refusal(401, "Unknown token."), Says(me()))
    path = tmp_path / "config" / "headgate" / "config.toml"
    assert tool("login", "--url", gateway.url, stdin="hg_bad\n").exit_code == 1
    assert not path.exists()
    result = tool("login", "--url", gateway.url, stdin="hg_good\n")
    assert result.exit_code == 0
    assert "hg_good" not in result.output
    assert load(path).tokens == {gateway.url: "hg_good"}
    assert tool("me").exit_code == 0
    assert gateway.asked[-1].headers["authorization"] == "Bearer hg_good"
    assert tool("logout").exit_code == 0
    assert "No token is kept for" in tool("me").stderr
    assert "No token was given" in tool("login", "--url", gateway.url, stdin="\n").stderr


def test_a_token_of_another_gateway_is_not_sent(
    gateway: FakeGateway, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADGATE_TOKEN")
    gateway.on("GET /api/me", Says(me()))
    assert tool("login", stdin="hg_good\n").exit_code == 0
    other = gateway.url.replace("127.0.0.1", "localhost")
    assert "No token is kept for" in tool("me", "--url", other).stderr
    assert len(gateway.asked) == 1


def test_status(gateway: FakeGateway, tool: Tool) -> None:
    report = {
        "ready": True,
        "all_up": False,
        "checks": {"nats": "ok"},
        "services": {"tracker": "down"},
        "warnings": ["w"],
    }
    gateway.on("GET /api/status", Says(report, 503), Says(report))
    result = tool("status")
    assert result.exit_code == 2
    assert "tracker  down" in result.stdout
    assert tool("status", "--json").exit_code == 0


def test_a_token_is_alone_on_stdout(gateway: FakeGateway, tool: Tool) -> None:
    token = {
        "token_id": 2, "username": "ann", "label": "ci", "fingerprint": "ab", "sites": ["*"], "created_at": NOW,
        "expires_at": NOW, "token": "hg_new",
    }  # fmt: skip
    gateway.on("POST /api/tokens", Says(token, 201))
    result = tool("tokens", "issue", "ci", "--user", "ann", "--scope", "plant-1", "--scope", "plant-2", "--hours", "8")
    assert result.stdout == "hg_new\n"
    sent = {"label": "ci", "username": "ann", "sites": ["plant-1", "plant-2"], "expires_in_hours": 8}
    assert gateway.asked[0].json == sent


def test_any_operation_can_be_called(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("POST /api/users", Says({"username": "bob"}, 201))
    result = tool(
        "call", "gateway.user.create", "username=bob", "role=viewer", 'sites:=["a","b"]', "--idempotency-key", "k"
    )
    assert json.loads(result.stdout) == {"username": "bob"}
    assert gateway.asked[0].json == {"username": "bob", "role": "viewer", "sites": ["a", "b"]}
    assert gateway.asked[0].headers["idempotency-key"] == "k"
    for wrong in ("role", "role:=[", "=x", "nme=bob"):
        assert tool("call", "gateway.user.create", wrong).exit_code == 2
    assert "gateway.user.create" in tool("operations").stdout


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("refused", 1), ("pending", 2)])
def test_what_became_of_a_command(gateway: FakeGateway, tool: Tool, state: str, code: int) -> None:
    gateway.on("GET /api/commands/tracker.0-1", Says({"state": state}))
    assert tool("command", "tracker.0-1").exit_code == code
    assert tool("command", "../me").exit_code == 2


def test_events_are_shown_and_counted(gateway: FakeGateway, tool: Tool) -> None:
    event = {"time": "2026-03-01T09:00:00Z", "site": "global", "actor": "ann", "data": {"item": item()}}
    frames = (
        'retry: 10\r\n\r\nid: 9-0\r\nevent: gap\r\ndata: {"reason":"x"}\r\n\r\n'
        f"id: 9-1\r\nevent: tracker.item.opened\r\ndata: {json.dumps(event)}\r\n\r\n"
    )
    gateway.on("GET /api/events", Says(frames.encode(), 200, {"Content-Type": "text/event-stream"}))
    result = tool("events", "tail", "--from-start", "--count", "1", "--type", "tracker.item.opened")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "tracker.item.opened" in result.stdout
    assert "rule_id=tests_passed" in result.stdout
    assert gateway.asked[0].headers["last-event-id"] == "0-0"
    result = tool("events", "tail", "--since", "9-7", "--count", "1", "--json")
    assert json.loads(result.stdout) == event
    assert "no longer held" in result.stderr


def test_errors_are_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HEADGATE_TOKEN", "hg_x")
    monkeypatch.setenv("HEADGATE_URL", f"http://127.0.0.1:{port}")
    calls = [["me"], ["gate", "run"], ["gate", "run", "x", "--nope"], ["nothing"], ["items", "show", "x"],
             ["me", "--url", "nowhere"], ["gate", "history", "x", "--limit", "0"]]  # fmt: skip
    for arguments in calls:
        assert cli.run(arguments) == 2, arguments
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("headgate: ")
        assert captured.err.count("\n") == 1, captured.err


def test_ctrl_c_is_no_traceback(gateway: FakeGateway, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("libs.client.http.Client.call", interrupted)
    result = tool("me")
    assert (result.exit_code, result.stderr) == (2, "headgate: Stopped.\n")


def test_main_ends_the_process_with_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("HEADGATE_TOKEN", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["me"])
    assert ended.value.code == 2
