"""Backups in a bucket: only what was brought there whole counts, and nothing of what lets us in is ever said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from deploy.backup import bucket as buckets
from deploy.backup.bucket import BucketStore, is_bucket, open_bucket
from deploy.backup.files import PartWriter
from deploy.backup.manifest import BackupError
from deploy.backup.pruning import prune
from deploy.backup.retention import Keep
from deploy.backup.sealing import Keys
from deploy.backup.store import Found
from deploy.backup.telling import Backup
from tests.unit.deploy.backups import MOMENT, a_manifest, ignore

ADDRESS = "s3://attic/headgate"


@pytest.fixture
def store(tmp_path: Path) -> BucketStore:
    return BucketStore(tmp_path / "work", 0.0, MemoryStore(), ADDRESS)


def put(store: BucketStore, began: timedelta = timedelta(), *, finish: bool = True) -> str:
    """A small backup; returns its id."""
    with store.writing():
        backup_id, folder = store.begin(MOMENT + began)
        part = PartWriter(folder, "database.dump", backup_id, Keys(), packed=False, moved=ignore)
        part.write(b"rows")
        at = MOMENT + began
        manifest = a_manifest(backup_id, database=part.close(), streams={}, began_at=at, recovery_point=at)
        if finish:
            store.finish(folder, manifest, Keys())
    return backup_id


def test_which_addresses_are_buckets() -> None:
    assert is_bucket("s3://a/b")
    assert not any(is_bucket(one) for one in ("/mnt/backups", "backups", "s3:/a", "C:\\backups"))
    with pytest.raises(BackupError, match="is no bucket"):
        open_bucket("s3://")


def test_a_backup_is_listed_read_and_removed(store: BucketStore) -> None:
    assert store.all() == []
    first, second = put(store), put(store, timedelta(hours=1))
    assert [one.backup_id for one in store.all()] == [first, second]
    assert store.newest().backup_id == second
    assert list(store.root.glob("*-*")) == []  # nothing of it stays on this machine
    assert store.check(store.newest(), Keys(), MOMENT, ignore) == []
    found = store.look(second)
    assert (found.problem, found.checked_at, str(found.folder)) == ("", MOMENT, f"{ADDRESS}/{second}")
    told = Backup.of(found, store, [], MOMENT, MOMENT)
    assert (told.place, told.free_bytes, told.kept_count) == ("s3", None, 2)
    assert prune(store, Keep(1, 0, 0))[1] == [first]
    assert [one.backup_id for one in store.all()] == [second]
    with pytest.raises(BackupError, match=f"There is no backup '{first}' in {ADDRESS}"):
        store.look(first)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "database.dump has 0 bytes"),
        (None, "database.dump is missing"),
    ],
)
def test_damage_is_named(store: BucketStore, content: bytes | None, problem: str) -> None:
    made = put(store)
    assert store.bucket is not None
    if content is None:
        obstore.delete(store.bucket, f"{made}/database.dump")
    else:
        obstore.put(store.bucket, f"{made}/database.dump", content)
    assert store.look(made).problem.startswith(problem)
    assert store.check(store.look(made), Keys(), MOMENT, ignore)[0].startswith(problem)


def test_one_byte(store: BucketStore) -> None:
    made = put(store)
    assert store.bucket is not None
    lying = bytearray(obstore.get(store.bucket, f"{made}/database.dump").bytes())
    lying[-1] ^= 1
    obstore.put(store.bucket, f"{made}/database.dump", bytes(lying))
    assert store.look(made).problem == ""  # its size is right
    assert store.check(store.look(made), Keys(), MOMENT, ignore) == ["database.dump is damaged: its SHA-256 differs."]
    assert store.look(made).problem != ""  # and from now on it is known


def test_what_was_broken_off_never_counts_and_is_swept_when_it_is_old(
    store: BucketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = put(store)
    torn = "20260501T120000Z-ffffff"
    assert store.bucket is not None
    obstore.put(store.bucket, f"{torn}/database.dump", b"half")

    def there() -> set[str]:
        assert store.bucket is not None
        return {one["path"].partition("/")[0] for batch in obstore.list(store.bucket) for one in batch}

    assert [one.backup_id for one in store.all()] == [whole]
    with pytest.raises(BackupError, match="There is no backup"):
        store.look(torn)
    with store.writing():
        pass
    assert there() == {whole, torn}  # another machine may be at it
    monkeypatch.setattr(buckets, "BROKEN_OFF", timedelta(seconds=-60))
    with store.writing():
        pass
    assert there() == {whole}
    # One that dies before it is brought there leaves its folder here, which the next one sweeps.
    put(store, finish=False)
    assert there() == {whole}
    with store.writing():
        assert list(store.root.glob(".partial-*")) == []


def test_a_name_is_given_once(store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "abcdef")
    made: Found = store.look(put(store))
    with pytest.raises(BackupError, match="already"):
        put(store)
    assert store.look(made.backup_id).manifest == made.manifest


def test_a_bucket_that_does_not_answer_is_a_sentence_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "THE-ID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store = BucketStore(tmp_path, 0.0, open_bucket(ADDRESS), ADDRESS)
    with pytest.raises(BackupError) as refused:
        store.all()
    assert ADDRESS in str(refused.value)
    assert "the-secret" not in str(refused.value)
    assert "THE-ID" not in str(refused.value)
