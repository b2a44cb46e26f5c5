"""Each write of a cosignature, failed and failed though it was persisted: it is stored in the end, and told once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from pydantic import SecretStr

from libs.common import outbox
from libs.common.contracts.audit.witnesses import checkpoint_witnessed
from libs.common.outbound import Outbound
from libs.tlog.notes import read_checkpoint, read_note
from services.audit import cosigning
from services.audit.service import make_service
from services.audit.witnesses import WitnessAt
from tests.integration.audit_desk import record
from tests.integration.test_audit_tree import SIGNER, signed
from tests.stack import Stack
from tests.wire import Cut, PostgresWire, wires
from tests.witnesses import WitnessProcess, witnesses

pytestmark = [pytest.mark.integration, pytest.mark.whole, pytest.mark.usefixtures("quick_checkpoints")]

WITHIN_S = 30


class Write(NamedTuple):
    """One of the writes, by its statement; which one must be behind it in the same transaction."""

    name: str
    at: str
    after: str = ""


WRITES = (
    Write("that it is asked", cosigning.CLAIM),
    Write("lock of the witness", cosigning.LOCK_WITNESS),
    Write("what the witness has seen", cosigning.UPDATE_COSIGNED),
    Write("cosignature", cosigning.UPSERT_COSIGNATURE),
    Write("event", outbox.INSERT, cosigning.UPSERT_COSIGNATURE),
    Write("commit", "COMMIT", cosigning.UPSERT_COSIGNATURE),
)
# What is signed has grown by the event meanwhile; of what the witness has seen there must be the cosignature.
STATE = """
SELECT witness.state, (SELECT count(*) FROM entry WHERE type = $1) AS told,
       EXISTS (SELECT FROM cosignature WHERE (rollover, size) = (witness.rollover, witness.size)) AS kept
FROM witness
"""


async def settled(stack: Stack, look: asyncpg.Connection, told: int) -> None:
    """Await that the witness has cosigned, that it is kept, and that so many events of it are in the log."""
    state = None
    try:
        async with asyncio.timeout(WITHIN_S):
            while state is None or tuple(state) != ("cosigned", told, True):
                stack.clock.advance(seconds=61)  # whoever was asked in vain is asked again
                state = await look.fetchrow(STATE, checkpoint_witnessed.type)
                assert state is None or state["told"] <= told, "an event was told twice"
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{told} events were due, and the log stands at {state}")


async def start(stack: Stack, witness: WitnessProcess, postgres: PostgresWire) -> None:
    """The audit service behind the wire to its database; the witness is asked directly."""
    direct = stack.settings("audit").database_url
    assert direct is not None
    await stack.start(
        make_service(SIGNER, [WitnessAt(witness.key, witness.url)], Outbound(["127.0.0.0/8"])),
        database_url=SecretStr(f"{postgres.url(direct.get_secret_value())}?sslmode=disable"),
    )


async def test_each_write_of_a_cosignature(stack: Stack, tmp_path: Path) -> None:
    look = await stack.superuser()
    await look.execute("SET search_path = audit")
    told = 1
    with witnesses(tmp_path, ["witness.example/w1"], SIGNER.verifier) as (witness,):
        async with wires(stack.database_url, stack.nats_url) as (postgres, _):
            await start(stack, witness, postgres)
            await record(stack, 3)
            await signed(stack, 3)
            await settled(stack, look, told)
            for write in WRITES:
                for persisted in (False, True):
                    cut = Cut(write.at, persisted, write.after)
                    postgres.harm(cut)
                    # As after an hour in which it could not be reached: that it is back is an event.
                    await look.execute("UPDATE witness SET state = 'unreachable', asked_at = NULL")
                    told += 1
                    try:
                        await asyncio.wait_for(cut.made.wait(), WITHIN_S)
                    except TimeoutError:
                        pytest.fail(f"nothing was written: {write.name}")
                    await settled(stack, look, told)
            rows = await look.fetch("SELECT note, line, size FROM cosignature")
            await stack.stop("audit")
    await look.close()
    for row in rows:
        assert read_checkpoint(row["note"], [SIGNER.verifier]).size == row["size"]
        assert witness.key.time_of(read_note(row["note"] + row["line"])) is not None
    assert rows
