"""The signed log as a folder: mirrored from a real gateway by the tool, and verified there and without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from libs.client.cli import app
from libs.tlog.notes import Signer
from services.audit.service import make_service
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = pytest.mark.integration

LOG = Signer.from_seed("log.example/audit", bytes(32))
Tool = Callable[..., Awaitable[Result]]


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_service(LOG))
    edge = await Http(stack).open()
    yield edge
    await edge.close()


@pytest.fixture
def tool(http: Http, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tool:
    """Run the tool in a thread: the gateway runs in this loop."""
    monkeypatch.setenv("HEADGATE_URL", http.url)
    monkeypatch.setenv("HEADGATE_TOKEN", OWNER)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return run


async def log_signed(tool: Tool) -> None:
    """Await that the audit log has something in it, and is signed as far as it goes."""
    async with asyncio.timeout(20):
        while True:
            state = json.loads((await tool("audit", "state", "--json")).stdout)
            if state["entry_count"] and state["state"] == "signed":
                return
            await asyncio.sleep(0.1)


async def test_a_mirror_is_brought_up_to_date_and_checked_by_its_key(http: Http, tool: Tool, tmp_path: Path) -> None:
    """The signed log as a folder that is brought up to date, and checked by its key alone."""
    mirror, key, kept = str(tmp_path / "mirror"), LOG.verifier.text, tmp_path / "kept"
    assert (await tool("sites", "create", "early", "--title", "Early")).exit_code == 0
    await http.stack.idle("audit")
    await log_signed(tool)
    result = await tool("audit", "mirror", mirror, "--key", key)
    assert result.exit_code == 0, result.output
    kept.write_bytes((tmp_path / "mirror" / "checkpoint").read_bytes())
    size = int(kept.read_text().splitlines()[1])
    assert (await tool("sites", "create", "late", "--title", "Late")).exit_code == 0
    await http.stack.idle("audit")
    async with asyncio.timeout(20):
        while (again := json.loads((await tool("audit", "mirror", mirror, "--json")).stdout))["size"] == size:
            await asyncio.sleep(0.1)
    assert again["new_entries"] == again["size"] - size
    for where in ([], ["--folder", mirror]):
        result = await tool("audit", "verify", *where, "--key", key, "--checkpoint", str(kept))
        assert result.exit_code == 0, result.output
        assert "The signed tree holds" in result.stdout
    other = Signer.from_seed("log.example/audit", bytes(range(32))).verifier.text
    for where in ([], ["--folder", mirror]):
        result = await tool("audit", "verify", *where, "--key", other)
        assert (result.exit_code, "not signed by a key that you trust" in result.output) == (1, True)
    assert (await tool("audit", "mirror", mirror, "--key", other)).exit_code == 2
