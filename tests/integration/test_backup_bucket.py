"""Backups in a bucket, whole: made, rehearsed, restored. Also on a real S3 server where HEADGATE_TEST_S3_SERVER names
one that is started as ``PROGRAM -p PORT`` (moto_server).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import obstore
import pytest
from obstore.store import MemoryStore, ObjectStore

from deploy.backup import restore as restoring
from deploy.backup.bucket import BucketStore, open_bucket
from deploy.backup.create import Told
from deploy.backup.files import Pace
from deploy.backup.rehearse import rehearse
from deploy.backup.restore import restore
from deploy.embedded import free_port
from services.audit.service import make_service as make_audit
from tests.integration.audit_desk import record, verified
from tests.integration.backup_desk import NO_KEYS, source_of
from tests.stack import PASSWORDS, Stack

pytestmark = pytest.mark.integration
SERVER = os.environ.get("HEADGATE_TEST_S3_SERVER")
ADDRESS = "s3://attic/headgate"


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if SERVER is None:
        pytest.skip("HEADGATE_TEST_S3_SERVER names no S3 server")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([SERVER, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _make(f"{url}/attic")
            for name, value in {"ACCESS_KEY_ID": "an-id", "SECRET_ACCESS_KEY": "a-secret", "REGION": "us-east-1",
                                "ENDPOINT_URL": url}.items():  # fmt: skip
                monkeypatch.setenv(f"AWS_{name}", value)
            yield open_bucket(ADDRESS)
        finally:
            process.terminate()


def _make(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert httpx2.put(url, trust_env=False).status_code == 200
            return
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.2)


def _left(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def test_made_rehearsed_and_restored(
    stack: Stack, tmp_path: Path, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "passwords", lambda *_: PASSWORDS)
    await stack.start(make_audit(None))
    await record(stack, 50)
    await stack.idle("audit")
    before = await verified(stack)
    await stack.stop("audit")
    store = BucketStore(tmp_path, 0.0, bucket, ADDRESS)
    done = await rehearse(source_of(stack), store, NO_KEYS, Told(), found=None, bus_url=None, pace=Pace())
    assert (done.problems, done.restore_valid, done.audit_seq) == ([], True, before["head_seq"])
    (made,) = store.all()
    assert made.checked_at is not None
    assert _left(tmp_path) == [".lock"]
    paths = {one["path"] for batch in obstore.list(bucket) for one in batch}
    assert {f"{made.backup_id}/manifest.json", f"{made.backup_id}/database.dump"} <= paths
    restored = await restore(made, source_of(stack), NO_KEYS, Told(), replace=True)
    assert restored.audit_seq == done.audit_seq
