"""Reports that users sent, over the real path: `headgate report send`, a stored signal, `gate run`, `gate explain`."""

from __future__ import annotations

import csv
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.tracker.service import SERVICE as TRACKER
from tests.command_line import Tool, tool_at
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[1] / "reports"
with (FOLDER / "EXPECTED.tsv").open(encoding="utf-8") as lines:
    FILES = [row["file"] for row in csv.DictReader(lines, delimiter="\t")]
REFUSED = "16-junit-entity.xml"
# What `report send` says of each, and what `gate explain` says of the rule that reads it; None: the rule passes.
SAID = {
    "01-cobertura-doctype.xml": ("1 of 2 lines, 50 %", "50 percent"),
    "02-cobertura-attributes-exceed-lines.xml": ("2 of 3 lines, 66.66 %", "66.66 percent"),
    "03-cobertura-nan-no-lines.xml": ("no line of code", "covers 0 lines of code"),
    "04-cobertura-announces-far-more.xml": ("recorded as incomplete", "1000 lines are announced and 2 are there"),
    "05-junit-nameless-class-failure.xml": ("1 error (shop.CartTest::(nameless test 1))", "nameless test 1"),
    "06-junit-more-elements-than-announced.xml": ("3 tests: 3 passed", None),
    "07-junit-failure-announced-as-error.xml": ("1 passed, 1 failed (shop::b)", "1 of 2 tests failed (shop::b)"),
    "08-junit-retried-in-place.xml": ("1 test: 1 passed of which 1 flaky (failed, then passed: shop::a)", "flaky"),
    "09-junit-surefire-flaky.xml": ("2 passed of which 1 flaky (failed, then passed: shop::a)", "flaky"),
    "10-junit-empty-attributes.xml": ("1 test: 1 passed", None),
    "11-junit-doctype.xml": ("1 test: 1 passed", None),
    "12-junit-ansi-colours.xml": ("1 passed, 1 failed (shop::a)", "1 of 2 tests failed (shop::a)"),
    "13-junit-announces-more-tests.xml": ("recorded as incomplete", "40 tests are announced and 2 are there"),
    "14-junit-announces-a-failure-it-does-not-show.xml": ("1 passed, 1 failed", "1 of 2 tests failed (1 that no"),
    "15-sarif-utf16.sarif": ("1 finding: 1 high", "1 findings of level high or critical are new"),
}
NOTES = {
    "02-cobertura-attributes-exceed-lines.xml": "The attributes claim 3 of 4 lines, the lines show 2 of 3",
    "06-junit-more-elements-than-announced.xml": "In suite 'shop' 2 tests are announced and 3 are there.",
    "07-junit-failure-announced-as-error.xml": "0 failures and 1 error are announced; 1 failure and 0 errors are there",
}
RULES = {"junit": "tests_passed", "cobertura": "coverage_line", "sarif": "sarif_no_new_high"}


@pytest_asyncio.fixture
async def tool(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Tool]:
    # `gate explain` asks the tracker who mends what, and has patience while it is away.
    await stack.start(make_service(packaged_policies()), TRACKER)
    edge = await Http(stack).open()
    yield tool_at(edge.url, monkeypatch, tmp_path)
    await edge.close()


async def test_each_case_gives_what_users_want(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    resolve = socket.getaddrinfo

    def look_up(host: object, *more: Any, **named: Any) -> Any:
        asked.append(host)
        return resolve(host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for file in FILES:
        if file == REFUSED:
            continue
        said, reason = SAID[file]
        format_, about = file.split("-")[1].partition(".")[0], ("--subject", file, "--version", "1")
        sent = await tool("report", "send", format_, str(FOLDER / file), *about)
        assert sent.exit_code == 0, sent.output
        text = " ".join(sent.stdout.split())
        assert "recorded" in text
        assert said in text
        assert NOTES.get(file, "") in text
        assert ("note:" in text) is (file in NOTES or file.startswith(("04", "08")))
        run = await tool("gate", "run", "release", *about, "--json")
        assert run.exit_code == 1  # the other reports are missing
        rule = next(rule for rule in json.loads(run.stdout)["rules"] if rule["id"] == RULES[format_])
        assert rule["passed"] is (reason is None)
        assert (reason or "") in rule["message"]
        assert NOTES.get(file, "") in " ".join(rule["notes"])
        if file in NOTES:
            told = await tool("gate", "explain", "release", *about)
            assert NOTES[file] in " ".join(told.stdout.split())
    assert [host for host in asked if host not in ("127.0.0.1", b"127.0.0.1", None)] == []


async def test_a_refused_file_does_not_keep_back_the_others(tool: Tool) -> None:
    files = [str(FOLDER / REFUSED), str(FOLDER / "10-junit-empty-attributes.xml")]
    sent = await tool("report", "send", "junit", *files, "--subject", "app", "--version", "1")
    assert sent.exit_code == 1
    assert "10-junit-empty-attributes: 1 test: 1 passed" in sent.stdout
    assert f"{REFUSED} is refused: The JUnit report's DOCTYPE declares entities or elements of its own" in sent.stderr


async def test_a_shown_signal_says_what_was_read(tool: Tool) -> None:
    await tool(
        "report", "send", "junit", str(FOLDER / "09-junit-surefire-flaky.xml"), "--subject", "app", "--version", "1"
    )
    signal = json.loads((await tool("signal", "show", "1", "--json")).stdout)
    assert signal["summary"].startswith("2 tests: 2 passed of which 1 flaky")
    assert (signal["data"]["flaky"], signal["data"]["flaky_tests"], signal["notes"]) == (1, ["shop::a"], [])
    listed = json.loads((await tool("signal", "list", "--json")).stdout)
    assert listed["items"][0]["summary"] == ""
