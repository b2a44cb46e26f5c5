"""Receipts as C2SP tlog-proof has them: written, read, and refused after any change."""

from __future__ import annotations

import base64

import pytest

from libs.tlog.merkle import hashes_of, inclusion_parts, leaf_hash, whole_root
from libs.tlog.notes import Checkpoint, NoteProblem, Signer
from libs.tlog.receipts import Receipt

LOG = Signer.from_seed("log.example/audit", bytes(range(32)))
ENTRIES = [f"entry {number}".encode() for number in range(300)]
LEAVES = [leaf_hash(one) for one in ENTRIES]


def hashes(parts: list[tuple[int, int]]) -> list[bytes]:
    return hashes_of(parts, lambda node: whole_root(LEAVES[node[1] << node[0] :][: 1 << node[0]]))


def receipt(index: int, size: int = 300, extra: bytes = b"") -> Receipt:
    note = LOG.sign(Checkpoint(LOG.verifier.name, size, hashes([(0, size)])[0]).text)
    return Receipt(index, tuple(hashes(inclusion_parts(index, size))), note, extra)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 300), (137, 300), (299, 300), (255, 256)])
@pytest.mark.parametrize("extra", [b"", b"the entry"])
def test_there_and_back(index: int, size: int, extra: bytes) -> None:
    made = receipt(index, size, extra)
    assert Receipt.read(made.text) == made
    assert made.proven(ENTRIES[index], [LOG.verifier]).size == size
    with pytest.raises(NoteProblem, match="does not show"):
        made.proven(ENTRIES[index] + b"!", [LOG.verifier])


def test_the_form_is_the_public_one() -> None:
    lines = receipt(73, 300, b"x").text.split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra eA==", "index 73"]
    gap = lines.index("")
    assert [len(base64.b64decode(one)) for one in lines[3:gap]] == [32] * (gap - 3)
    assert "\n".join(lines[gap + 1 :]) == receipt(73).checkpoint
    assert receipt(73).text.split("\n")[1] == "index 73"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("@v1", "@v2"), "no receipt"),
        (lambda text: text.replace("index 73", "index 073"), "no receipt"),
        (lambda text: text.replace("index 73", "index 74"), "does not show"),
        (lambda text: text.replace("index 73\n", ""), "no receipt"),
        (lambda text: text.replace("\n\n", "\n"), "no receipt"),
        (lambda text: text.replace("\n\nlog", "\nAAAA\n\nlog"), "32 bytes"),
        (lambda text: text.replace("\n\nlog", "\n%%\n\nlog"), "no base64"),
        (lambda text: text.replace("\n\nlog", f"\n{base64.b64encode(bytes(32)).decode()}\n\nlog"), "does not show"),
        (lambda text: text.replace("\n300\n", "\n301\n"), "altered"),
        (
            lambda text: text.replace("index 73\n", "index 73\n" + "A" * 43 + "=\n" * 64),
            "no receipt|no base64|32 bytes",
        ),
    ],
)
def test_what_was_changed_proves_nothing(change: object, says: str) -> None:
    assert callable(change)
    with pytest.raises(NoteProblem, match=says):
        Receipt.read(change(receipt(73).text)).proven(ENTRIES[73], [LOG.verifier])


def test_another_key_proves_nothing() -> None:
    with pytest.raises(NoteProblem, match="not signed by a key"):
        receipt(73).proven(ENTRIES[73], [Signer.from_seed("log.example/audit", bytes(32)).verifier])
