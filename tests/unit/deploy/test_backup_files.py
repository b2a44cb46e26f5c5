"""Files of a backup: packed, sealed, hashed; whatever is done to them is found. And which backups stay."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.backup import sealing
from deploy.backup.files import PartWriter, content
from deploy.backup.manifest import BackupError, Part, check_mac, decode, encode
from deploy.backup.retention import Keep, kept
from deploy.backup.sealing import CHUNK_BYTES, TAG_BYTES, Keys, SealError, opened
from deploy.backup.store import PARTIAL, Store
from tests.unit.deploy.backups import a_manifest, folder_of, ignore

KEYS = Keys((b"k" * 32, b"o" * 32))
HEAD = len(sealing.MAGIC) + sealing.SALT_BYTES
WHOLE = CHUNK_BYTES + TAG_BYTES


def _sealed(data: bytes, place: str = "b\nf") -> bytes:
    sealer = sealing.Sealer(KEYS.all[0], place)
    return sealer.begin() + sealer.add(data) + sealer.end()


def _open(sealed: bytes, place: str = "b\nf", key: bytes = KEYS.all[0], piece: int = 70_000) -> bytes:
    return b"".join(opened((sealed[at : at + piece] for at in range(0, len(sealed), piece)), key, place))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_what_was_sealed_opens(size: int) -> None:
    data = os.urandom(size)
    assert _open(_sealed(data)) == data


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the first chunk": lambda one: one[: HEAD + 5] + bytes([one[HEAD + 5] ^ 1]) + one[HEAD + 6 :],
    "a bit of the salt": lambda one: one[: HEAD - 1] + bytes([one[HEAD - 1] ^ 1]) + one[HEAD:],
    "the last chunk is cut off": lambda one: one[: HEAD + 2 * WHOLE],
    "some bytes are cut off": lambda one: one[:-3],
    "two chunks change places": lambda one: (
        one[:HEAD] + one[HEAD + WHOLE : HEAD + 2 * WHOLE] + one[HEAD : HEAD + WHOLE] + one[HEAD + 2 * WHOLE :]
    ),
    "a chunk comes twice": lambda one: one[: HEAD + WHOLE] + one[HEAD:],
    "a chunk is left out": lambda one: one[:HEAD] + one[HEAD + WHOLE :],
    "something stands behind the end": lambda one: one + b"\0" * 40,
    "nothing is left": lambda one: b"",
    "only the head is left": lambda one: one[:HEAD],
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_altered_does_not_open(what: str) -> None:
    sealed = _sealed(b"x" * (2 * CHUNK_BYTES + 100))
    with pytest.raises(SealError):
        _open(CHANGES[what](sealed))


def test_a_file_opens_only_as_itself_and_with_its_key() -> None:
    sealed = _sealed(b"content")
    for place, key in (("b\nother", KEYS.all[0]), ("other\nf", KEYS.all[0]), ("b\nf", KEYS.all[1])):
        with pytest.raises(SealError):
            _open(sealed, place, key)
    with pytest.raises(SealError, match="HEADGATE_BACKUP_KEY_FILE"):
        Keys((b"z" * 32,)).find(KEYS.current_id or "")
    assert b"content" not in sealed


def _write(folder: Path, data: bytes, keys: Keys, *, packed: bool = False) -> Part:
    writer = PartWriter(folder, "part", "b", keys, packed=packed, moved=ignore)
    for at in range(0, len(data), 100_000):
        writer.write(data[at : at + 100_000])
    return writer.close()


def _read(folder: Path, part: Part, keys: Keys, *, packed: bool = False) -> bytes:
    return b"".join(content(folder, part, "b", keys, keys.current_id, packed=packed, moved=ignore))


@pytest.mark.parametrize("keys", [Keys(), KEYS])
@pytest.mark.parametrize("packed", [False, True])
def test_a_part_is_read_as_it_was_written(tmp_path: Path, keys: Keys, packed: bool) -> None:
    data = os.urandom(300_000) + b"a" * 3_000_000
    part = _write(tmp_path, data, keys, packed=packed)
    assert part.plain_bytes == len(data)
    assert part.size_bytes == (tmp_path / "part").stat().st_size
    assert _read(tmp_path, part, keys, packed=packed) == data
    assert (tmp_path / "part").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        PartWriter(tmp_path, "part", "b", keys, packed=packed, moved=ignore)


@settings(max_examples=30)
@given(place=st.integers(0, 10_000_000), keys=st.sampled_from([Keys(), KEYS]))
def test_any_altered_byte_is_found(tmp_path_factory: pytest.TempPathFactory, place: int, keys: Keys) -> None:
    folder = tmp_path_factory.mktemp("part")
    part = _write(folder, b"".join(b"row %d\n" % n for n in range(5000)), keys)
    lies = bytearray((folder / "part").read_bytes())
    lies[place % len(lies)] ^= 0x10
    (folder / "part").write_bytes(lies)
    with pytest.raises(BackupError, match="part"):
        _read(folder, part, keys)


def test_a_manifest_is_read_back_and_can_not_be_written_by_others() -> None:
    manifest = a_manifest(key_id=KEYS.current_id)
    found = decode(encode(manifest, KEYS))
    check_mac(found, KEYS)
    assert found.model_copy(update={"mac": None}) == manifest
    forged = found.model_copy(update={"audit_head": found.audit_head.model_copy(update={"seq": 1})})
    with pytest.raises(BackupError, match="altered"):
        check_mac(forged, KEYS)
    with pytest.raises(BackupError, match="altered"):
        check_mac(found.model_copy(update={"mac": None}), KEYS)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "can't be read"), (b"[]", "can't be read"), (b'{"format":1}', "damaged"), (b'{"format":2}', "format 2")],
)
def test_a_manifest_that_is_none_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        decode(content)


def test_a_manifest_names_only_files_beside_it() -> None:
    encoded = encode(a_manifest(), Keys()).replace(b'"database.dump"', b'"../../etc/passwd"')
    with pytest.raises(BackupError, match="damaged"):
        decode(encoded)


def test_only_what_has_its_manifest_and_all_files_is_whole(tmp_path: Path) -> None:
    store, now = Store(tmp_path), datetime(2026, 5, 1, tzinfo=UTC)
    with store.writing():
        _, left = store.begin(now)
        (left / "database.dump").write_bytes(b"half")
        with pytest.raises(BackupError, match="being made"), store.writing():
            pass
    assert store.all() == []
    with pytest.raises(BackupError, match="no whole backup"):
        store.newest()
    with store.writing():
        assert not left.exists()  # swept by the next writer
        backup_id, folder = store.begin(now)
        part = PartWriter(folder, "database.dump", backup_id, Keys(), packed=False, moved=ignore)
        part.write(b"rows")
        store.finish(folder, a_manifest(backup_id, database=part.close(), streams={}), Keys())
    whole = store.newest()
    assert (whole.backup_id, whole.problem, whole.checked_at) == (backup_id, "", None)
    assert not list(tmp_path.glob(f"{PARTIAL}*"))
    assert store.check(whole, Keys(), now, ignore) == []
    assert store.look(backup_id).checked_at == now
    file = folder_of(whole) / "database.dump"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert "database.dump is damaged: its SHA-256 differs." in store.check(whole, Keys(), now, ignore)
    assert "damaged" in store.look(backup_id).problem
    file.write_bytes(good[:-1])
    assert "instead of" in store.look(backup_id).problem
    file.unlink()
    assert store.look(backup_id).problem == "database.dump is missing"
    (folder_of(whole) / "manifest.json").unlink()
    assert store.look(backup_id).problem == "it has no manifest"
    with pytest.raises(BackupError, match="no whole backup"):
        store.newest()
    with pytest.raises(BackupError, match="There is no backup"):
        store.look("../../etc")


@given(st.sets(st.integers(0, 900), max_size=60), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_who_stays(hours: set[int], daily: int, weekly: int, monthly: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    backups = {f"b{hour:04}": start + timedelta(hours=7 * hour) for hour in hours}
    staying = kept(backups, Keep(daily, weekly, monthly))
    assert bool(staying) == bool(backups)
    assert len(staying) <= 1 + daily + weekly + monthly
    if backups:
        assert max(backups, key=lambda one: backups[one]) in staying
    days = sorted({at.date() for at in backups.values()}, reverse=True)[:daily]
    for day in days:  # each of the last days that has backups keeps its last one
        assert max(one for one, at in backups.items() if at.date() == day) in staying
    months = sorted({(at.year, at.month) for at in backups.values()}, reverse=True)[:monthly]
    for month in months:
        assert max(one for one, at in backups.items() if (at.year, at.month) == month) in staying
    # Removing what goes and looking again removes nothing more.
    assert kept({one: backups[one] for one in staying}, Keep(daily, weekly, monthly)).keys() == staying.keys()
