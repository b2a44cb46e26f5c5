"""Keys of both kinds on the command line: who gives both wants both; what is no key of a kind known here."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from libs.tlog.notes import Checkpoint, Signer, key_text, read_note
from tests.unit.client.conftest import Tool
from tests.unit.client.samples import entries
from tests.unit.client.test_audit_tree import LOG, verify, write

BOTH = LOG.with_second(MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
ED, PQ = BOTH.verifiers
UNKNOWN = key_text("log.example/audit", bytes(64), b"\x07")


def sign(folder: Path, signer: Signer) -> None:
    point = Checkpoint.read(read_note((folder / "checkpoint").read_text()).text)
    (folder / "checkpoint").write_text(signer.sign_checkpoint(point, 1_700_000_000))


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    write(folder, entries(20))
    sign(folder, BOTH)
    return folder


def test_each_key_verifies_and_both_together(tool: Tool, mirror: Path, tmp_path: Path) -> None:
    file = tmp_path / "pq"
    file.write_text(PQ.text + "\n")
    for keys in ([ED.text], [PQ.text], [ED.text, PQ.text], [ED.text, str(file)]):
        code, answer = verify(tool, mirror, *(part for key in keys for part in ("--key", key)))
        assert (code, answer["tree"]["state"], answer["tree"]["trusted"]) == (0, "signed", True), answer


def test_a_forged_line_of_one_kind_is_not_enough(tool: Tool, mirror: Path) -> None:
    sign(mirror, LOG)  # as who can forge Ed25519
    code, answer = verify(tool, mirror, "--key", ED.text, "--key", PQ.text)
    assert (code, "not signed by the ML-DSA-44 key" in answer["tree"]["problem"]) == (1, True)
    assert verify(tool, mirror, "--key", ED.text)[0] == 0  # whoever trusts the one alone
    sign(mirror, LOG.with_second(MLDSA44PrivateKey.generate()))
    code, answer = verify(tool, mirror, "--key", PQ.text)
    assert (code, "not signed by a key that you trust" in answer["tree"]["problem"]) == (1, True)


def test_keys_of_kinds_that_are_not_known(tool: Tool, mirror: Path, tmp_path: Path) -> None:
    (mirror / "keys").write_text(f"{UNKNOWN}\n{ED.text}\n{PQ.text}\n")
    code, answer = verify(tool, mirror)
    assert (code, answer["tree"]["state"]) == (0, "signed"), answer
    (mirror / "keys").write_text(f"{UNKNOWN}\n")  # nothing is left to verify with: that is no pass
    assert verify(tool, mirror)[0] == 1
    (mirror / "keys").write_text(f"{ED.text}\n{PQ.text[:-4]}\n")
    assert tool("audit", "verify", "--folder", str(mirror)).exit_code == 2
    given = tool("audit", "verify", "--folder", str(mirror), "--key", UNKNOWN)
    assert (given.exit_code, "a log's key reads" in given.stderr) == (2, True)


def test_a_witness_shows_both_keys_and_keeps_them(tool: Tool, tmp_path: Path) -> None:
    """On one line each, so that they can be handed on."""
    asked = ("audit", "witness", "--name", "w.example", "--folder", str(tmp_path / "w"), "--log", ED.text)
    shown = tool(*asked, "--show-key")
    assert [line.partition("+")[0] for line in shown.stdout.splitlines()] == ["w.example", "w.example"]
    assert tool(*asked, "--show-key").stdout == shown.stdout
    assert (tmp_path / "w" / "key-ml-dsa-44.pem").stat().st_mode & 0o777 == 0o600
    long = Signer.from_seed("ä" * 128, bytes(32)).verifier.text
    assert "at most 255 bytes" in tool(*asked, "--log", long).stderr
    (tmp_path / "w" / "key-ml-dsa-44.pem").write_bytes((tmp_path / "w" / "key.pem").read_bytes())
    assert "no ML-DSA-44 key" in tool(*asked, "--show-key").stderr
