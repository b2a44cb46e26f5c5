"""Which keys an installation signs with, and what of its settings can't be used."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from deploy.container.steps import load_environment
from libs.common.runtime import StartError
from libs.common.settings import Settings
from libs.tlog.notes import Signer
from services.audit.keys import read_signer

SECRET = "a secret of twenty characters"


def read(**given: Any) -> Signer | None:
    return read_signer(Settings(audit_origin="log.example/audit", **given))


def pem(path: Path, key: Ed25519PrivateKey | MLDSA44PrivateKey) -> Path:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(*form))
    return path


def algorithms(signer: Signer | None) -> list[str]:
    return [one.algorithm for one in signer.verifiers] if signer else []


def test_the_second_key_is_made_on_request_and_the_first_one_stays() -> None:
    plain, both = read(audit_secret=SECRET), read(audit_secret=SECRET, audit_pq=True)
    assert plain is not None
    assert both is not None
    assert (algorithms(plain), algorithms(both)) == (["Ed25519"], ["Ed25519", "ML-DSA-44"])
    assert plain.verifier == both.verifier
    again = read(audit_secret=SECRET, audit_pq=True)
    other = read(audit_secret=SECRET + "!", audit_pq=True)
    assert again is not None
    assert other is not None
    assert again.verifiers == both.verifiers
    assert not {one.text for one in other.verifiers} & {one.text for one in both.verifiers}


def test_each_key_has_a_seed_of_its_own_that_stays() -> None:
    """The keys of an installation must be the same after an upgrade: verifiers have noted them."""
    both = read(audit_secret=SECRET, audit_pq=True)
    assert both is not None
    seeds = [
        hashlib.sha256(b"headgate audit log key " + what + b"1\n" + SECRET.encode()).digest()
        for what in (b"", b"ml-dsa-44 ")
    ]
    expected = Signer.from_seed("log.example/audit", seeds[0]).with_second(MLDSA44PrivateKey.from_seed_bytes(seeds[1]))
    assert both.verifiers == expected.verifiers


def test_keys_of_files(tmp_path: Path) -> None:
    first = pem(tmp_path / "first.pem", Ed25519PrivateKey.generate())
    key = MLDSA44PrivateKey.generate()
    second = pem(tmp_path / "second.pem", key)
    both = read(audit_key_file=first, audit_pq_key_file=second)
    assert both is not None
    assert both.second is not None
    assert both.second.public_key == key.public_key().public_bytes_raw()
    assert algorithms(read(audit_key_file=first, audit_secret=SECRET, audit_pq=True)) == ["Ed25519", "ML-DSA-44"]
    assert algorithms(read(audit_secret=SECRET, audit_pq_key_file=second)) == ["Ed25519", "ML-DSA-44"]
    assert algorithms(read(audit_key_file=first, audit_secret="short")) == ["Ed25519"]  # not used, as before
    assert read() is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"audit_pq": True}, "HEADGATE_AUDIT_PQ: its key is made from HEADGATE_AUDIT_SECRET"),
        ({"audit_key_file": "first", "audit_pq": True}, "HEADGATE_AUDIT_PQ: its key is made from"),
        ({"audit_key_file": "first", "audit_pq": True, "audit_secret": "short"}, "at least 20 characters"),
        ({"audit_secret": SECRET, "audit_pq_key_file": "first"}, "HEADGATE_AUDIT_PQ_KEY_FILE: .*no ML-DSA-44 key"),
        ({"audit_secret": SECRET, "audit_pq_key_file": "none"}, "HEADGATE_AUDIT_PQ_KEY_FILE: .*can't be read"),
        ({"audit_pq_key_file": "second"}, "set HEADGATE_AUDIT_KEY_FILE, too"),
        ({"audit_key_file": "second"}, "HEADGATE_AUDIT_KEY_FILE: .*no Ed25519 key"),
        ({"audit_secret": SECRET, "audit_pq": True, "audit_origin": "ä" * 128}, "at most 239 bytes"),
    ],
)
def test_what_can_not_be_used_is_said(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    pem(tmp_path / "first", Ed25519PrivateKey.generate())
    pem(tmp_path / "second", MLDSA44PrivateKey.generate())
    named = {name: tmp_path / value if name.endswith("_file") else value for name, value in given.items()}
    with pytest.raises(StartError, match=says):
        read_signer(Settings(**{"audit_origin": "log.example/audit", **named}))


def test_an_empty_setting_as_compose_passes_it_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PQ", "PQ_KEY_FILE", "KEY_FILE"):
        monkeypatch.setenv(f"HEADGATE_AUDIT_{name}", "")
    monkeypatch.setenv("HEADGATE_AUDIT_SECRET", SECRET)
    load_environment(tmp_path / "environment")
    assert algorithms(read_signer(Settings())) == ["Ed25519"]
