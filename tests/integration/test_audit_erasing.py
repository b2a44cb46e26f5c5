"""Bodies of old entries go, and all that was proven still is: by the server, by the tool, and against the database."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from libs.client.cli import app
from libs.common.buckets import AUDIT_ARCHIVES, stream_name
from libs.common.contracts.audit.archives import Archive, archive_made, verify_archive
from libs.common.contracts.audit.chain import verify_chain
from libs.common.contracts.audit.erasures import JOB, BodiesErased, bodies_erased
from libs.common.contracts.audit.receipts import get_receipt
from libs.common.contracts.audit.resources import list_deeds
from libs.common.objects import Bucket
from libs.common.settings import Settings
from libs.tlog.archives import signed_text, write_manifest
from libs.tlog.digests import entry_digest
from libs.tlog.notes import Signer
from services.audit.erasing import read_retention
from services.audit.service import make_service
from services.operations.service import make_service as make_operations
from tests.integration.archive_desk import changed, files_of, make, month_with, shown
from tests.integration.audit_desk import listed, record, verified
from tests.integration.test_audit_static import settled
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]
DAYS = {"default": 2555, "gateway.site.": 100}


async def bodies(stack: Stack) -> dict[int, bool]:
    """Of each entry whether it has its body."""
    return {one["seq"]: one["payload"] is not None for one in (await listed(stack, limit=500))["items"]}


async def archived(stack: Stack, month: str) -> None:
    """Archive a month, and await that the log itself tells of it: else nothing of it is removed."""
    await make(stack, month)
    await stack.heard(archive_made, lambda told: told.data["month"] == month)  # now it is on the stream
    await stack.idle("audit")


async def old_month(stack: Stack, count: int) -> str:
    """A month of 200 days ago with entries, archived; the clock then goes on to now."""
    now = stack.clock()
    stack.clock.advance(days=-200)
    await stack.start(make_service(SIGNER, retention=DAYS), make_operations(Settings()))
    month = await month_with(stack, count)
    await archived(stack, month)
    stack.clock.now = now
    return month


async def test_a_body_goes_and_everything_still_verifies(stack: Stack, tmp_path: Path) -> None:
    month = await old_month(stack, 300)
    await record(stack, 3)
    before = {one["seq"]: one for one in (await listed(stack, limit=500))["items"]}
    assert await stack.run_job("audit", JOB)
    told = (await stack.heard(bodies_erased)).data
    assert (told["erased_count"], told["retention_class"], told["archive_month"]) == (300, "gateway.site.", month)
    await stack.idle("audit")
    await settled(stack)
    found = (await listed(stack, limit=500))["items"][::-1]
    gone = {one["seq"] for one in found if one["payload"] is None}
    assert gone == set(range(1, 301))  # what is young, or of another class, keeps its body
    for one in found:
        if one["seq"] in gone:
            assert one["erased_at"] is not None
            old = before[one["seq"]]
            kept = {name: value for name, value in one.items() if name not in ("payload", "event", "erased_at")}
            assert kept == {name: old[name] for name in kept}
            assert entry_digest(one) == entry_digest(old)
    assert (await verified(stack))["valid"]
    assert (await stack.query(get_receipt, {"seq": 7})).status == 200
    assert (await stack.query(verify_archive, {"month": month})).json["valid"]
    asked = {"resource_type": "gateway.site", "resource_id": "test", "limit": 4}
    deeds = (await stack.query(list_deeds, asked)).json["items"]
    assert [one["changes_omitted"] for one in deeds] == [None, None, None, "erased"]
    assert await stack.run_job("audit", JOB)  # there is nothing more
    assert sum(not has for has in (await bodies(stack)).values()) == 300
    await _tool_holds(stack, found, tmp_path)
    await _a_changed_one_is_found(stack)


async def _tool_holds(stack: Stack, found: list[dict[str, Any]], folder: Path) -> None:
    export = folder / "log.ndjson"

    def check() -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(app, ["audit", "verify", "--offline", str(export), "--json"])
        return result.exit_code, json.loads(result.stdout)["local"]

    export.write_text("".join(json.dumps(one) + "\n" for one in found))
    code, said = await asyncio.to_thread(check)
    # Without the tree nobody vouches for what is shown of them.
    assert (code, said["valid"], said["erased_count"]) == (2, True, 300)
    export.write_text("".join(json.dumps(one | {"erased_at": None}) + "\n" for one in found))
    code, said = await asyncio.to_thread(check)
    assert (code, said["problem"]) == (1, "entry 1 has no payload, though it is small enough to be listed with one")


async def _a_changed_one_is_found(stack: Stack) -> None:
    """A column of an entry without a body, a hash that was kept, and a body that just vanished."""
    superuser = await stack.superuser()
    select = "SELECT octet_length(payload) AS size, sha256(payload) AS content FROM audit.entry WHERE seq = 301"
    [(size, content)] = await superuser.fetch(select)
    for statement, back, seq, says in (
        ("UPDATE audit.entry SET actor = 'bob' WHERE seq = 42", "UPDATE audit.entry SET actor = 'ann' WHERE seq = 42",
         42, "its digest is not that of the tree"),
        ("UPDATE audit.erasure SET payload_sha256 = sha256('x') WHERE seq = 43", None, 43, "entry 43 was changed"),
        ("UPDATE audit.entry SET payload = NULL WHERE seq = 301", None, 43, "entry 43 was changed"),
        ("DELETE FROM audit.erasure WHERE seq = 9", None, 9, "has no body, and nothing says that it was removed"),
    ):  # fmt: skip
        await superuser.execute(statement)
        answer = await verified(stack)
        assert (answer["valid"], answer["first_bad_seq"]) == (False, seq), answer
        assert says in answer["problem"]
        if back is not None:
            await superuser.execute(back)
    assert "entry 301 has no body" in (await verified(stack, from_seq=301))["problem"]
    await superuser.execute(  # a row that notes it is no proof
        "INSERT INTO audit.erasure SELECT seq, $1, $2, now() - interval '2 hours' FROM audit.entry WHERE seq = 301",
        size, content,
    )  # fmt: skip
    found = (await verified(stack, from_seq=301))["problem"]
    assert found == "entry 301 has no body, and no later entry says that it was removed"
    await superuser.execute("UPDATE audit.erasure SET erased_at = now() WHERE seq = 301")
    young = await stack.query(verify_chain, {"from_seq": 301})
    assert (young.status, "can't be told yet" in young.json["detail"]) == (503, True)
    await superuser.close()


async def test_what_tells_of_a_removal_keeps_its_body(stack: Stack) -> None:
    """Else nothing would say any more that what it tells of has gone rightly."""
    now = stack.clock()
    stack.clock.advance(days=-200)
    await stack.start(make_service(SIGNER, retention={"default": 100}), make_operations(Settings()))
    said = BodiesErased(
        retention_class="default",
        first_seq=1,
        last_seq=1,
        erased_count=0,
        recorded_before=stack.clock(),
        archive_month="2026-01",
        archive_sha256="ab",
    )
    await stack.publish(bodies_erased, said)
    await archived(stack, await month_with(stack, 3))
    stack.clock.now = now
    assert await stack.run_job("audit", JOB)
    found = (await listed(stack, limit=500))["items"]
    kept = {one["type"] for one in found if one["payload"] is not None and one["seq"] <= 4}
    assert (kept, sum(one["payload"] is None for one in found)) == ({bodies_erased.type}, 3)


async def test_nothing_goes_that_is_not_archived_or_whose_archive_is_gone(stack: Stack) -> None:
    month = await old_month(stack, 5)
    await stack.bus.js.purge_stream(stream_name(stack.topology.namespace, AUDIT_ARCHIVES.name))
    assert await stack.run_job("audit", JOB)
    assert all((await bodies(stack)).values()), month
    login = await asyncpg.connect(stack.settings("audit").database_url.get_secret_value())  # type: ignore[union-attr]
    superuser = await stack.superuser()
    call = "SELECT audit.erase_bodies($1, $2, '', '{}', now() - $3::int * interval '1 day')"
    for values, says in (
        ((0, 5, 89), "younger than 90 days"),
        ((0, 20_000, 91), "at most 10000"),
        ((0, 6, 91), "in no frozen archive"),
    ):
        with pytest.raises(asyncpg.RaiseError, match=says):
            await login.execute(call, *values)
    for statement in (
        "UPDATE audit.entry SET payload = NULL",
        "INSERT INTO audit.erasure VALUES (1, 1, sha256('x'), now())",
        "DELETE FROM audit.erasure",
        "ALTER FUNCTION audit.erase_bodies SECURITY INVOKER",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(statement)
    await superuser.execute("SET ROLE headgate_tracker")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):  # nor does anybody else call it
        await superuser.execute(call, 0, 5, 91)
    await superuser.close()
    await login.close()
    assert all((await bodies(stack)).values())


FORGE = """
INSERT INTO archive SELECT (jsonb_populate_record(archive, jsonb_build_object(
    'month', '1999-01', 'state', 'frozen', 'first_seq', 1, 'last_seq', 5, 'sha256', $1::text,
    'manifest_sha256', $2::text, 'verifier', $3::text))).* FROM archive LIMIT 1
"""


async def test_an_invented_archive_removes_nothing(stack: Stack) -> None:
    """By whoever has the service's login: a row alone, a row with an entry of the log, and all of it but the key."""
    now = stack.clock()
    stack.clock.advance(days=-200)
    await stack.start(make_service(SIGNER, retention=DAYS), make_operations(Settings()))
    month = await month_with(stack, 5)
    made = (await make(stack, month)).json
    stack.clock.now = now
    bucket, superuser = Bucket(AUDIT_ARCHIVES.name).bind(stack.bus), await stack.superuser()
    await superuser.execute("SET search_path = audit")
    content = b"".join([piece async for piece in bucket.read(await bucket.find(made["sha256"]))])
    forger = Signer.from_seed(SIGNER.verifier.name, bytes(31) + b"\5")

    def signed(files: dict[str, bytes]) -> None:
        manifest = {**json.loads(files["manifest.json"]), "month": "1999-01"}
        files["manifest.json"] = write_manifest(manifest)
        text = signed_text(made["origin"], "1999-01", hashlib.sha256(files["manifest.json"]).hexdigest())
        files["manifest.json.note"] = forger.sign(text).encode()

    forged = changed(content, signed)
    digest = hashlib.sha256(files_of(forged)["manifest.json"]).hexdigest()
    said = {
        **made, "month": "1999-01", "sha256": hashlib.sha256(forged).hexdigest(), "manifest_sha256": digest,
        "verifier": forger.verifier.text,
    }  # fmt: skip
    login = await asyncpg.connect(stack.settings("audit").database_url.get_secret_value())  # type: ignore[union-attr]
    await login.execute("SET search_path = audit")
    call = "SELECT erase_bodies(0, 5, '', '{}', now() - interval '91 days')"
    await login.execute(FORGE, said["sha256"], digest, said["verifier"])
    await superuser.execute("DELETE FROM archive WHERE month <> '1999-01'")
    with pytest.raises(asyncpg.RaiseError, match="no entry of the log says that the archive of entries 1 to 5 was mad"):
        await login.execute(call)
    assert "No entry of the log says that the archive of 1999-01 was made" in await erased(stack)
    await stack.publish(archive_made, Archive(**{**said, "sha256": "ab"}), site="global")
    await stack.idle("audit")
    assert "No entry of the log says" in await erased(stack)  # of another file
    await stack.publish(archive_made, Archive(**said), site="global")
    await stack.idle("audit")
    await settled(stack)
    await bucket.put(said["sha256"], len(forged), io.BytesIO(gzip.compress(forged)))
    assert "is signed by a key that is neither this service's" in await erased(stack)
    await superuser.execute("CREATE TEMP TABLE forged AS SELECT * FROM archive")
    await superuser.execute("UPDATE forged SET verifier = $1", SIGNER.verifier.text)
    await superuser.execute("DELETE FROM archive")
    await superuser.execute("INSERT INTO archive SELECT * FROM forged")
    await stack.publish(archive_made, Archive(**{**said, "verifier": SIGNER.verifier.text}), site="global")
    await stack.idle("audit")
    await settled(stack)
    assert "does not hold (the archive is not signed by a key that you trust" in await erased(stack)
    assert all((await bodies(stack)).values())
    await login.execute(call)  # the database can't read a signature; but what was forged stands in the log for good
    assert (await listed(stack, action=archive_made.type))["items"][0]["event"]["data"]["month"] == "1999-01"
    await login.close()
    await superuser.close()


async def test_an_archive_whose_file_is_another_removes_nothing(stack: Stack) -> None:
    """A row of ours, and under its name in the store what no key of ours has signed."""
    month = await old_month(stack, 5)
    made = await shown(stack, month)
    bucket = Bucket(AUDIT_ARCHIVES.name).bind(stack.bus)
    content = b"".join([piece async for piece in bucket.read(await bucket.find(made["sha256"]))])
    await bucket.put(made["sha256"], len(content), io.BytesIO(gzip.compress(content[::-1])))
    assert "is not in the store, or was altered" in await erased(stack)
    assert all((await bodies(stack)).values())


@pytest.mark.parametrize("lost", [0, 1])
async def test_an_archive_in_doubt_holds_up_only_what_is_behind_it(stack: Stack, lost: int) -> None:
    """A class that is behind it goes on, and one that is before it goes on up to there."""
    now, made = stack.clock(), []
    stack.clock.advance(days=-260)
    await stack.start(
        make_service(SIGNER, retention={"default": 150, "gateway.site.": 100}), make_operations(Settings())
    )
    for days in (260, 200):
        stack.clock.now = now - timedelta(days=days)
        made.append((await make(stack, await month_with(stack, 5))).json)
    stack.clock.now = now
    bucket, superuser = Bucket(AUDIT_ARCHIVES.name).bind(stack.bus), await stack.superuser()
    await bucket.drop(made[lost]["sha256"])
    if lost == 0:  # as removed before it was lost
        await superuser.execute("INSERT INTO audit.erasing VALUES ('gateway.site.', $1)", made[0]["last_seq"])
    problem = await erased(stack)
    assert problem.count("is not in the store") == 1, problem
    assert made[lost]["month"] in problem
    gone = {seq for seq, has in (await bodies(stack)).items() if not has}
    other = made[1 - lost]
    assert gone, "nothing was removed"
    assert gone <= set(range(other["first_seq"], other["last_seq"] + 1))
    rows = await superuser.fetch("SELECT class, after_seq FROM audit.erasing")
    places = {row["class"]: row["after_seq"] for row in rows}
    first = made[0]["last_seq"]
    assert (places["default"], places["gateway.site."] > first) == ((0, True) if lost == 0 else (first, False))
    await superuser.close()


async def erased(stack: Stack) -> str:
    """Run the job; what it says that kept it from removing."""
    assert await stack.run_job("audit", JOB)
    superuser = await stack.superuser()
    detail = await superuser.fetchval(
        "SELECT detail FROM audit.job_run WHERE job_name = $1 ORDER BY run_id DESC LIMIT 1", JOB
    )
    await superuser.close()
    return str(json.loads(detail or "{}").get("problem"))


def test_what_the_setting_may_say() -> None:
    assert read_retention(DAYS) == DAYS
    for wrong, says in (
        ({"default": 89}, "90 to 36500 days"),
        ({"default": 36_501}, "90 to 36500 days"),
        ({"": 100}, "is no class"),
        ({"Metrics": 100}, "is no class"),
        ({"%": 100}, "is no class"),
    ):
        with pytest.raises(ValueError, match=says):
            read_retention(wrong)
