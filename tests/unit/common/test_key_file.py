"""The file of keys: changed in one step, followed while it changes, and never believed half."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.common.key_file import FollowedKeys, VaultError, id_of_key, keys_in, prepare, remove, rotate
from libs.common.vault import Vault

NOW = datetime(2026, 11, 29, tzinfo=UTC)
OLD = base64.b64encode(bytes(range(32))).decode()
PLACE = "subscription/7/url"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vault.keys"
    path.write_text(f"# of ours\n{OLD}  # first\n")
    path.chmod(0o640)
    return path


def test_a_rotation_is_used_at_once_and_what_was_before_still_opens(file: Path) -> None:
    derived = Vault.from_secret("of the installation").keys
    vault = Vault(FollowedKeys(file, derived))
    before = vault.seal("s3cret", PLACE)
    key_id = rotate(file, NOW)
    assert vault.key_ids == [key_id, id_of_key(base64.b64decode(OLD)), id_of_key(derived[0])]
    after = vault.seal("s3cret", PLACE)
    assert before.split(".")[1] != after.split(".")[1] == key_id
    assert vault.open(before, PLACE) == vault.open(after, PLACE) == "s3cret"
    assert (file.stat().st_mode & 0o777, "# of ours" in file.read_text()) == (0o640, True)
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing is left beside it"


def test_a_prepared_key_only_opens_until_it_is_rotated_to(file: Path) -> None:
    vault = Vault(FollowedKeys(file))
    used = vault.key_ids[0]
    key_id = prepare(file, NOW)
    assert vault.key_ids == [used, key_id]
    with pytest.raises(VaultError, match="prepared already"):
        prepare(file, NOW)
    assert rotate(file, NOW) == key_id
    assert vault.key_ids == [key_id, used]
    assert len(keys_in(file)) == 2
    with pytest.raises(VaultError, match="is in use"):
        remove(file, key_id)
    with pytest.raises(VaultError, match="has no key"):
        remove(file, "0" * 16)
    remove(file, used)
    assert vault.key_ids == [key_id]


@pytest.mark.parametrize("broken", ["", "nonsense\n", "\ud800"])
def test_while_the_file_is_broken_or_gone_the_keys_of_before_go_on(file: Path, broken: str) -> None:
    vault = Vault(FollowedKeys(file))
    sealed = vault.seal("s3cret", PLACE)
    file.write_bytes(broken.encode("utf-8", "surrogatepass"))
    assert vault.open(sealed, PLACE) == "s3cret"
    file.unlink()
    assert vault.open(sealed, PLACE) == "s3cret"
    file.write_text(f"{OLD}\n")
    assert vault.key_ids == [id_of_key(base64.b64decode(OLD))]


def test_a_file_that_is_not_there_is_no_vault_but_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="can't be read"):
        FollowedKeys(tmp_path / "vault.keys")
    key_id = rotate(tmp_path / "vault.keys", NOW)
    assert Vault(FollowedKeys(tmp_path / "vault.keys")).key_ids == [key_id]
    assert (tmp_path / "vault.keys").stat().st_mode & 0o777 == 0o600
    with pytest.raises(VaultError, match="can't be written"):
        rotate(tmp_path / "nowhere" / "vault.keys", NOW)


def test_a_full_file_takes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "vault.keys"
    for _ in range(20):
        rotate(path, NOW)
    for change in (rotate, prepare):
        with pytest.raises(VaultError, match="as many as it may"):
            change(path, NOW)
