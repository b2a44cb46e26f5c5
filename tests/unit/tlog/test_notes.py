"""Signed notes and checkpoints, with the example of the Go library golang.org/x/mod/sumdb/note."""

from __future__ import annotations

import hashlib

import pytest

from libs.tlog.digests import canonical, entry_digest
from libs.tlog.notes import Checkpoint, NoteProblem, Signer, Verifier, read_checkpoint, read_note

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
LOG = Signer.from_seed("log.example/audit", hashlib.sha256(b"a key").digest())
POINT = Checkpoint("log.example/audit", 300, hashlib.sha256(b"a root").digest())


def test_the_known_note() -> None:
    verifier = Verifier.read(PETER)
    note = read_note(SIGNED)
    assert (note.text, verifier.text, verifier.key_id.hex()) == (TEXT, PETER, "c74f20a3")
    assert note.signers([LOG.verifier, verifier]) == [verifier]
    with pytest.raises(NoteProblem, match="altered"):
        read_note(SIGNED.replace("answer", "reason")).signers([verifier])


def test_a_checkpoint_there_and_back() -> None:
    note = LOG.sign(POINT.text)
    assert note.startswith("log.example/audit\n300\n")
    assert read_checkpoint(note, [LOG.verifier]) == POINT
    assert Verifier.read(LOG.verifier.text) == LOG.verifier
    witnessed = note + SIGNED.rpartition("\n\n")[2]  # others may sign below us; who does not know them need not care
    assert read_checkpoint(witnessed, [LOG.verifier]) == POINT
    assert Checkpoint.read(POINT.text + "an extension\n") == POINT


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda note: note.replace("\n300\n", "\n299\n"), "altered"),
        (lambda note: note.replace("\n300\n", "\n0300\n"), "number of entries"),
        (lambda note: note.replace("\n\n", "\n"), "no signed note"),
        (lambda note: note.rstrip("\n"), "no signed note"),
        (lambda note: note.replace("— ", "- "), "reads"),
        (lambda note: note.replace("\n300\n", "\n\n300\n"), "a line each"),
        (lambda note: note.replace("300", "3\x000"), "control characters"),
        (lambda _: Signer.from_seed("log.example/audit", bytes(32)).sign(POINT.text), "not signed by a key"),
        (lambda _: LOG.named("other.example").sign(POINT.text), "not signed by a key"),
        (lambda _: LOG.sign("other.example\n" + POINT.text.partition("\n")[2]), "of another log, other.example"),
        (lambda _: LOG.sign("log.example/audit\n300\nAAAA\n"), "root in base64"),
    ],
)
def test_what_is_no_checkpoint_of_ours(change: object, says: str) -> None:
    assert callable(change)
    with pytest.raises(NoteProblem, match=says):
        read_checkpoint(change(LOG.sign(POINT.text)), [LOG.verifier])


@pytest.mark.parametrize(
    "text", ["", "a+b", "a+c74f20a3+AR", PETER.replace("Peter", "Petra"), " +" + PETER, PETER[:-2] + "=="]
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(NoteProblem):
        Verifier.read(text)


def test_names_and_keys() -> None:
    for name in ("", "a b", "a+b", "a\nb", "x" * 201):
        with pytest.raises(NoteProblem):
            LOG.named(name)
    with pytest.raises(NoteProblem, match="PEM"):
        Signer.read("log.example", b"no key")


def test_the_digest_covers_all_that_is_shown() -> None:
    entry = {"seq": 7, "actor": 'änn "\\\x01', "hash": "00", "causationid": None, "payload": "x", "event": {}}
    assert canonical(entry) == '{"actor":"änn \\"\\\\\\u0001","hash":"00","seq":7}'.encode()
    assert entry_digest(entry) == hashlib.sha256(canonical(entry)).digest()
    assert entry_digest(entry | {"new": None}) == entry_digest(entry)
    for name, value in (("seq", 8), ("actor", "ann"), ("hash", "01"), ("causationid", "c")):
        assert entry_digest(entry | {name: value}) != entry_digest(entry)
