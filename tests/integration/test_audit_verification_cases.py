"""Verification of a log as it is in earnest: removed and large bodies, entries meanwhile, replicas, no NATS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from libs.common.bus import connect
from libs.common.contracts.audit.erasures import BodiesErased, bodies_erased
from libs.common.contracts.audit.verifications import VerificationStart, verification_finished
from libs.common.contracts.gateway.sites import site_created
from libs.common.service import Connection, Staged, Table
from libs.common.unasked import unasked
from services.audit.outside import Kept, Outside
from services.audit.service import make_service
from services.audit.verifications import asking, running
from services.audit.verifications.asking import view
from services.audit.verify import INLINE_BYTES
from tests.integration.audit_desk import record, site_view
from tests.integration.test_audit_static import settled
from tests.integration.test_audit_tree import SIGNER
from tests.integration.test_audit_verifications import Bench, bench
from tests.stack import Stack
from tests.wire import NatsWire

pytestmark = [pytest.mark.integration, pytest.mark.whole, pytest.mark.usefixtures("quick_checkpoints")]

LARGE = 7
TOLD = 28  # the number of the entry that says that bodies were removed
ERASE = """
INSERT INTO audit.erasure SELECT seq, octet_length(payload), sha256(payload), now() - interval '2 hours'
FROM audit.entry WHERE {0};
UPDATE audit.entry SET payload = NULL WHERE {0}
"""
HARM: tuple[tuple[str, int, str], ...] = (
    ("UPDATE audit.entry SET actor = 'bob' WHERE seq = 3", 3, "entry 3 is another one than was signed"),
    ("UPDATE audit.erasure SET payload_sha256 = sha256('x') WHERE seq = 4", 4, "entry 4 was changed"),
    ("UPDATE audit.erasure SET payload_bytes = 1 WHERE seq = 4", 4, "entry 4 is another one than was signed"),
    ("INSERT INTO audit.erasure VALUES (9, 1, sha256('x'), now())", 9, "entry 9 has its body, though it is noted"),
    ("DELETE FROM audit.erasure WHERE seq = 5", 5, "entry 5 has no body, and nothing says that it was removed"),
    ("UPDATE audit.entry SET payload = NULL WHERE seq = 6", 6, "entry 6 has no body, and nothing says"),
    (ERASE.format("seq = 6"), 6, "entry 6 has no body, and no later entry says that it was removed"),
    (ERASE.format(f"seq = {TOLD}"), 1, "entry 1 has no body, and no later entry says that it was removed"),
    (f"UPDATE audit.entry SET payload = payload || ' ' WHERE seq = {TOLD}", 1, "entry 1 has no body, and no later"),
    (f"UPDATE audit.entry SET payload = payload || ' ' WHERE seq = {LARGE}", LARGE, f"entry {LARGE} was changed"),
    (f"UPDATE audit.entry SET actor = 'bob' WHERE seq = {LARGE}", LARGE, "the column actor is not what its event says"),
)


async def started(stack: Stack, pool: Any) -> int:
    """A verification that nobody has begun to work on; its number."""
    async with pool.acquire() as connection, connection.transaction():
        return (await asking.start(unasked("audit", connection, stack.clock()), VerificationStart())).number


async def told(stack: Stack, last_seq: int) -> None:
    """A hundred days later an entry says that the bodies up to this one were removed."""
    stack.clock.advance(days=100)
    said = BodiesErased(
        retention_class="default",
        first_seq=1,
        last_seq=last_seq,
        erased_count=last_seq,
        recorded_before=stack.clock() - timedelta(days=95),
        archive_month="2026-01",
        archive_sha256="ab",
    )
    await stack.publish(bodies_erased, said)
    await stack.idle("audit")


async def test_removed_and_large_bodies(stack: Stack) -> None:
    await stack.start(make_service(SIGNER))
    await record(stack, LARGE - 1)
    await stack.publish(site_created, site_view(stack, LARGE, "x" * (INLINE_BYTES + 1)))
    await record(stack, 20)
    await told(stack, 5)
    await stack.stop("audit")
    async with bench(stack, 3) as at:
        assert (await at.run()).status == "valid"
        await at.superuser.execute(ERASE.format("seq <= 5"))
        for table in ("entry", "erasure"):
            await at.superuser.execute(
                f"DROP TABLE IF EXISTS saved_{table}; CREATE TABLE saved_{table} AS TABLE audit.{table}"
            )
        assert (await at.run()).status == "valid"
        for statement, seq, said in HARM:
            await at.superuser.execute(statement)
            found = await at.run()
            assert (found.status, found.first_bad_seq, said in (found.problem or "")) == ("broken", seq, True), found
            await at.superuser.execute("TRUNCATE audit.erasure")
            await at.put_back()
            await at.superuser.execute("INSERT INTO audit.erasure TABLE saved_erasure")
        assert (await at.run()).status == "valid"


async def test_it_waits_for_the_entry_that_tells_of_a_removal(stack: Stack) -> None:
    """A body goes a moment before the log says so: that neither passes nor fails, and it is no excuse for long."""
    await stack.start(make_service(SIGNER))
    await record(stack, 5)
    await settled(stack)
    await stack.stop("audit")
    async with bench(stack, 3) as at:
        await at.superuser.execute(ERASE.format("seq = 2").replace("2 hours", "2 seconds"))
        number = (await at.run()).number
        assert await _state(at, number) == ("running", 0, None)
        await at.superuser.execute("UPDATE audit.erasure SET erased_at = now() - interval '61 minutes'")
        assert not await at.worker.turn()
        found = await _state(at, number)
        assert found == ("broken", 1, "entry 2 has no body, and no later entry says that it was removed")


async def test_what_is_signed_meanwhile_is_not_missed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries come and are signed while the checkpoint outside is read: the snapshot must be taken behind that."""
    monkeypatch.setattr(running, "table", lambda *_: Table())  # the service has no such worker: the test's own is it
    await stack.start(make_service(SIGNER))
    await record(stack, 20)
    await settled(stack)

    class Busy(Outside):
        async def read(self) -> Kept:
            await record(stack, 5)
            await settled(stack)
            return await super().read()

    pool = stack.running["audit"].pool
    worker = running.Verifying(SIGNER, Busy().bind(stack.bus), pool, stack.clock, lambda: None)
    number = await started(stack, pool)
    while await worker.turn():
        pass
    found = view(await pool.fetchrow(asking.SELECT_ONE, number))
    assert (found.status, found.problem, found.to_seq) == ("valid", None, 20)


async def test_two_replicas_make_each_piece_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PIECE_ROWS", 20)
    made: list[int] = []
    right = running.Verifying._piece

    async def piece(self: running.Verifying, connection: Connection, row: Any, outside: str) -> Sequence[Staged]:
        made.append(row["checked"])
        await asyncio.sleep(0.02)  # time enough for the other one to come
        return await right(self, connection, row, outside)

    monkeypatch.setattr(running.Verifying, "_piece", piece)
    async with bench(stack, 300) as at:
        number = await started(stack, at.pool)
        workers = [at.worker, running.Verifying(SIGNER, Outside().bind(stack.bus), at.pool, stack.clock, lambda: None)]

        async def work(one: running.Verifying) -> None:
            while await at.pool.fetchval(asking.SELECT_RUNNING) is not None:
                await one.turn()
                await asyncio.sleep(0.005)

        await asyncio.gather(*map(work, workers))
        assert view(await at.pool.fetchrow(asking.SELECT_ONE, number)).status == "valid"
        assert made == sorted(set(made))
        assert len(made) == 15
        told = "SELECT count(*) FROM outbox WHERE name = $1"
        assert await at.pool.fetchval(told, verification_finished.name) == 1


async def test_without_nats_it_waits_and_is_no_pass(stack: Stack) -> None:
    """What is kept outside can't be compared: it neither passes nor fails, and ends once NATS is there again."""
    async with bench(stack, 20) as at:
        number = await started(stack, at.pool)
        wire = await NatsWire(stack.nats_url).open()
        bus = await connect(wire.url(stack.nats_url), stack.topology, "audit", name="test")
        away = running.Verifying(SIGNER, Outside().bind(bus), at.pool, stack.clock, lambda: None)
        await wire.close()
        assert not await away.turn()
        assert await _state(at, number) == ("running", 0, None)
        with contextlib.suppress(OSError):  # it says farewell to a server that is not there
            await bus.nats.close()
        while await at.worker.turn():
            pass
        assert await _state(at, number) == ("valid", 20, None)


async def _state(at: Bench, number: int) -> tuple[str, int, str | None]:
    found = view(await at.pool.fetchrow(asking.SELECT_ONE, number))
    return found.status, found.checked_count, found.problem
