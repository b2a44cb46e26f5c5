"""A signed log that an older version wrote, before entries had versions, goes on under this one and still verifies."""

from pathlib import Path

import pytest

from deploy.local import LocalStack
from libs.client.tree_check import Digests, check_root, digest_of
from libs.client.verify import verify
from libs.tlog.notes import Checkpoint, read_note
from tests.integration.old_life import all_pages
from tests.integration.old_version import OldVersion, check_out
from tests.local_traffic import await_that, client

pytestmark = [pytest.mark.integration, pytest.mark.whole]
BEFORE = "05859b05f9e4caf8674118a7b7e689920a03f3be"
SERVICES = ("gateway", "governance", "tracker", "audit", "metrics", "notifier", "operations")
ENTRIES = "/api/audit/entries?limit=500"


def test_a_signed_log_of_before_goes_on(tmp_path: Path) -> None:
    old = OldVersion(check_out(tmp_path / "old", BEFORE), tmp_path / "data", SERVICES)
    old.start()
    try:
        with old.client() as http:
            assert http.post("/api/sites", json={"site": "north", "title": "N"}).status_code == 201
            await_that("its entry", lambda: http.get(f"{ENTRIES}&type=gateway.site.created").json()["items"])
            await_that("its checkpoint", lambda: http.get("/api/audit/log").json()["state"] == "signed")
            signed = Checkpoint.read(read_note(http.get("/audit/checkpoint").text).text)
            before = {entry["seq"]: entry for entry in all_pages(http, ENTRIES)}
        old.stop()
    finally:
        old.kill()
    stack = LocalStack(tmp_path / "data")
    stack.start()
    try:
        stack.wait_ready()
        with client(stack) as http:
            assert http.post("/api/sites", json={"site": "south", "title": "S"}).status_code == 201
            await_that("its record", lambda: http.get(f"{ENTRIES}&type=gateway.site.create").json()["items"])
            await_that("a checkpoint", lambda: http.get("/api/audit/log").json()["state"] == "signed")
            note = Checkpoint.read(read_note(http.get("/audit/checkpoint").text).text)
            report = http.get("/api/audit/verify").json()
            now = [*all_pages(http, ENTRIES)][-note.size :]
    finally:
        stack.stop()
    assert report["valid"], report
    entries = {entry["seq"]: entry for entry in now}
    for seq, entry in before.items():
        assert {name: entries[seq][name] for name in entry} == entry
        assert {entries[seq].get(name) for name in ("version", "outcome", "action", "client_address")} == {None}
        assert digest_of(entries[seq]) == digest_of(entry)
    versions = [entries[seq]["version"] for seq in sorted(entries)]
    assert versions == sorted(versions, key=bool)
    assert set(versions) == {None, 2}
    # Chain and tree by the client's own check: what was signed before is the beginning of what is signed now.
    digests = Digests(note.size)
    assert verify(digests.passing(now)).problem is None
    assert signed.size >= len(before) - 5
    check_root(digests, note, [signed], lambda _path: None)
