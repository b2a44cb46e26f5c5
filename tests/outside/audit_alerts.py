"""The alerts of the audit log: its witness is away, an entry is forged, nobody verifies, an old copy is put back.

The log signs with a key of the test's own, so that its witness, another process, knows it before the log begins.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local import LocalStack
from libs.tlog.notes import Signer
from tests.integration.audit_desk import set_rows_back
from tests.local_traffic import OPS
from tests.outside.handles import execute
from tests.outside.watch import WITHIN_S, Watch
from tests.outside.world import check, until
from tests.witnesses import WitnessProcess, witnesses

WITNESS, ORIGIN = "witness.example/w1", "headgate/audit"
VERIFICATIONS = "/api/audit/verifications"
FORGED, LOST = 3, 5  # the number of an entry, and how many of the last ones
NOBODY_VERIFIED = (
    "SET LOCAL session_replication_role = replica",  # a trigger keeps what has ended as it is
    "UPDATE audit.verification SET finished_at = finished_at - interval '11 days' WHERE status <> 'running'",
)


@contextmanager
def witnessed(folder: Path) -> Iterator[tuple[WitnessProcess, dict[str, str]]]:
    """A witness that runs, and the environment by which a log asks it."""
    key = Ed25519PrivateKey.generate()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "audit.pem"
    file.touch(0o600)
    file.write_bytes(key.private_bytes(*form))
    with witnesses(folder, [WITNESS], Signer(ORIGIN, key).verifier) as (witness,):
        asked = json.dumps({witness.url: witness.key.text})
        yield witness, {"HEADGATE_AUDIT_KEY_FILE": str(file), "HEADGATE_AUDIT_WITNESSES": asked}


def step(watch: Watch, stack: LocalStack, http: httpx2.Client, witness: WitnessProcess) -> None:
    """Break one thing after the other; the last one stays so."""
    _no_witness(watch, stack, http, witness)
    _forged_entry(watch, stack, http)
    _never_verified(watch, stack)
    _old_copy(watch, stack, http)


def _no_witness(watch: Watch, stack: LocalStack, http: httpx2.Client, witness: WitnessProcess) -> None:
    """A witness that cosigned is killed, as if that were half an hour ago."""
    watch.still("HeadgateAuditUnwitnessed")
    until("its first cosignature", lambda: _witness(http)["state"] == "cosigned", WITHIN_S)
    witness.kill()
    check(http.post(f"{OPS}/run", json={}).status_code == 200, "no run")  # entries to cosign
    until("the log notices", lambda: _witness(http)["state"] == "unreachable", WITHIN_S)
    moved = "UPDATE audit.witness SET cosigned_at = cosigned_at - interval '31 minutes'"
    asyncio.run(execute(stack, moved))
    watch.await_fired("HeadgateAuditUnwitnessed")


def _forged_entry(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """An entry of which somebody with the database in his hands changed who did it; then it is put right."""
    watch.still("HeadgateAuditBroken")
    forge = f"UPDATE audit.entry SET actor = reverse(actor) WHERE seq = {FORGED}"
    asyncio.run(execute(stack, forge))
    found = _verified(http)
    check((found["status"], found["first_bad_seq"]) == ("broken", FORGED), f"{found}")
    watch.await_fired("HeadgateAuditBroken")
    asyncio.run(execute(stack, forge))  # read backwards twice it is what it was
    found = _verified(http)
    check(found["status"] == "valid", f"{found}")
    watch.await_over("HeadgateAuditBroken")


def _never_verified(watch: Watch, stack: LocalStack) -> None:
    """All verifications, as if they had ended eleven days before."""
    watch.still("HeadgateAuditUnverified")
    asyncio.run(execute(stack, *NOBODY_VERIFIED))
    watch.await_fired("HeadgateAuditUnverified")


def _old_copy(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """The log's tables as they were some entries ago, as a restored copy has them: what was signed is not there."""
    watch.still("HeadgateAuditForked")
    stack.halt("audit")
    asyncio.run(_set_back(stack))
    stack.resume("audit")
    check(http.post(f"{OPS}/run", json={}).status_code == 200, "no run")  # events to append
    watch.await_fired("HeadgateAuditForked")


async def _set_back(stack: LocalStack) -> None:
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        size = await connection.fetchval("SELECT seq FROM audit.head")
        await set_rows_back(connection, size - LOST)
    finally:
        await connection.close()


def _witness(http: httpx2.Client) -> dict[str, Any]:
    answer = http.get("/api/audit/witnesses")
    check(answer.status_code == 200, answer.text)
    (found,) = answer.json()
    return dict(found)


def _verified(http: httpx2.Client) -> dict[str, Any]:
    """Have the whole log verified; how that ended. Another verification may run, or entries be on their way."""

    def begin() -> Any:
        answer = http.post(VERIFICATIONS, json={"mode": "whole"})
        check(answer.status_code in (201, 409), answer.text)
        return answer.json()["number"] if answer.status_code == 201 else None

    number = until("a verification begins", begin, WITHIN_S)

    def ended() -> Any:
        found = http.get(f"{VERIFICATIONS}/{number}").json()
        return found if found["status"] != "running" else None

    found: dict[str, Any] = until("the verification ends", ended, WITHIN_S)
    return found
