"""Secrets at rest: what is kept opens with its key and in its place, and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.vault import Vault, VaultError, key_of

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PLACE = "subscription/7/url"


@given(st.text(max_size=200), st.text(max_size=50))
def test_what_is_sealed_opens_again(secret: str, place: str) -> None:
    vault = Vault((NEW,))
    sealed = vault.seal(secret, place)
    assert vault.open(sealed, place) == secret
    assert len(secret) < 8 or secret not in sealed
    assert vault.seal(secret, place) != sealed


def test_a_key_that_was_replaced_still_opens_and_the_new_one_seals() -> None:
    before = Vault((OLD,)).seal("s3cret", PLACE)
    both = Vault((NEW, OLD))
    assert both.open(before, PLACE) == "s3cret"
    assert key_of(before) == both.key_ids[1]
    assert key_of(both.seal("s3cret", PLACE)) == both.key_ids[0]
    with pytest.raises(VaultError, match="is not in the key file"):
        Vault((NEW,)).open(before, PLACE)


def test_an_altered_or_moved_secret_does_not_open() -> None:
    vault = Vault((NEW,))
    sealed = vault.seal("s3cret", PLACE)
    head, _, text = sealed.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(text))
    for at in range(len(raw)):
        raw[at] ^= 1
        altered = f"{head}.{base64.urlsafe_b64encode(bytes(raw)).decode()}"
        raw[at] ^= 1
        with pytest.raises(VaultError, match="altered"):
            vault.open(altered, PLACE)
    with pytest.raises(VaultError, match="belongs to something else"):
        vault.open(sealed, "subscription/8/url")
    for nonsense in ("", "v1", "v2." + sealed[3:], f"{head}.", f"{head}.%%%", sealed + "x"):
        with pytest.raises(VaultError):
            vault.open(nonsense, PLACE)


def test_without_a_key_nothing_is_kept() -> None:
    with pytest.raises(VaultError, match="HEADGATE_VAULT_KEY_FILE"):
        Vault().seal("s3cret", PLACE)


def test_a_key_file_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(
        f"# the one in use\n{base64.b64encode(NEW).decode()}\n\n{base64.urlsafe_b64encode(OLD).decode()}  # old\n"
    )
    vault = Vault.read(file)
    assert list(vault.keys) == [NEW, OLD]
    assert "\\x" not in repr(vault)
    for wrong, words in (
        ("", "must hold 1 to 20 keys"),
        ("c2hvcnQ=\n", "Line 1 of the key file keys is no key"),
        ("not base64!\n", "Line 1 of the key file keys is no key"),
        (f"{base64.b64encode(NEW).decode()}\n" * 21, "must hold 1 to 20 keys"),
    ):
        file.write_text(wrong)
        with pytest.raises(VaultError, match=words):
            Vault.read(file)
    with pytest.raises(VaultError, match="can't be read"):
        Vault.read(tmp_path / "nowhere")


def test_a_derived_key_is_the_same_each_time() -> None:
    sealed = Vault.from_secret("of the installation").seal("s3cret", PLACE)
    assert Vault.from_secret("of the installation").open(sealed, PLACE) == "s3cret"
    with pytest.raises(VaultError):
        Vault.from_secret("of another").open(sealed, PLACE)
