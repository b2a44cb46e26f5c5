"""A log that also signs with ML-DSA-44, on real servers: turned on, off, changed, rolled over, archived, cosigned."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from typer.testing import CliRunner, Result

from libs.client.cli import app
from libs.common.contracts.audit.archives import archive_made
from libs.common.contracts.audit.rollovers import create_rollover
from libs.common.contracts.audit.tree import list_log_keys
from libs.common.contracts.audit.verifications import start_verification, verification_finished
from libs.common.outbound import Outbound
from libs.common.settings import Settings
from libs.tlog.cosignatures import witnessed_by
from libs.tlog.mldsa import ML_DSA_44
from libs.tlog.notes import NoteProblem, Signer, read_checkpoint, read_note, read_trusted, signature_line
from services.audit.outside import Outside
from services.audit.service import make_service
from services.audit.witnesses import WitnessAt
from services.operations.service import make_service as make_operations
from tests.http_edge import Http
from tests.integration.archive_desk import files_of, make, month_with
from tests.integration.audit_desk import record
from tests.integration.test_audit_fork import forked, set_back
from tests.integration.test_audit_receipts import received
from tests.integration.test_audit_static import settled
from tests.integration.test_audit_tree import SIGNER, signed, state_of
from tests.stack import Stack
from tests.witnesses import witnesses

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]

BOTH = SIGNER.with_second(MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
CHANGED = SIGNER.with_second(MLDSA44PrivateKey.from_seed_bytes(bytes(31) + b"x"))
ED, PQ = BOTH.verifiers


async def restart(stack: Stack, signer: Signer, *more: Any) -> None:
    if "audit" in stack.running:
        await stack.stop("audit")
    await stack.start(make_service(signer, *more))


async def keys_of(stack: Stack) -> list[tuple[str, int, bool]]:
    found = (await stack.query(list_log_keys, {})).json
    return [(one["algorithm"], one["first_size"], one["in_use"]) for one in found]


async def signed_by(stack: Stack, size: int, signer: Signer) -> str:
    """Await a checkpoint of this size that all keys of the signer have signed; its note."""
    async with asyncio.timeout(20):
        while True:
            note: str = (await signed(stack, size))["checkpoint"]
            if read_note(note).signers(signer.verifiers) == signer.verifiers:
                return note
            await asyncio.sleep(0.05)


async def test_it_is_turned_on_changed_and_turned_off(stack: Stack) -> None:
    await restart(stack, SIGNER)
    await record(stack, 5)
    plain = (await signed(stack, 5))["checkpoint"]
    assert await keys_of(stack) == [("Ed25519", 0, True)]
    await restart(stack, BOTH)
    note = await signed_by(stack, 5, BOTH)  # nothing new came: the same checkpoint gets its second signature
    assert read_note(note).line_of(ED) == read_note(plain).line_of(ED)
    kept = (await Outside().bind(stack.running["audit"].bus).read()).note
    assert kept == note
    await restart(stack, BOTH)
    assert (await signed(stack, 5))["checkpoint"] == note  # and is not signed a third time
    await stack.stop("audit")
    superuser = await stack.superuser()
    await superuser.execute("DELETE FROM audit.checkpoint")  # as if it had crashed before it was put there
    await superuser.close()
    await restart(stack, BOTH)
    assert (await signed(stack, 5))["checkpoint"] == note
    await record(stack, 1)
    assert read_trusted(await signed_by(stack, 6, BOTH), BOTH.verifiers).size == 6
    assert await keys_of(stack) == [("Ed25519", 0, True), ("ML-DSA-44", 5, True)]
    await restart(stack, CHANGED)
    await signed_by(stack, 7, CHANGED)  # that another key signs is an entry itself
    await record(stack, 1)
    await signed_by(stack, 8, CHANGED)
    assert (await keys_of(stack))[1:] == [("ML-DSA-44", 5, False), ("ML-DSA-44", 6, True)]
    await restart(stack, SIGNER)
    await record(stack, 1)
    note = (await signed(stack, 9))["checkpoint"]
    assert read_trusted(note, [ED]).size == 9
    with pytest.raises(NoteProblem, match="not signed by the ML-DSA-44 key"):
        read_trusted(note, BOTH.verifiers)
    assert [used for _, _, used in await keys_of(stack)] == [True, False, False]


async def verification(stack: Stack) -> dict[str, Any]:
    answer = await stack.command(start_verification, {})
    number = str(answer.json["number"])
    told = await stack.heard(verification_finished, lambda event: event.subject == number)
    found: dict[str, Any] = told.data
    return found


async def test_the_server_finds_an_altered_second_signature(stack: Stack) -> None:
    await restart(stack, BOTH)
    await record(stack, 5)
    await settled(stack)
    assert (await verification(stack))["status"] == "valid"
    await settled(stack)
    stack.clock.advance(hours=2)  # the last one of an hour stays
    await record(stack, 1)
    await settled(stack)
    superuser = await stack.superuser()
    note = await superuser.fetchval("SELECT note FROM audit.checkpoint ORDER BY size LIMIT 1")
    name, signed_id, signature = read_note(note).signatures[1]
    assert signed_id == PQ.key_id
    altered = signature_line(name, signed_id + signature[:-1] + bytes([signature[-1] ^ 1]))
    lines = [read_note(note).line_of(ED) or "", altered]
    await superuser.execute(
        "UPDATE audit.checkpoint SET note = $1 WHERE size = (SELECT min(size) FROM audit.checkpoint)",
        read_note(note).with_lines(lines),
    )
    await superuser.close()
    found = await verification(stack)
    assert found["status"] == "broken"
    assert "does not fit the text: it was altered" in found["problem"]


async def test_a_log_that_rolled_over_signs_its_new_name_with_both(stack: Stack) -> None:
    await restart(stack, BOTH)
    await record(stack, 20)
    await signed(stack, 20)
    await stack.stop("audit")
    await set_back(stack, 12)
    await restart(stack, BOTH)
    await forked(stack)
    answer = await stack.command(create_rollover, {"lost_size": 20, "reason": "the disk broke"})
    assert answer.status == 201, answer
    await settled(stack)
    note = (await state_of(stack))["checkpoint"]
    assert read_trusted(note, BOTH.named("log.example/audit/2").verifiers).origin == "log.example/audit/2"
    assert [used for *_, used in await keys_of(stack)] == [False, False, True, True]


def tool(*arguments: str) -> Result:
    """Without an address and a token: it asks nobody."""
    return CliRunner().invoke(app, ["audit", *arguments], env={"HEADGATE_URL": "http://127.0.0.1:9"})


@pytest.mark.whole
async def test_an_archive_is_proven_by_the_receipt_of_its_making(stack: Stack, tmp_path: Path) -> None:
    edge = await Http(stack).open()
    await stack.start(make_service(BOTH), make_operations(Settings()))
    month = await month_with(stack, 5)
    await make(stack, month)
    made = await stack.heard(archive_made)
    content = (await edge.client.get(f"/api/audit/archives/{month}/content")).content
    proof = await received(edge, f"/api/audit/events/{made.id}/receipt")
    other = await received(edge, "/api/audit/entries/1/receipt")
    await edge.close()
    files = files_of(content)
    assert files["keys"].decode().splitlines() == [ED.text, PQ.text]
    assert len(read_note(files["checkpoint"].decode()).signatures) == 1  # else it were other bytes each time
    archive, receipt, keys = tmp_path / "archive.zip", tmp_path / "made.tlog-proof", tmp_path / "keys"
    archive.write_bytes(content)
    receipt.write_text(proof)
    keys.write_text(f"{ED.text}\n{PQ.text}\n")
    check = ("archive", "verify", str(archive), "--json", "--key")
    assert tool(*check, ED.text).exit_code == 0
    lacking = tool(*check, str(keys))
    assert (lacking.exit_code, "give --receipt" in lacking.stderr) == (2, True)
    held = await asyncio.to_thread(tool, *check, str(keys), "--receipt", str(receipt))
    assert held.exit_code == 0, held.output
    stripped = read_note(proof.partition("\n\n")[2])
    for text, says in (
        (other, "not of the entry that says that this archive was made"),
        (proof.replace(stripped.line_of(PQ) or "", ""), "not signed by the ML-DSA-44 key that you trust"),
    ):
        receipt.write_text(text)
        refused = await asyncio.to_thread(tool, *check, str(keys), "--receipt", str(receipt))
        assert (refused.exit_code, says in json.loads(refused.stdout)["problem"]) == (1, True), refused.output
    assert tool("archive", "verify", str(archive), "--receipt", str(receipt)).exit_code == 2


@pytest.mark.whole
async def test_a_witness_of_another_party_wants_and_gives_the_second_signature(stack: Stack, tmp_path: Path) -> None:
    edge = await Http(stack).open()
    with witnesses(tmp_path, ["witness.example/w1"], ED, PQ) as (one,):
        second = one.keys[1]
        assert second.kind == ML_DSA_44
        asked = [WitnessAt(second, one.url)]
        await restart(stack, BOTH, asked, Outbound(["127.0.0.0/8"]))
        await record(stack, 5)
        async with asyncio.timeout(120):
            while second not in witnessed_by(read_note((await edge.client.get("/audit/checkpoint")).text), [second]):
                stack.clock.advance(seconds=61)
                await asyncio.sleep(0.2)
        note = (await edge.client.get("/audit/checkpoint")).text
        assert read_trusted(note, BOTH.verifiers) == read_checkpoint(note, [ED])
        proof = tmp_path / "entry.tlog-proof"
        proof.write_text(await received(edge, "/api/audit/entries/2/receipt"))
        told = ("receipt", "verify", str(proof), "--key", ED.text, "--key", PQ.text, "--witness-key", second.text)
        result = await asyncio.to_thread(tool, *told)
        assert (result.exit_code, "cosigned by witness.example/w1" in result.stdout) == (0, True), result.output
        await restart(stack, SIGNER, asked, Outbound(["127.0.0.0/8"]))  # as whoever can forge Ed25519 only
        await record(stack, 1)
        async with asyncio.timeout(120):
            while (found := (await edge.client.get("/api/audit/witnesses")).json()[0])["state"] != "refused":
                stack.clock.advance(seconds=61)
                await asyncio.sleep(0.2)
        assert "403: the checkpoint is not signed by the ML-DSA-44 key" in found["problem"]
    await edge.close()
