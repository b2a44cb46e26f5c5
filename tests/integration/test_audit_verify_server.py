"""Verification by the server, asked for from the command line: who may, what it says, and how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.audit.service import make_service
from tests.command_line import Tool
from tests.http_edge import Http
from tests.integration.audit_desk import record
from tests.integration.test_audit_static import settled
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_service(SIGNER))
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def test_the_exit_code_says_what_the_server_found(http: Http, tool: Tool) -> None:
    stack = http.stack
    await record(stack, 20)
    await settled(stack)
    good = await tool("audit", "verify", "--server")
    assert good.exit_code == 0, good.output
    assert "Verification 1: entries 1 to 2" in good.stdout
    assert "signed checkpoints fit" in good.stdout
    new = json.loads((await tool("audit", "verify", "--server", "--incremental", "--json")).stdout)
    assert (new["mode"], new["status"], new["number"], new["from_seq"] > 20) == ("incremental", "valid", 2, True)
    superuser = await stack.superuser()
    await superuser.execute("UPDATE audit.entry SET actor = 'mallory' WHERE seq = 7")
    await superuser.close()
    bad = await tool("audit", "verify", "--server")
    assert bad.exit_code == 1, bad.output
    assert "Verification 3: the log is broken: entry 7 was changed: the column actor" in bad.stdout
    shown = json.loads((await tool("verifications", "show", "3", "--json")).stdout)
    assert (shown["first_bad_seq"], shown["verified_seq"], shown["started_by"]) == (7, 6, "owner")
    for more in (["--folder", "x"], ["--key", "x"]):
        assert (await tool("audit", "verify", "--server", *more)).exit_code == 2
    assert (await tool("audit", "verify", "--incremental")).exit_code == 2


async def test_who_may(http: Http, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Auditors of all sites; who may see some sites only may not set the whole log's verification going."""
    assert (await tool("sites", "create", "plant-1", "--title", "Plant 1")).exit_code == 0
    tokens = {}
    for name, role, scope in (("all", "auditor", "*"), ("some", "auditor", "plant-1"), ("sees", "operator", "*")):
        made = await tool("users", "create", name, "--role", role, "--scope", scope)
        assert made.exit_code == 0, made.output
        tokens[name] = (await tool("tokens", "issue", "ci", "--user", name)).stdout.strip()
    for name, code in (("some", 2), ("sees", 2), ("all", 0)):
        monkeypatch.setenv("HEADGATE_TOKEN", tokens[name])
        result = await tool("audit", "verify", "--server")
        assert result.exit_code == code, (name, result.output)
