"""Receipts end to end: handed out over HTTP, verified by the tool alone, and linked by each decision of a gate."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from libs.client.cli import app
from libs.common.contracts.audit.receipts import find_receipt, get_receipt
from libs.tlog.cosignatures import Cosigner
from libs.tlog.receipts import Receipt
from services.audit.service import make_service
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.integration.audit_desk import record
from tests.integration.governance_desk import run
from tests.integration.test_audit_static import settled
from tests.integration.test_audit_tree import SIGNER
from tests.integration.test_governance_capsules import FIRST, capsule_of
from tests.stack import Stack

pytestmark = pytest.mark.integration
KEY = ("--key", SIGNER.verifier.text)


def verify(*arguments: str) -> Result:
    """The tool, which asks nobody: there is no address and no token."""
    return CliRunner().invoke(
        app, ["audit", "receipt", "verify", *arguments], env={"HEADGATE_URL": "http://127.0.0.1:9"}
    )


async def received(edge: Http, path: str) -> str:
    """A receipt, once a checkpoint covers its entry."""
    async with asyncio.timeout(20):
        while (answer := await edge.client.get(path)).status_code == 404:
            await asyncio.sleep(0.1)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


async def test_each_entry_has_a_receipt_that_the_tool_believes(stack: Stack, tmp_path: Path) -> None:
    edge = await Http(stack).open()
    await stack.start(make_service(SIGNER))
    ids = await record(stack, 300)
    size = await settled(stack)
    file = tmp_path / "entry.tlog-proof"
    for seq in (1, 256, 300):
        answer = await edge.client.get(f"/api/audit/entries/{seq}/receipt")
        assert f'filename="entry-{seq}.tlog-proof"' in answer.headers["content-disposition"]
        file.write_text(answer.text)
        result = await asyncio.to_thread(verify, str(file), *KEY, "--json")
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert (said["entry"]["seq"], said["size"]) == (seq, size)
        by_event = await edge.client.get(f"/api/audit/events/{said['entry']['event_id']}/receipt")
        assert by_event.text == answer.text
    refused(answer.text, file)
    for query, params, says in (
        (get_receipt, {"seq": 10**6}, "no entry 1000000"),
        (find_receipt, {"event_id": "01a1fbbb-89e7-78b2-af93-eb949575d519"}, "No entry holds"),
    ):
        missing = await stack.query(query, params)
        assert (missing.status, says in missing.json["detail"]) == (404, True), missing
    for query, params in ((get_receipt, {"seq": 5}), (find_receipt, {"event_id": ids[4]})):
        hidden = await stack.query(query, params, sites=("elsewhere",))
        assert (hidden.status, "There is no entry" in hidden.json["detail"]) == (404, query is get_receipt), hidden
    await edge.close()


def refused(text: str, file: Path) -> None:
    """What was changed is not believed, and it is said what."""
    proof = Receipt.read(text)
    entry, size = json.loads(proof.extra), int(proof.checkpoint.split("\n")[1])
    stranger = Cosigner.from_seed("w.example", bytes(32)).key.text

    def with_entry(**changed: Any) -> str:
        return Receipt(proof.index, proof.hashes, proof.checkpoint, json.dumps(entry | changed).encode()).text

    for changed, more, says in (
        (with_entry(actor="mallory"), (), "does not show that this is entry 300"),
        (with_entry(payload="{}"), (), "is not the one whose hash was signed"),
        (with_entry(event={"type": "forged"}), (), "its event is not what its payload says"),
        (with_entry(erased_at="2026-01-01T00:00:00Z"), (), "has its body, though it is shown as removed"),
        (Receipt(proof.index, proof.hashes, proof.checkpoint).text, (), "does not bring its entry"),
        (text, ("--witness-key", stranger), "w.example has not cosigned"),
        (text.replace(f"\n{size}\n", f"\n{size + 1}\n"), (), "altered"),
        (text[:10], (), "no receipt"),
    ):
        file.write_text(changed)
        result = verify(str(file), *KEY, *more)
        assert (result.exit_code, says in result.stdout) == (1, True), result.output
    file.write_text(with_entry(payload=None, erased_at="2026-01-01T00:00:00Z"))
    result = verify(str(file), *KEY, "--json")  # what no digest covers is not shown as proven
    assert (result.exit_code, "erased_at" in result.stdout) == (0, False), result.output
    file.write_text(text)
    assert verify(str(file), "--key", "nonsense").exit_code == 2


async def test_a_decision_links_the_receipt_that_proves_its_capsule(stack: Stack, tmp_path: Path) -> None:
    edge = await Http(stack).open()
    await stack.start(make_service(SIGNER), make_governance(packaged_policies(), signer=FIRST))
    made, other = await run(stack), await run(stack)
    file, capsule, wrong = (tmp_path / name for name in ("run.tlog-proof", "capsule.json", "other.json"))
    file.write_text(await received(edge, made["receipt"]))
    handed_out = await edge.client.get(f"/api/gates/{made['gate']}/runs/{made['run_id']}/capsule")
    assert handed_out.headers["Link"] == f'<{made["receipt"]}>; rel="https://c2sp.org/tlog-proof"'
    capsule.write_bytes(await capsule_of(stack, made))
    wrong.write_bytes(await capsule_of(stack, other))
    result = await asyncio.to_thread(verify, str(file), *KEY, "--capsule", str(capsule), "--json")
    assert result.exit_code == 0, result.output
    entry = json.loads(result.stdout)["entry"]
    assert (entry["type"], entry["subject"]) == ("headgate.governance.gate.decided.v1", str(made["run_id"]))
    result = await asyncio.to_thread(verify, str(file), *KEY, "--capsule", str(wrong))
    assert (result.exit_code, "does not name this capsule" in result.stdout) == (1, True), result.output
    await edge.close()
