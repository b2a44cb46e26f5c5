"""Verification as a job: what it finds and names, how far it says it is, and that nothing takes its verdict back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from libs.common import admin, postgres
from libs.common.contracts.audit.rollovers import create_rollover
from libs.common.contracts.audit.verifications import (
    JOB,
    Mode,
    VerificationRun,
    VerificationStart,
    get_verification,
    list_verifications,
    start_verification,
    verification_finished,
)
from libs.common.contracts.base import Nothing
from libs.common.migrations import login_role
from libs.common.service import Read
from libs.common.unasked import unasked
from libs.tlog.cosignatures import Cosigner
from libs.tlog.notes import read_note
from services.audit import tree
from services.audit.domain.chain import entry_hash
from services.audit.head import get_head
from services.audit.outside import Outside
from services.audit.service import make_service
from services.audit.verifications import asking, running
from services.audit.verifications.asking import view
from tests.integration.audit_desk import record
from tests.integration.test_audit import CHANGES
from tests.integration.test_audit_fork import forked, set_back
from tests.integration.test_audit_static import settled
from tests.integration.test_audit_tree import SIGNER
from tests.stack import PASSWORDS, Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints", "quick_verifying")]

KEPT = ("entry", "head", "tile", "checkpoint", "log_key", "cosignature")


@pytest.fixture
def quick_verifying(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker looks at once."""
    monkeypatch.setattr(running, "REST_S", 0.01)


async def begun(stack: Stack, mode: str = "whole") -> int:
    """Begin one; its number."""
    answer = await stack.command(start_verification, {"mode": mode})
    assert answer.status == 201, answer
    number: int = answer.json["number"]
    return number


async def ended(stack: Stack, number: int) -> dict[str, Any]:
    """Await its end; what it found."""
    async with asyncio.timeout(20):
        while True:
            answer = await stack.query(get_verification, {"number": number})
            found: dict[str, Any] = answer.json
            if found["status"] != "running":
                return found
            await asyncio.sleep(0.02)


async def run(stack: Stack, mode: str = "whole") -> dict[str, Any]:
    return await ended(stack, await begun(stack, mode))


async def set_up(stack: Stack, count: int) -> int:
    """A signed log; how many entries it has."""
    await stack.start(make_service(SIGNER))
    await record(stack, count)
    return await settled(stack)


async def test_a_whole_log_is_valid_and_what_is_new_is_looked_at_alone(stack: Stack) -> None:
    await set_up(stack, 600)
    first = await run(stack)
    assert (first["status"], first["problem"], first["from_seq"]) == ("valid", None, 1)
    assert first["checked_count"] == first["total_count"] == first["verified_seq"] == first["to_seq"] >= 600
    assert first["checkpoint_count"] >= 1
    told = await stack.heard(verification_finished, lambda one: one.subject == "1")
    assert (told.data["status"], told.data["to_seq"]) == ("valid", first["to_seq"])
    await record(stack, 300)
    size = await settled(stack)
    second = await run(stack, "incremental")
    assert (second["status"], second["from_seq"]) == ("valid", first["to_seq"] + 1), second
    assert second["to_seq"] >= size > 900
    assert second["checked_count"] == second["to_seq"] - first["to_seq"]
    third = await run(stack)
    assert (third["status"], third["from_seq"]) == ("valid", 1)
    page = (await stack.query(list_verifications, {"limit": 2})).json
    assert [one["number"] for one in page["items"]] == [3, 2]
    rest = (await stack.query(list_verifications, {"limit": 2, "cursor": page["next_cursor"]})).json
    assert ([one["number"] for one in rest["items"]], rest["next_cursor"]) == ([1], None)
    missing = await stack.query(get_verification, {"number": 99})
    assert (missing.status, "no verification 99" in missing.json["detail"]) == (404, True)


async def test_an_unsigned_log_is_verified_and_an_empty_one_is_no_pass(stack: Stack) -> None:
    await stack.start(make_service(None))
    refused = await stack.command(start_verification, {})
    assert (refused.status, "nothing to verify" in refused.json["detail"]) == (409, True)
    await record(stack, 3)
    found = await run(stack)
    assert (found["status"], found["checkpoint_count"]) == ("valid", 0)


async def test_one_runs_at_a_time_and_says_how_far_it_is(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress only grows; the service is stopped in between and goes on where it stood."""
    monkeypatch.setattr(running, "PIECE_ROWS", 50)
    await set_up(stack, 700)
    held = await stack.superuser()
    async with held.transaction():
        await held.execute("LOCK TABLE audit.log_key IN ACCESS EXCLUSIVE MODE")  # it waits before its first piece
        number = await begun(stack)
        again = await stack.command(start_verification, {"mode": "incremental"})
        assert (again.status, f"Verification {number} is running" in again.json["detail"]) == (409, True)
    seen: list[int] = []
    stopped = False
    async with asyncio.timeout(20):
        while True:
            [row] = await held.fetch("SELECT checked, status FROM audit.verification WHERE number = $1", number)
            seen.append(row["checked"])
            if row["status"] != "running":
                break
            if not stopped and row["checked"] >= 100:
                await stack.stop("audit")
                stopped = True
                at = await held.fetchval("SELECT checked FROM audit.verification WHERE number = $1", number)
                assert 100 <= at < 700
                await stack.start(make_service(SIGNER))
            await asyncio.sleep(0.002)
    assert (row["status"], stopped) == ("valid", True)
    assert seen == sorted(seen)
    assert len(set(seen)) >= 5
    for change in ("checked = 1", "status = 'running', finished_at = NULL", "problem = 'none'"):
        with pytest.raises(asyncpg.RaiseError, match="has ended"):
            await held.execute(f"UPDATE audit.verification SET {change} WHERE number = {number}")
    await held.close()


class Bench:
    """A log that nobody writes to, so that what is done to it can be undone; the worker works for itself."""

    def __init__(self, stack: Stack, pool: asyncpg.Pool, superuser: asyncpg.Connection) -> None:
        self.stack, self.pool, self.superuser = stack, pool, superuser
        self.worker = running.Verifying(SIGNER, Outside().bind(stack.bus), pool, stack.clock, lambda: None)

    async def run(self, mode: Mode = "whole") -> VerificationRun:
        """A verification from its start to its end."""
        async with self.pool.acquire() as connection, connection.transaction():
            tx = unasked("audit", connection, self.stack.clock())
            number = (await asking.start(tx, VerificationStart(mode=mode))).number
        while await self.worker.turn():
            pass
        return view(await self.pool.fetchrow(asking.SELECT_ONE, number))

    async def put_back(self) -> None:
        for table in KEPT:
            await self.superuser.execute(
                f"DELETE FROM audit.{table}; INSERT INTO audit.{table} SELECT * FROM saved_{table}"
            )


@asynccontextmanager
async def bench(stack: Stack, count: int) -> AsyncIterator[Bench]:
    await set_up(stack, count)
    await stack.stop("audit")
    url = admin.service_url(stack.database_url, login_role("audit"), PASSWORDS["audit"])
    pool = await postgres.make_pool(url, schema="audit", size=2, application="test")
    superuser = await stack.superuser()
    for table in KEPT:
        await superuser.execute(f"CREATE TABLE saved_{table} AS SELECT * FROM audit.{table}")
    try:
        yield Bench(stack, pool, superuser)
    finally:
        await pool.close()
        await superuser.close()


async def test_a_change_of_any_column_names_the_entry(stack: Stack) -> None:
    async with bench(stack, 300) as at:
        for column, value in CHANGES.items():
            seq = 2 + 97 * (len(column) % 4)
            await at.superuser.execute(f"UPDATE audit.entry SET {column} = {value} WHERE seq = {seq}")
            found = await at.run()
            assert (found.status, found.first_bad_seq) == ("broken", seq), (column, found)
            assert (found.verified_seq, f"entry {seq} " in (found.problem or "")) == (seq - 1, True), (column, found)
            await at.put_back()
        assert (await at.run()).status == "valid"


SWAP = """
CREATE TABLE two AS SELECT * FROM audit.entry WHERE seq IN (20, 21);
DELETE FROM audit.entry WHERE seq IN (20, 21);
UPDATE two SET seq = 41 - seq;
INSERT INTO audit.entry SELECT * FROM two; DROP TABLE two
"""
CUT = """
DELETE FROM audit.entry WHERE seq > 290;
UPDATE audit.head SET seq = 290, hash = (SELECT hash FROM audit.entry WHERE seq = 290), tree_size = 290,
    edges[1] = substring(edges[1] FROM 1 FOR 32 * 34), edges[2] = substring(edges[2] FROM 1 FOR 32 * 34)
"""
FLIP = "set_byte({0}, {1}, get_byte({0}, {1}) # 1)"
TILE = f"UPDATE audit.tile SET content = {FLIP.format('content', 64)} WHERE level = "
NOTE = "UPDATE audit.checkpoint SET note = replace(note, E'audit\\n', E'audit\\n1') WHERE size > 200"
WRONG: tuple[tuple[str, int | None, str], ...] = (
    ("DELETE FROM audit.entry WHERE seq = 300", 300, "entry 300 is missing"),
    (CUT, 291, "entries are missing: 300 were signed, the last 10 of them are not there"),
    ("DELETE FROM audit.entry WHERE seq = 40", 40, "entry 40 is missing"),
    (SWAP, 20, "entry 20 does not link to the one before it"),
    (f"{TILE}0", None, "tile/0/000 was altered: its hash 2 is not"),
    (f"{TILE}-1", None, "tile/entries/000 was altered: its hash 2 is not"),
    (f"UPDATE audit.head SET edges[3] = {FLIP.format('edges[3]', 0)}", None, "tile/1/000 was altered: its hash 0"),
    (f"UPDATE audit.tile SET content = {FLIP.format('content', 320)}", 11, "entry 11 is another one than was signed"),
    ("UPDATE audit.head SET edges[1] = ''", None, "tile/entries/001 was altered: its hash 0"),
    (NOTE, None, "was changed: the signature of log.example/audit does not fit the text"),
    ("UPDATE audit.checkpoint SET root = sha256('other') WHERE size > 200", None, "was changed: its note says others"),
    ("UPDATE audit.log_key SET verifier = 'x' || verifier", None, "the list of keys that have signed was altered"),
    ("INSERT INTO audit.log_key VALUES ('nonsense', now(), 1)", None, "'nonsense' is no key"),
    ("UPDATE audit.cosignature SET line = other_line FROM other", None, "does not fit the checkpoint"),
    ("UPDATE audit.cosignature SET line = replace(line, 'w.example', 'v.example')", None, "was changed: it is none of"),
    ("UPDATE audit.cosignature SET verifier = 'nonsense'", None, "the cosignature of nonsense of 300 entries was"),
    ("UPDATE audit.cosignature SET line = line || line", None, "was changed: it is none of that witness"),
    ("DELETE FROM audit.head", None, "the row that says where the log ends is gone"),
)


async def test_what_else_can_be_done_to_a_log_is_named(stack: Stack) -> None:
    async with bench(stack, 300) as at:
        await _cosigned(at)
        for statement, first_bad, said in WRONG:
            await at.superuser.execute(statement)
            found = await at.run()
            assert (found.status, found.first_bad_seq) == ("broken", first_bad), (statement, found)
            assert said in (found.problem or ""), (statement, found)
            await at.put_back()
        assert (await at.run()).status == "valid"


async def _cosigned(at: Bench) -> None:
    """A witness has cosigned the newest checkpoint, and, elsewhere, another one."""
    witness = Cosigner.from_seed("w.example/w1", bytes(32))
    select = "SELECT rollover, size, root, note, signed_at FROM audit.checkpoint ORDER BY size DESC LIMIT 1"
    [(rollover, size, root, note, signed_at)] = await at.superuser.fetch(select)
    line, other = (witness.cosign(text, 1_700_000_000) for text in (read_note(note).text, "log\n1\nAAAA\n"))
    await at.superuser.execute("CREATE TABLE other (other_line text)")
    await at.superuser.execute("INSERT INTO other VALUES ($1)", other)
    values = rollover, witness.key.text, signed_at, size, root, note, line, signed_at, signed_at
    await at.superuser.execute("INSERT INTO audit.cosignature VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", *values)
    await at.superuser.execute("DELETE FROM saved_cosignature; INSERT INTO saved_cosignature TABLE audit.cosignature")


async def test_what_can_not_be_checked_at_all_ends_as_broken(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something is stored that nothing of ours foresaw: after a few tries that is a verdict, and no endless loop."""

    async def fails(*_: Any) -> None:
        raise ValueError("unforeseen")

    async with bench(stack, 3) as at:
        with monkeypatch.context() as patch:
            patch.setattr(running, "verify_piece", fails)
            number = (await at.run()).number
            for tries, status in ((2, "running"), (3, "broken")):
                assert view(await at.pool.fetchrow(asking.SELECT_ONE, number)).status == "running", tries
                await at.worker.turn()
                found = view(await at.pool.fetchrow(asking.SELECT_ONE, number))
                assert (found.status, found.checked_count) == (status, 0), tries
        assert found.problem == "what is stored behind entry 0 can't be checked: ValueError('unforeseen')"
        told = "SELECT count(*) FROM outbox WHERE name = $1"
        assert await at.pool.fetchval(told, verification_finished.name) == 1
        assert (await at.run()).status == "valid"


async def test_a_log_that_was_rewritten_with_all_its_hashes_is_found(stack: Stack) -> None:
    """Entries, chain, tree and tiles made anew by somebody without the key: only what was signed says so."""
    async with bench(stack, 300) as at:
        await _write_anew(at.superuser, 290)
        found = await at.run()
        assert (found.status, found.first_bad_seq) == ("broken", 1), found
        assert found.problem == "entries 1 to 300: others were signed than are in the log, which was rewritten"
        await at.superuser.execute("TRUNCATE audit.checkpoint")  # what is kept outside says it all the same
        found = await at.run()
        assert (found.status, "the first 300 entries in the database are others" in (found.problem or "")) == (
            "broken", True,
        )  # fmt: skip
        await at.put_back()
        assert (await at.run()).status == "valid"


async def _write_anew(superuser: asyncpg.Connection, since: int) -> None:
    rows = await superuser.fetch("SELECT * FROM audit.entry WHERE seq >= $1 ORDER BY seq", since)
    last = rows[0]["prev_hash"]
    await superuser.execute("DELETE FROM audit.entry WHERE seq >= $1", since)
    for row in rows:
        values = dict(row)
        values["payload"] = row["payload"].replace(b"A site", b"B site")
        content = sha256(values["payload"]).digest()
        values |= {"prev_hash": last, "hash": entry_hash(last, row["seq"], row["recorded_at"], content)}
        last = values["hash"]
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        await superuser.execute(
            f"INSERT INTO audit.entry ({', '.join(values)}) VALUES ({places})",
            *values.values(),
        )
    await superuser.execute("TRUNCATE audit.tile")
    await superuser.execute("UPDATE audit.head SET hash = $1, tree_size = 0, edges = '{}'", last)
    await superuser.execute("SET search_path = audit")
    async with superuser.transaction():
        await tree.fill(superuser)
    await superuser.execute("RESET search_path")


async def test_a_verdict_stands_until_a_whole_verification_is_valid(stack: Stack) -> None:
    async with bench(stack, 20) as at:
        assert (await at.run()).status == "valid"
        await asking.measure(at.pool)
        assert REGISTRY.get_sample_value("headgate_audit_verification_broken") == 0
        assert REGISTRY.get_sample_value("headgate_audit_verified_timestamp_seconds") == stack.clock().timestamp()
        await at.superuser.execute("UPDATE audit.entry SET actor = 'mallory' WHERE seq = 7")
        assert (await at.run()).first_bad_seq == 7
        stack.clock.advance(days=30)
        assert (await at.run("incremental")).status == "valid"  # it does not look there: nothing is taken back
        await asking.measure(at.pool)
        assert REGISTRY.get_sample_value("headgate_audit_verification_broken") == 1
        head = await get_head(Read(at.pool, "global", "ann", stack.clock()), Nothing())
        assert head.broken == "verification 2: entry 7 was changed: the column actor is not what its event says"
        await at.put_back()
        assert (await at.run()).status == "valid"
        await asking.measure(at.pool)
        assert REGISTRY.get_sample_value("headgate_audit_verification_broken") == 0


async def test_after_an_accepted_loss_what_was_lost_is_not_missed(stack: Stack) -> None:
    await set_up(stack, 20)
    await stack.stop("audit")
    superuser = await stack.superuser()
    kept = await superuser.fetch("SELECT * FROM audit.checkpoint")
    await set_back(stack, 12)
    insert = "INSERT INTO audit.checkpoint VALUES ($1, $2, $3, $4, $5, $6, $7)"
    await superuser.executemany(insert, [tuple(row) for row in kept])
    await superuser.close()
    await stack.start(make_service(SIGNER))
    await forked(stack)
    broken = await run(stack)
    assert (broken["status"], broken["first_bad_seq"]) == ("broken", 13), broken
    accepted = await stack.command(create_rollover, {"lost_size": 20, "reason": "the disk broke"})
    assert accepted.status == 201, accepted
    await record(stack, 30)  # beyond what was lost: only then is a checkpoint over others of its size in the way
    await settled(stack)
    found = await run(stack)
    assert found["status"] == "valid", found


async def test_the_clock_begins_one_a_week(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    await stack.start(make_service(None))
    assert await stack.run_job("audit", JOB)  # an empty log: nothing to do
    assert (await stack.query(list_verifications, {})).json["items"] == []
    await record(stack, 3)
    for day, most, mode in ((3, 1, "whole"), (20, 1, "incremental"), (20, 1000, "whole")):
        monkeypatch.setattr(asking, "WHOLE_BELOW", most)
        stack.clock.now = stack.clock.now.replace(day=day)
        assert await stack.run_job("audit", JOB)
        newest = (await stack.query(list_verifications, {"limit": 1})).json["items"][0]
        assert (newest["mode"], newest["started_by"]) == (mode, "service:audit")
        assert (await ended(stack, newest["number"]))["status"] == "valid"
