"""The signed log as a folder: mirrored from a real gateway by the tool, and verified there and without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from libs.tlog.notes import Signer
from services.audit.service import make_service
from tests.command_line import Tool
from tests.http_edge import Http
from tests.integration.audit_desk import record
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]

LOG = Signer.from_seed("log.example/audit", bytes(32))


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_service(LOG))
    edge = await Http(stack).open()
    yield edge
    await edge.close()


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
    assert (await tool("audit", "mirror", mirror, "--key", other)).exit_code == 1


async def test_only_what_is_new_is_verified(http: Http, tool: Tool, tmp_path: Path) -> None:
    """From run to run by a file; what was changed behind it, or cut off before it, is found all the same."""
    kept, key = tmp_path / "verified.json", LOG.verifier.text

    async def verified(*more: str) -> tuple[int, Any]:
        result = await tool("audit", "verify", "--since", str(kept), "--key", key, "--json", *more)
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    sizes = [0]
    for count in (700, 5, 600):
        await record(http.stack, count)
        await log_signed(tool)
        code, said = await verified()
        assert (code, said["since_size"]) == (0, sizes[-1]), said
        sizes.append(said["tree"]["size"])
        assert said["local"]["checked_count"] == sizes[-1] - sizes[-2] + (sizes[-2] > 0)
    code, said = await verified()
    assert (code, said["local"]["checked_count"], said["tree"]["size"]) == (0, 1, sizes[-1])
    assert (await verified("--checkpoint", "x"))[0] == 2
    held = json.loads(kept.read_text())
    for changed, wanted in (
        ({"last_hash": "0" * 64}, (1, "another hash than the one noted")),
        ({"root_hash": "0" * 64}, (2, "its parts do not fit")),
        ({"origin": "other.example"}, (2, "This is the log log.example/audit")),
    ):
        kept.write_text(json.dumps(held | changed))
        code, said = await verified()
        assert (code, wanted[1] in json.dumps(said)) == (wanted[0], True), said
    kept.write_text(json.dumps(held))
    await record(http.stack, 3)
    await log_signed(tool)
    superuser = await http.stack.superuser()
    await superuser.execute("UPDATE audit.entry SET actor = 'mallory' WHERE seq = $1", sizes[-1] + 2)
    await superuser.close()
    code, said = await verified()
    assert (code, said["local"]["first_bad_seq"]) == (1, sizes[-1] + 2), said
    assert json.loads(kept.read_text()) == held  # what does not hold is not noted


async def test_a_log_of_many_pages_is_mirrored(http: Http, tool: Tool, tmp_path: Path) -> None:
    """What an answer does not hold is asked for from its cursor on, the first time and the next."""
    mirror = tmp_path / "mirror"
    for count in (520, 1100):
        await record(http.stack, count)
        await log_signed(tool)
        result = await tool("audit", "mirror", str(mirror), "--json")
        assert result.exit_code == 0, result.output
        seqs = [json.loads(line)["seq"] for line in (mirror / "entries.jsonl").read_text().splitlines()]
        assert seqs == list(range(1, json.loads(result.stdout)["size"] + 1))
    assert (await tool("audit", "verify", "--folder", str(mirror), "--key", LOG.verifier.text)).exit_code == 0
