"""The signed tree on real servers: checkpoints, tiles and proofs that an outsider's arithmetic accepts."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.audit.entries import get_entry
from libs.common.contracts.audit.tree import (
    get_log,
    get_tile,
    list_log_keys,
    log_key_added,
    prove_consistency,
    prove_inclusion,
)
from libs.tlog.digests import canonical, entry_digest
from libs.tlog.merkle import consistent, included, leaf_hash
from libs.tlog.notes import Checkpoint, Signer, Verifier, read_checkpoint, read_note
from libs.tlog.tiles import entries_of, tiles_of
from services.audit import checkpoints, tree
from services.audit.service import make_service
from tests.integration.audit_desk import listed, record, verified
from tests.stack import Stack
from tests.unit.tlog import naive

pytestmark = [pytest.mark.integration, pytest.mark.whole]

SIGNER = Signer.from_seed("log.example/audit", bytes(range(32)))


async def state_of(stack: Stack) -> dict[str, Any]:
    answer = await stack.query(get_log, {})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


def signed_by(found: dict[str, Any], signer: Signer) -> bool:
    point = Checkpoint.read(read_note(found["checkpoint"]).text)
    return signer.has_signed(found["checkpoint"], point)


async def signed(stack: Stack, size: int, *, by: Signer | None = None) -> dict[str, Any]:
    """Await a checkpoint of this size; with `by`, of that key: after a change, the old one's stands for a moment."""
    async with asyncio.timeout(20):
        while True:
            found = await state_of(stack)
            if found["state"] == "signed" and found["entry_count"] == size and (by is None or signed_by(found, by)):
                return found
            await asyncio.sleep(0.05)


async def tile(stack: Stack, path: str) -> bytes:
    answer = await stack.query(get_tile, {"path": path.removeprefix("tile/")})
    assert answer.status == 200, answer
    return base64.b64decode(answer.json["content_base64"])


async def test_checkpoint_tiles_and_entries_fit(stack: Stack) -> None:
    await stack.start(make_service(SIGNER))
    await signed(stack, 0)
    await record(stack, 300)
    first = await signed(stack, 300)
    await record(stack, 280)
    found = await signed(stack, 580)
    assert found["verifier"] == SIGNER.verifier.text
    point = read_checkpoint(found["checkpoint"], [Verifier.read(found["verifier"])])
    page = await listed(stack, limit=500)
    items = [*page["items"], *(await listed(stack, limit=500, cursor=page["next_cursor"]))["items"]][::-1]
    digests = [entry_digest(item) for item in items]
    assert point.root == naive.root(digests)
    for one in tiles_of(580):
        content = await tile(stack, one.path)
        if one.level == -1:
            assert entries_of(content) == digests[one.number * 256 :][: one.width]
        if one.level == 0:
            assert content == b"".join(map(leaf_hash, digests[one.number * 256 :][: one.width]))
    assert await tile(stack, "0/001.p/44") == (await tile(stack, "0/001"))[: 44 * 32]
    older = read_checkpoint(first["checkpoint"], [SIGNER.verifier])
    answer = (await stack.query(prove_consistency, {"from_size": 300})).json
    hashes = [bytes.fromhex(one) for one in answer["hashes"]]
    assert consistent(300, older.root, 580, point.root, hashes)
    assert (answer["from_root_hash"], answer["checkpoint"]) == (older.root.hex(), found["checkpoint"])
    for seq in (1, 256, 257, 512, 513, 580):
        proof = (await stack.query(prove_inclusion, {"seq": seq})).json
        hashes = [bytes.fromhex(one) for one in proof["hashes"]]
        assert included(leaf_hash(digests[seq - 1]), seq - 1, 580, hashes, point.root)
        shown = (await stack.query(get_entry, {"seq": seq})).json
        assert (shown["entry"], shown["proof"]) == (items[seq - 1], proof)
    old = (await stack.query(prove_inclusion, {"seq": 7, "size": 300})).json
    assert (old["root_hash"], old["checkpoint"]) == (older.root.hex(), None)
    assert (await verified(stack))["valid"]


async def test_what_is_not_there_is_said(stack: Stack) -> None:
    await stack.start(make_service(SIGNER))
    await record(stack, 3)
    await signed(stack, 3)
    for query, params, status, says in (
        (get_tile, {"path": "0/000"}, 404, "of size 3"),
        (get_tile, {"path": "0/000.p/4"}, 404, "of size 3"),
        (get_tile, {"path": "0/0"}, 422, "tile's path reads"),
        (get_tile, {"path": "9/000.p/1"}, 404, "of size 3"),
        (prove_inclusion, {"seq": 4}, 404, "not in the tree of size 3"),
        (prove_inclusion, {"seq": 1, "size": 9}, 404, "has 3 entries"),
        (prove_consistency, {"from_size": 4}, 422, "newer tree has 3"),
        (get_entry, {"seq": 4}, 404, "no entry 4"),
    ):
        answer = await stack.query(query, params)
        assert (answer.status, says in answer.json["detail"]) == (status, True), answer
    shown = await stack.query(get_entry, {"seq": 2}, sites=("elsewhere",))
    assert shown.status == 404


async def test_without_a_key_entries_are_kept_and_nothing_is_signed(stack: Stack) -> None:
    await stack.start(make_service(None))
    await record(stack, 3)
    found = await state_of(stack)
    assert (found["state"], found["entry_count"], found["tree_size"], found["checkpoint"]) == ("unsigned", 3, 3, None)
    answer = await stack.query(get_tile, {"path": "0/000.p/3"})
    assert answer.status == 404
    assert "no key is set" in answer.json["detail"]
    assert (await stack.query(prove_inclusion, {"seq": 1, "size": 3})).status == 200


async def test_entries_of_before_get_their_leaves_and_a_new_key_goes_on(stack: Stack) -> None:
    """As after an upgrade: a chain without a tree. Cut off in between, it goes on; signed is only the whole."""
    await stack.start(make_service(None))
    await record(stack, 700)
    await stack.stop("audit")
    superuser = await stack.superuser()
    await superuser.execute("UPDATE audit.head SET tree_size = 0, edges = '{}'; DELETE FROM audit.tile")
    await superuser.execute("SET search_path = audit")
    async with superuser.transaction():
        assert await tree.fill(superuser, 300) == 400
    cut_off = superuser.transaction()
    await cut_off.start()
    await tree.fill(superuser, 300)
    await cut_off.rollback()
    assert (await tree.read_head(superuser)).tree_size == 300
    await superuser.close()
    await stack.start(make_service(SIGNER))
    await record(stack, 5)
    found = await signed(stack, 705)
    page = await listed(stack, limit=500)
    items = [*page["items"], *(await listed(stack, limit=500, cursor=page["next_cursor"]))["items"]][::-1]
    assert read_checkpoint(found["checkpoint"], [SIGNER.verifier]).root == naive.root(list(map(entry_digest, items)))
    await stack.stop("audit")
    other = Signer.from_seed("log.example/audit", bytes(32))
    await stack.start(make_service(other))
    await signed(stack, 706, by=other)  # that there is another key is an entry, too
    told = await stack.heard(log_key_added)
    assert (told.data["verifier"], told.data["beside"]) == (other.verifier.text, [SIGNER.verifier.text])
    await record(stack, 1)
    await signed(stack, 707, by=other)
    keys = (await stack.query(list_log_keys, {})).json
    assert [(key["verifier"], key["first_size"], key["in_use"]) for key in keys] == [
        (SIGNER.verifier.text, 705, False),
        (other.verifier.text, 705, True),
    ]


async def test_an_outsider_puts_the_root_together(stack: Stack, tmp_path: Path) -> None:
    """The second program of docs/audit-log.md, run as it stands there."""
    await stack.start(make_service(SIGNER))
    await record(stack, 300)
    note = (await signed(stack, 300))["checkpoint"]
    lines = [json.dumps(entry) for entry in reversed((await listed(stack, limit=500))["items"])]
    text = (Path(__file__).parents[2] / "docs" / "audit-log.md").read_text()
    program, entries, point = (tmp_path / name for name in ("check.py", "entries.jsonl", "checkpoint"))
    program.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[1])
    point.write_text(note)

    def run(rows: list[str]) -> str:
        entries.write_text("".join(f"{row}\n" for row in rows))
        command = [sys.executable, "-I", str(program), str(entries), str(point)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert run(lines) == "300 entries give the signed root\n"
    assert run(lines[:-1]) == "300 entries were signed, the file has fewer\n"
    changed = json.dumps(json.loads(lines[7]) | {"site": "north"})
    assert run([*lines[:7], changed, *lines[8:]]) == "the entries give another root than was signed\n"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_both_writers_of_canonical_json_agree(actor: str, subject: str) -> None:
    """The service's fast one and the plain one of the verifier, over any text that Postgres keeps."""
    values = {"seq": 5, "hash": b"\x01", "actor": actor, "subject": subject}
    row = [values.get(name) for name in tree.NAMES]
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    assert tree.digest(row) == entry_digest(shown), canonical(shown)


async def test_reading_the_tree_does_not_grow_with_it(stack: Stack) -> None:
    """Tiles and the newest checkpoint are found by their indexes, however many there are."""
    running = await stack.start(make_service(None))
    superuser = await stack.superuser()
    await superuser.execute(
        "INSERT INTO audit.tile SELECT level, n, decode(repeat('00', 8192), 'hex')"
        " FROM generate_series(-1, 0) AS level, generate_series(0, 999) AS n"
    )
    await superuser.execute(
        "INSERT INTO audit.checkpoint SELECT 0, now() + n * interval '1 hour', n, decode(repeat('00', 32), 'hex'),"
        " 'note', 'key', now() FROM generate_series(1, 20000) AS n"
    )
    await superuser.execute("ANALYZE audit.tile, audit.checkpoint")
    await superuser.close()
    for statement, values in ((tree.SELECT_TILES, ([0, -1], [7, 900])), (checkpoints.SELECT_NEWEST, ())):
        rows = await running.pool.fetch(f"EXPLAIN (ANALYZE, FORMAT TEXT) {statement}", *values)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on tile" not in plan, plan
        assert "Seq Scan on checkpoint" not in plan, plan
        assert "Sort" not in plan, plan
