"""What a witness judges, with the vectors of the tests of transparency-dev/witness (Go): its log, proof and key."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from libs.tlog.cosignatures import Cosigner, WitnessKey, cosigned_text, witnessed_by
from libs.tlog.notes import NoteProblem, Signer, Verifier, read_note
from libs.tlog.witnessing import (
    Refused,
    Request,
    Seen,
    read_size,
    require_consistent,
    require_signed,
    write_request,
)

MONKEYS = Verifier.read("monkeys+db4d9f7e+AULaJMvTtDLHPUcUrjdDad9vDlh/PTfC2VV60JUtCfWT")
FIVE = (
    "monkeys\n5\n41smjBUiAU70EtKlT6lIOIYtRTYxYXsDB+XHfcvu/BE=\n\n"
    "— monkeys 202fftzGl3LVoqjXfwCFZZXs8I+5G22+Ek2K0AOyBuSJ/8/CZawNF+6fNlTKOCd622pbzJNkkJFWuw9DbicZCkEx9AY=\n"
)
EIGHT = (
    "monkeys\n8\nV8K9aklZ4EPB+RMOk1/8VsJUdFZR77GDtZUQq84vSbo=\n\n"
    "— monkeys 202ffoUEboiQYpHzICeaFmoy3RNviHTpAxYrq/eO4QQVQMvu9UebKBMX2MJC76NLthZaKsnKbCA8GxrjePZhvDCH7Ag=\n"
)
PROOF = [
    bytes.fromhex(one)
    for one in (
        "b9e1d62618f7fee8034e4c5010f727ab24d8e4705cb296c374bf2025a87a10d2",
        "aac66cd7a79ce4012d80762fe8eec3a77f22d1ca4145c3f4cee022e7efcd599d",
        "89d0f753f66a290c483b39cd5e9eafb12021293395fad3d4a2ad053cfbcfdc9e",
        "29e40bb79c966f4c6fe96aff6f30acfce5f3e8d84c02215175d6e018a5dee833",
    )
]
FIVE_ROOT = base64.b64decode("41smjBUiAU70EtKlT6lIOIYtRTYxYXsDB+XHfcvu/BE=")
SEED = base64.b64decode("AaLa/dfyBhyo/m0Z7WCi98ENVZWtrP8pxgRNrx7tIWiA")[1:]
COSIGNER = Cosigner.from_seed("witness", SEED)
# Of the tests of transparency-dev/formats: a key that is made for cosignatures.
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"


def refused(seen: Seen, body: bytes, logs: Any = (MONKEYS,)) -> tuple[int, str, bool]:
    def judge() -> None:
        asked = Request.read(body)
        require_signed(asked, logs)
        require_consistent(asked, seen)

    with pytest.raises(Refused) as caught:
        judge()
    return caught.value.status, caught.value.text, caught.value.contradicts


def test_the_known_log_is_cosigned_step_by_step() -> None:
    first = Request.read(write_request(0, [], FIVE))
    assert require_signed(first, [MONKEYS]) == [MONKEYS]
    require_consistent(first, Seen())
    next_one = Request.read(write_request(5, PROOF, EIGHT))
    assert (next_one.old, list(next_one.proof), next_one.checkpoint.size) == (5, PROOF, 8)
    require_consistent(next_one, Seen(5, FIVE_ROOT))
    again = Request.read(write_request(5, [], FIVE))
    require_consistent(again, Seen(5, FIVE_ROOT))


@pytest.mark.parametrize(
    ("seen", "body", "status", "says", "contradicts"),
    [
        (Seen(), write_request(5, PROOF, EIGHT), 409, "0\n", False),
        (Seen(5, FIVE_ROOT), write_request(0, [], EIGHT), 409, "5\n", False),
        (Seen(9, FIVE_ROOT), write_request(5, PROOF, EIGHT), 409, "9\n", False),
        (Seen(5, FIVE_ROOT), write_request(9, [], EIGHT), 400, "that of the checkpoint only 8", False),
        (Seen(5, FIVE_ROOT), write_request(5, PROOF[:3], EIGHT), 422, "does not show that size 8", True),
        (Seen(5, FIVE_ROOT), write_request(5, [], EIGHT), 422, "does not show", True),
        (Seen(5, FIVE_ROOT), write_request(5, PROOF[::-1], EIGHT), 422, "does not show", True),
        (Seen(5, bytes(32)), write_request(5, PROOF, EIGHT), 422, "does not show", True),
        (Seen(5, bytes(32)), write_request(5, [], FIVE), 422, "another root was cosigned at size 5", True),
        (Seen(5, FIVE_ROOT), write_request(5, PROOF, FIVE), 422, "does not show", True),
        (Seen(), write_request(0, PROOF, EIGHT), 422, "does not show", True),
    ],
)
def test_what_does_not_go_on_is_refused(seen: Seen, body: bytes, status: int, says: str, contradicts: bool) -> None:
    found = refused(seen, body)
    assert (found[0], says in found[1], found[2]) == (status, True, contradicts), found


def test_an_empty_log_has_one_root() -> None:
    log = Signer.from_seed("log.example", bytes(32))
    wrong = log.sign(f"log.example\n0\n{base64.b64encode(bytes(32)).decode()}\n")
    assert refused(Seen(), write_request(0, [], wrong), [log.verifier])[0] == 422
    right = log.sign("log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
    require_consistent(Request.read(write_request(0, [], right)), Seen())


@pytest.mark.parametrize(
    ("note", "logs", "status"),
    [
        (FIVE, [Signer.from_seed("apes", bytes(32)).verifier], 404),
        (FIVE, [], 404),
        (FIVE, [Signer.from_seed("monkeys", bytes(32)).verifier], 403),
        (FIVE.replace("\n5\n", "\n6\n"), [MONKEYS], 403),
    ],
)
def test_only_a_log_that_is_known_by_its_own_key(note: str, logs: list[Verifier], status: int) -> None:
    assert refused(Seen(), write_request(0, [], note), logs)[0] == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"old 5",
        f"old 05\n\n{FIVE}".encode(),
        f"old -1\n\n{FIVE}".encode(),
        f"old 99999999999999999999\n\n{FIVE}".encode(),
        f"old  5\n\n{FIVE}".encode(),
        f"new 5\n\n{FIVE}".encode(),
        f"old 5\nAAAA\n\n{FIVE}".encode(),
        f"old 5\nnot base64\n\n{FIVE}".encode(),
        f"old 5\n{FIVE}".encode(),
        write_request(5, PROOF * 16, FIVE),
        write_request(0, [], FIVE.replace("\n5\n", "\n05\n")),
        write_request(0, [], "monkeys\n5\n"),
    ],
)
def test_what_is_no_request(body: bytes) -> None:
    assert refused(Seen(), body)[0] == 400


def test_a_cosignature_there_and_back() -> None:
    line = COSIGNER.cosign(read_note(FIVE).text, 1679315147)
    note = read_note(FIVE + line)
    key = WitnessKey.read(COSIGNER.key.text)
    assert witnessed_by(note, [key, WitnessKey.read(REMORA)]) == {key: 1679315147}
    assert key.line_of(note) == line
    assert key.line_of(read_note(FIVE)) is None
    assert cosigned_text("x\n", 7) == b"cosignature/v1\ntime 7\nx\n"
    assert note.signers([MONKEYS]) == [MONKEYS]  # who does not know the witness need not care
    assert WitnessKey.read(REMORA).text == REMORA


def test_a_cosignature_that_does_not_fit() -> None:
    text, key = read_note(FIVE).text, COSIGNER.key
    line = COSIGNER.cosign(text, 1679315147)
    later = base64.b64decode(line.split(" ")[2])
    moved = base64.b64encode(later[:4] + (1679315148).to_bytes(8, "big") + later[12:]).decode()
    for changed, says in (
        (EIGHT + line, "does not fit the checkpoint"),
        (FIVE + f"— witness {moved}\n", "does not fit the checkpoint"),
        (FIVE + f"— witness {base64.b64encode(later[:40]).decode()}\n", "has no time"),
        (FIVE + COSIGNER.cosign(text, 0), "has no time"),
    ):
        with pytest.raises(NoteProblem, match=says):
            key.time_of(read_note(changed))
    as_a_log = Signer.from_seed("witness", SEED).sign(text)  # the same key, not as a cosigner: another id
    assert key.time_of(read_note(as_a_log)) is None


@pytest.mark.parametrize(
    "text", [MONKEYS.text, "w+00000000+AAAA", "w", COSIGNER.key.text[:-4], REMORA.replace("da", "db")]
)
def test_what_is_no_witness_key(text: str) -> None:
    with pytest.raises(NoteProblem):
        WitnessKey.read(text)


@pytest.mark.parametrize("text", [b"", b"05\n", b"5 \n", b"-1\n", b"9" * 40, b"five"])
def test_a_size_that_is_none(text: bytes) -> None:
    with pytest.raises(ValueError, match="how many entries"):
        read_size(text)
    assert read_size(b"300\n") == 300
