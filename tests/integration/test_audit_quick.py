"""The quick check (GET /api/audit/verify) beside the chain: the tree's root, and the newest checkpoint's signature."""

from __future__ import annotations

import pytest

from libs.tlog.notes import Checkpoint, Signer
from services.audit.service import make_service
from tests.integration.audit_desk import record, verified
from tests.integration.test_audit_tree import SIGNER, signed
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]
OTHER = Signer.from_seed(SIGNER.verifier.name, bytes(31) + b"\7")


async def test_tree_and_checkpoint_are_looked_at(stack: Stack) -> None:
    await stack.start(make_service(SIGNER))
    assert (await verified(stack))["checkpoint_size"] in (None, 0)
    await record(stack, 300)
    await signed(stack, 300)
    whole = await verified(stack)
    assert (whole["valid"], whole["problem"], whole["checkpoint_size"]) == (True, None, 300)
    assert (await verified(stack, from_seq=300))["checkpoint_size"] == 300  # whatever range is asked for
    superuser = await stack.superuser()
    await superuser.execute("SET search_path = audit")
    row = await superuser.fetchrow("SELECT root, note FROM checkpoint ORDER BY size DESC LIMIT 1")
    assert row is not None
    point = Checkpoint(SIGNER.verifier.name, 300, row["root"])
    flipped = "set_byte({0}, 7, get_byte({0}, 7) # 1)"
    for what, values, says in (
        (f"UPDATE head SET edges[2] = {flipped.format('edges[2]')}", (), "has another root than was signed"),
        (f"UPDATE head SET edges[3] = {flipped.format('edges[3]')}", (), "has another root than was signed"),
        ("UPDATE head SET edges = edges[1:1]", (), "a tile of the tree is missing or was cut"),
        ("UPDATE checkpoint SET root = sha256('x') WHERE size = 300", (), "its note says others"),
        ("UPDATE checkpoint SET note = $1 WHERE size = 300", (row["note"].replace("300", "299"),), "was changed"),
        ("UPDATE checkpoint SET note = $1 WHERE size = 300", (OTHER.sign_checkpoint(point, 0),), "was changed"),
        (
            "UPDATE checkpoint SET size = 301, note = $1 WHERE size = 300",
            (SIGNER.sign_checkpoint(Checkpoint(point.origin, 301, point.root), 0),),
            "entries are missing: 301 were signed, the log ends at 300",
        ),
        ("INSERT INTO log_key VALUES ('nonsense', now(), 0)", (), "the list of keys that have signed was altered"),
    ):
        async with superuser.transaction():
            before = await superuser.fetch("SELECT * FROM head"), await superuser.fetch("SELECT * FROM tile")
            points = await superuser.fetch("SELECT * FROM checkpoint")
            await superuser.execute(what, *values)
        found = await verified(stack)
        assert (found["valid"], found["first_bad_seq"], found["next_seq"]) == (False, None, None), what
        assert says in found["problem"], (what, found["problem"])
        async with superuser.transaction():
            await superuser.execute("DELETE FROM log_key WHERE verifier = 'nonsense'")
            for table, rows in (("tile", before[1]), ("checkpoint", points), ("head", before[0])):
                await superuser.execute(f"DELETE FROM {table}")
                names = ", ".join(rows[0].keys())
                places = ", ".join(f"${at + 1}" for at in range(len(rows[0])))
                await superuser.executemany(
                    f"INSERT INTO {table} ({names}) VALUES ({places})",
                    [tuple(one) for one in rows],
                )
        assert (await verified(stack))["valid"], what
    await superuser.close()


async def test_an_unsigned_log_says_that_nothing_vouches(stack: Stack) -> None:
    await stack.start(make_service(None))
    await record(stack, 3)
    found = await verified(stack)
    assert (found["valid"], found["checked_count"], found["checkpoint_size"]) == (True, 3, None)
