"""Time stamps of archives, by an authority that is OpenSSL's: checked by our tool, and by OpenSSL."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import zlib
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from libs.client.cli import app
from libs.common.buckets import AUDIT_ARCHIVES
from libs.common.contracts.audit.archives import STAMP_JOB, get_archive_stamp
from libs.common.objects import Bucket
from libs.common.outbound import Outbound
from libs.common.settings import Settings
from libs.tlog.stamps import StampProblem, make_query, read_roots, stamped_at, verify_stamp
from services.audit.archives.stamping import Authority
from services.audit.service import make_service
from services.operations.service import make_service as make_operations
from tests.integration.archive_desk import files_of, make, month_with
from tests.integration.test_audit_tree import SIGNER
from tests.stack import Stack
from tests.tsa import Tsa, openssl

pytestmark = [
    pytest.mark.integration,
    pytest.mark.usefixtures("quick_checkpoints"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to be the authority"),
]
KEY = ("--key", SIGNER.verifier.text)


def folder_of(path: Path, name: str) -> Path:
    made = path / name
    made.mkdir()
    return made


async def file_of(stack: Stack, made: dict[str, Any]) -> bytes:
    bucket = Bucket(AUDIT_ARCHIVES.name).bind(stack.bus)
    return b"".join([piece async for piece in bucket.read(await bucket.find(made["sha256"]))])


async def last_run(stack: Stack) -> Any:
    superuser = await stack.superuser()
    found = await superuser.fetchval(
        "SELECT detail FROM audit.job_run WHERE job_name = $1 ORDER BY run_id DESC LIMIT 1", STAMP_JOB
    )
    await superuser.close()
    return found


async def test_an_archive_is_stamped_and_anybody_can_check_it(stack: Stack, tmp_path: Path) -> None:
    tsa, other = Tsa(folder_of(tmp_path, "tsa")), Tsa(folder_of(tmp_path, "other"))
    with tsa.serving() as url:
        authority = Authority(url, partial(Outbound, ["127.0.0.0/8"]))
        await stack.start(make_service(SIGNER, authority=authority), make_operations(Settings()))
        month = await month_with(stack, 3)
        assert await stack.run_job("audit", STAMP_JOB)
        assert tsa.asked == 0  # there is no frozen archive
        made = (await make(stack, month)).json
        for broken, says in (
            ((503, b"busy"), "answered 503"),
            ((200, b"<html>"), "no time stamp"),
            ((200, b"x" * 70_000), "answered 200 with 65536 bytes"),
            (other.reply(make_query("something else")[0]), "the reply is to another query"),
        ):
            tsa.broken = broken
            await stack.run_job("audit", STAMP_JOB)
            assert says in str(await last_run(stack)), says
            assert (await stack.query(get_archive_stamp, {"month": month})).status == 404
        tsa.broken = None
        await stack.run_job("audit", STAMP_JOB)
        asked = tsa.asked
        await stack.run_job("audit", STAMP_JOB)
        assert tsa.asked == asked  # one is enough
    answer = await stack.query(get_archive_stamp, {"month": month})
    assert answer.status == 200, answer
    reply = zlib.decompress(base64.b64decode(answer.json["content_zlib_base64"]))
    file, stamp = tmp_path / "month.zip", tmp_path / "month.tsr"
    content = await file_of(stack, made)
    file.write_bytes(content)
    stamp.write_bytes(reply)

    def tool(*more: str) -> tuple[int, Any]:
        result = CliRunner().invoke(app, ["audit", "archive", "verify", str(file), *KEY, "--json", *more])
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.output

    code, said = await asyncio.to_thread(tool, "--timestamp", str(stamp), "--tsa-ca", str(tsa.folder / "root.pem"))
    assert code == 0, said
    assert abs(datetime.fromisoformat(said["stamped_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
    code, said = await asyncio.to_thread(tool, "--timestamp", str(stamp), "--tsa-ca", str(other.folder / "root.pem"))
    assert (code, said["valid"]) == (1, False)
    assert (await asyncio.to_thread(tool, "--timestamp", str(stamp)))[0] == 2
    # As the docs say it for who has OpenSSL only.
    text = b"".join(files_of(content)["manifest.json.note"].splitlines(keepends=True)[:4])
    (tmp_path / "signed").write_bytes(text)
    check = ("ts", "-verify", "-data", "signed", "-in", "month.tsr", "-CAfile", "tsa/root.pem")
    openssl(tmp_path, *check)
    (tmp_path / "signed").write_bytes(text.replace(b"v1", b"v2"))
    with pytest.raises(subprocess.CalledProcessError):
        openssl(tmp_path, *check)


def test_a_stamp_is_of_one_text_by_one_authority(tmp_path: Path) -> None:
    tsa = Tsa(folder_of(tmp_path, "tsa"))
    roots = read_roots((tsa.folder / "root.pem").read_bytes())
    query, nonce = make_query("a\n")
    reply = tsa.reply(query)[1]
    assert stamped_at(reply, "a\n", nonce) == verify_stamp(reply, "a\n", roots)
    with pytest.raises(StampProblem, match="something else"):
        stamped_at(reply, "b\n", nonce)
    with pytest.raises(StampProblem, match="another query"):
        stamped_at(reply, "a\n", 7)
    with pytest.raises(StampProblem, match="does not hold"):
        verify_stamp(reply, "b\n", roots)
    altered = bytearray(reply)
    altered[-5] ^= 1
    with pytest.raises(StampProblem):
        verify_stamp(bytes(altered), "a\n", roots)
    with pytest.raises(StampProblem, match="no certificates"):
        read_roots(b"nothing")
