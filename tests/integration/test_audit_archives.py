"""Archives of the audit log end to end: made, frozen, downloaded, and verified by the tool alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from libs.client.cli import app
from libs.common.buckets import AUDIT_ARCHIVES, stream_name
from libs.common.contracts.audit.archives import (
    JOB,
    archive_made,
    get_archive_content,
    list_archives,
    make_archive,
    verify_archive,
)
from libs.common.contracts.gateway.sites import SiteView, site_created
from libs.common.objects import Bucket
from libs.tlog.archives import signed_text, write_manifest
from libs.tlog.merkle import leaf_hash
from libs.tlog.notes import Signer
from libs.tlog.tiles import entries_of
from services.audit.domain import months
from services.audit.service import make_service
from services.governance.service import make_service as make_governance
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.integration.archive_desk import Change, changed, files_of, make, month_with, shown, start
from tests.integration.audit_desk import record
from tests.integration.governance_desk import run
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick_checkpoints")]
KEY = ("--key", SIGNER.verifier.text)


def verify(*arguments: str) -> Result:
    """The tool, which asks nobody: there is no address and no token."""
    return CliRunner().invoke(
        app, ["audit", "archive", "verify", *arguments], env={"HEADGATE_URL": "http://127.0.0.1:9"}
    )


@pytest_asyncio.fixture
async def edge(stack: Stack) -> AsyncIterator[Http]:
    made = await Http(stack).open()
    yield made
    await made.close()


async def test_a_month_is_archived_frozen_and_verified_without_us(stack: Stack, edge: Http, tmp_path: Path) -> None:
    await start(stack)
    await stack.start(make_governance(packaged_policies()))
    decided = await run(stack)
    month = await month_with(stack, 300)
    answer = await edge.client.post("/api/audit/archives", json={"month": month})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["first_seq"], made["capsule_count"], made["capsules_left_out"]) == ("frozen", 1, 1, 0)
    assert made["entry_count"] == made["last_seq"] >= 301
    assert not made["dr_rehearsal_included"]
    assert (await stack.heard(archive_made)).subject == month
    assert (await edge.client.get(f"/api/audit/archives/{month}")).json() == made
    assert (await stack.query(list_archives, {})).json == [made]

    content = (await edge.client.get(f"/api/audit/archives/{month}/content")).content
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (made["sha256"], made["size_bytes"])
    files = files_of(content)
    bundle = b"".join(entries_of(files["tile/entries/000"]))
    assert files["tile/0/000"] == b"".join(leaf_hash(bundle[at : at + 32]) for at in range(0, 8192, 32))
    manifest = json.loads(files["manifest.json"])
    attached = json.loads(files["dr-rehearsal.json"])
    assert attached == manifest["attachments"]["dr_rehearsal_attachment"]
    assert (attached["included"], attached["status"]) == (False, "missing")
    capsules = [json.loads(one) for path, one in files.items() if path.startswith("capsules/")]
    assert [one["body"]["about"]["run_id"] for one in capsules] == [decided["run_id"]]
    rows = files[f"audit-archive-{month}.csv"].decode().split("\r\n")
    assert rows[0] == "id,created_at,actor_username,action,resource_type,resource_id,status,prev_hash,entry_hash"
    assert len(rows) == made["entry_count"] + 2
    second = files[f"audit-archive-{month}-v2.csv"].decode()
    assert second.startswith("section,key,value\r\nmeta,format_version,v2\r\n")
    assert "\r\ndr_rehearsal_attachment,included,False\r\n" in second

    checked = (await edge.client.get(f"/api/audit/archives/{month}/verify")).json()
    assert (checked["valid"], checked["problem"], checked["entry_count"]) == (True, None, made["entry_count"])
    file = tmp_path / "month.zip"
    file.write_bytes(content)
    result = await asyncio.to_thread(verify, str(file), *KEY, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["trusted"], said["entry_count"], said["file_count"]) == (True, made["entry_count"], len(files) - 2)
    result = await asyncio.to_thread(verify, str(file))
    assert result.exit_code == 0
    assert "The key was taken from the archive itself" in result.stdout
    await _rehearsal_and_large_bodies(edge, tmp_path)


async def _rehearsal_and_large_bodies(edge: Http, folder: Path) -> None:
    """What the first month had not: a rehearsal that ended in it, and bodies that no list shows and no chunk brings."""
    stack = edge.stack
    began = stack.clock() - timedelta(seconds=30)
    result = {
        "backup_id": "20260501T120000Z-abcdef",
        "started_at": began.isoformat(),
        "finished_at": (began + timedelta(seconds=20)).isoformat(),
        "restore_valid": True,
    }
    answer = await edge.client.post("/api/ops/dr/rehearsal/report", json=result)
    assert answer.status_code == 201, answer.text
    for signs in (70_000, 1_100_000):
        await stack.publish(site_created, SiteView(site="s", title="x" * signs, created_at=stack.clock()))
    await stack.idle("audit")
    current = months.month_of(stack.clock())
    made = (await make(stack, current)).json
    assert (made["state"], made["dr_rehearsal_included"]) == ("open", True)
    content, file = await _stored(stack, made), folder / "second.zip"
    file.write_bytes(content)
    files = files_of(content)
    attached = json.loads(files["dr-rehearsal.json"])
    assert (attached["included"], attached["status"]) == (True, "success")
    assert attached["latest_in_month"]["backup_file"] == result["backup_id"]
    entries = [json.loads(line) for line in files["entries.ndjson"].splitlines()]
    assert all(one["payload"] is not None for one in entries)
    assert sum(one["payload_bytes"] > 1024 * 1024 for one in entries) == 1
    verified = await asyncio.to_thread(verify, str(file), *KEY)
    assert verified.exit_code == 0, verified.output
    assert (await stack.query(verify_archive, {"month": current})).json["valid"]


async def test_a_frozen_archive_is_never_replaced_and_an_open_one_is(stack: Stack) -> None:
    await start(stack)
    month = await month_with(stack, 3)
    await record(stack, 2)
    current = months.month_of(stack.clock())
    first = (await make(stack, current)).json
    assert (first["state"], first["entry_count"], first["first_seq"]) == ("open", first["last_seq"] - 3, 4)
    frozen = (await make(stack, month)).json
    assert (frozen["state"], frozen["first_seq"], frozen["last_seq"]) == ("frozen", 1, 3)
    refused = await make(stack, month, 409)
    assert "frozen and never replaced" in refused.json["detail"]
    for other in (months.after(current), "1999-01"):
        assert "no signed entries" in (await make(stack, other, 404)).json["detail"] or other == "1999-01"
    second = (await make(stack, current)).json
    assert second["last_seq"] > first["last_seq"]
    assert second["sha256"] != first["sha256"]
    assert await shown(stack, month) == frozen
    login = await asyncpg.connect(stack.settings("audit").database_url.get_secret_value())  # type: ignore[union-attr]
    for statement in (
        "UPDATE audit.archive SET sha256 = '' WHERE month = $1",
        "DELETE FROM audit.archive WHERE month = $1",
    ):
        with pytest.raises(asyncpg.PostgresError, match=r"is frozen|permission denied"):
            await login.execute(statement, month)
    await login.close()
    # What was replaced is removed from the store, what is named stays.
    assert await stack.run_job("audit", "remove_unnamed_archives")
    for one, there in ((month, True), (current, True)):
        assert (await stack.query(verify_archive, {"month": one})).json["valid"] is there


async def test_the_clock_archives_months_in_their_order(stack: Stack) -> None:
    await start(stack)
    assert await stack.run_job("audit", JOB)  # there is nothing to do, which is no fault
    months_made = [await month_with(stack, 3), await month_with(stack, 4)]
    refused = await make(stack, months_made[1], 409)
    assert f"archive {months_made[0]} first" in refused.json["detail"]
    for _ in range(3):
        assert await stack.run_job("audit", JOB)
    found = (await stack.query(list_archives, {})).json
    assert [one["month"] for one in found] == months_made[::-1]
    assert found[0]["first_seq"] == found[1]["last_seq"] + 1
    assert found[0]["initial_prev_hash"] == found[1]["last_entry_hash"]


async def test_an_unsigned_log_has_no_archive(stack: Stack) -> None:
    await stack.start(make_service(None))
    month = months.month_of(stack.clock())
    await record(stack, 2)
    answer = await stack.command(make_archive, {"month": month})
    assert (answer.status, "not signed" in answer.json["detail"]) == (409, True)
    assert await stack.run_job("audit", JOB)


def _one_byte(path: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        content = bytearray(files[path])
        content[len(content) // 2] ^= 1
        files[path] = bytes(content)

    return change


def _without(path: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        del files[path]

    return change


def _more(files: dict[str, bytes]) -> None:
    files["tile/0/009"] = b"x" * 8192


def _resigned(change: Change, **said: str) -> Change:
    """As whoever holds the key could write it: every hash and the signature over the manifest fit the change."""

    def do(files: dict[str, bytes]) -> None:
        change(files)
        manifest = json.loads(files["manifest.json"]) | said
        manifest["files"] = [
            {"path": path, "size_bytes": len(one), "sha256": hashlib.sha256(one).hexdigest()}
            for path, one in files.items()
            if not path.startswith("manifest.json")
        ]
        files["manifest.json"] = write_manifest(manifest)
        digest = hashlib.sha256(files["manifest.json"]).hexdigest()
        text = signed_text(manifest["origin"], manifest["month"], digest)
        files["manifest.json.note"] = SIGNER.sign(text).encode()

    return do


def _other_actor(files: dict[str, bytes]) -> None:
    files["entries.ndjson"] = files["entries.ndjson"].replace(b'"actor":"ann"', b'"actor":"bob"', 1)


def _of_first(**shown: Any) -> Change:
    def change(files: dict[str, bytes]) -> None:
        first, rest = files["entries.ndjson"].split(b"\n", 1)
        files["entries.ndjson"] = json.dumps(json.loads(first) | shown).encode() + b"\n" + rest

    return change


def _swapped(files: dict[str, bytes]) -> None:
    lines = files["entries.ndjson"].splitlines(keepends=True)
    lines[3], lines[4] = lines[4], lines[3]
    files["entries.ndjson"] = b"".join(lines)


def _cut(files: dict[str, bytes]) -> None:
    files["entries.ndjson"] = b"".join(files["entries.ndjson"].splitlines(keepends=True)[:-1])


def _other_digest(files: dict[str, bytes]) -> None:
    path = next(name for name in files if name.startswith("tile/entries/"))
    files[path] = files[path][:-1] + bytes([files[path][-1] ^ 1])


def _in_csv(version: str, old: bytes, new: bytes) -> Change:
    def change(files: dict[str, bytes]) -> None:
        end = "-v2.csv" if version == "v2" else ".csv"
        path = next(name for name in files if name.endswith(end) and name.endswith("-v2.csv") == (version == "v2"))
        assert old in files[path], (path, old)
        files[path] = files[path].replace(old, new, 1)

    return change


def _row_of_last(files: dict[str, bytes], new: Callable[[bytes], bytes]) -> None:
    path = next(name for name in files if name.endswith(".csv") and not name.endswith("-v2.csv"))
    rows = files[path].splitlines(keepends=True)
    files[path] = b"".join([*rows[:-1], new(rows[-1])])


def _without_second_csv(files: dict[str, bytes]) -> None:
    del files[next(one for one in files if one.endswith("-v2.csv"))]


def _nothing(files: dict[str, bytes]) -> None:
    """Only the manifest says something else."""


TAMPERED: tuple[tuple[Change, str], ...] = (
    (_one_byte("entries.ndjson"), "entries.ndjson was altered"),
    (_one_byte("dr-rehearsal.json"), "dr-rehearsal.json was altered"),
    (_one_byte("manifest.json"), "manifest.json was altered"),
    (_without("entries.ndjson"), "entries.ndjson is missing"),
    (_without("manifest.json.note"), "manifest.json.note is missing"),
    (_more, "tile/0/009 does not belong to it"),
    (_resigned(_nothing, root_hash="00" * 32), "its manifest names another root than its checkpoint"),
    (_resigned(_nothing, month="1999-01"), "it holds entries that were taken in after 1999-01"),
    (_resigned(_nothing, month="2099-12"), "its last entry was taken in before 2099-12"),
    (_resigned(_nothing, month="2099-13"), "'2099-13' is no month"),
    (_resigned(_more), "tiles that the signed tree does not have"),
    (_resigned(_other_actor), "entry 1 is another one than was signed"),
    (_resigned(_of_first(event={"type": "forged"})), "entry 1 was changed: its event is not what its payload says"),
    (_resigned(_of_first(erased_at="2026-01-01T00:00:00Z")), "entry 1 has its body, though it is shown as removed"),
    (_resigned(_of_first(payload=None, event=None)), "entry 1 has no body, and nothing says that it was removed"),
    (_resigned(_swapped), "entry 4 is missing: the next one is 5"),
    (_resigned(_cut), "it holds entries 1 to 9, not those"),
    (_resigned(_other_digest), "is not what the digests of the entries give"),
    (_resigned(_in_csv("v1", b",ann,", b",bob,")), ".csv: row 2 is not what entry 1 is: actor_username says 'bob'"),
    (_resigned(_in_csv("v1", b"status,", b"state,")), ".csv: row 1 is not the header that it has: status says 'state'"),
    (_resigned(_in_csv("v1", b",success,", b",denied,")), "status says 'denied', not 'success'"),
    (_resigned(lambda files: _row_of_last(files, lambda row: b"")), ".csv: row 11 is missing, and all behind it"),
    (_resigned(lambda files: _row_of_last(files, lambda row: row + row)), ".csv: row 12 belongs to no entry"),
    (_resigned(_in_csv("v2", b",person,", b",service,")), "-v2.csv: row 2 is not what entry 1 is: actor_kind says"),
    (_resigned(_in_csv("v2", b"meta,last_seq,10", b"meta,last_seq,9")), "(meta, last_seq) is not what the manifest"),
    (_resigned(_in_csv("v2", b"meta,last_seq,10\r\n", b"")), "the manifest's last_seq (meta) is missing before row"),
    (_resigned(_in_csv("v2", b"included,False", b"included,True")), "(dr_rehearsal_attachment, included) is not what"),
    (_resigned(_without_second_csv), "-v2.csv is missing"),
)


async def test_what_was_altered_is_named(stack: Stack, tmp_path: Path) -> None:
    await start(stack)
    month = await month_with(stack, 10)
    made = (await make(stack, month)).json
    content = await _stored(stack, made)
    file = tmp_path / "month.zip"
    for change, says in TAMPERED:
        file.write_bytes(changed(content, change))
        result = await asyncio.to_thread(verify, str(file), *KEY, "--json")
        assert result.exit_code == 1, (says, result.output)
        assert says in json.loads(result.stdout)["problem"]
    without_body = _of_first(payload=None, event=None, erased_at="2099-01-01T00:00:00Z")
    file.write_bytes(changed(content, _resigned(without_body)))
    result = await asyncio.to_thread(verify, str(file), *KEY, "--json")
    assert (result.exit_code, json.loads(result.stdout)["valid"]) == (2, False), result.output  # not proven here
    file.write_bytes(content)
    assert (await asyncio.to_thread(verify, str(file), *KEY)).exit_code == 0
    other = Signer.from_seed("log.example/audit", bytes(32)).verifier.text
    result = await asyncio.to_thread(verify, str(file), "--key", other)
    assert (result.exit_code, "not signed by a key that you trust" in result.stdout) == (1, True)
    file.write_bytes(content[: len(content) // 2])
    assert (await asyncio.to_thread(verify, str(file), *KEY)).exit_code == 1
    assert (await asyncio.to_thread(verify, str(tmp_path / "none.zip"), *KEY)).exit_code == 2
    await _only_for_all_sites(stack, month)
    await _made_again_gives_the_same_bytes(stack, made)
    await stack.bus.js.purge_stream(stream_name(stack.topology.namespace, AUDIT_ARCHIVES.name))
    answer = await stack.query(verify_archive, {"month": month})
    assert (answer.status, answer.json["valid"]) == (200, False)
    assert "not in the store" in answer.json["problem"]


async def _only_for_all_sites(stack: Stack, month: str) -> None:
    may = ("personal:read",)
    answer = await stack.query(get_archive_content, {"month": month}, sites=("global", "plant-7"), permissions=may)
    assert (answer.status, "all sites" in answer.json["detail"]) == (403, True), answer.json
    answer = await stack.query(get_archive_content, {"month": month})
    assert (answer.status, "personal:read" in answer.json["detail"]) == (403, True), answer.json
    assert (await stack.query(get_archive_content, {"month": "2020-01"}, permissions=may)).status == 404


async def _made_again_gives_the_same_bytes(stack: Stack, made: dict[str, Any]) -> None:
    superuser = await stack.superuser()
    await superuser.execute("DELETE FROM audit.archive")
    await superuser.close()
    stack.clock.advance(days=3)
    again = (await make(stack, made["month"])).json
    assert {**again, "made_at": ""} == {**made, "made_at": ""}


async def _stored(stack: Stack, made: dict[str, Any]) -> bytes:
    bucket = Bucket(AUDIT_ARCHIVES.name).bind(stack.bus)
    return b"".join([piece async for piece in bucket.read(await bucket.find(made["sha256"]))])
