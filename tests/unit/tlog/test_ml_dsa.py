"""ML-DSA-44 beside Ed25519: signatures of another implementation are ours, and what each kind of key demands.

`vectors/ml_dsa_44.json` was made with dilithium-py (PyPI, MIT), which is pure Python and shares no code with ours; its
messages were put together from the text of C2SP tlog-cosignature, over that text's own example of a checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey

from libs.tlog.cosignatures import Cosigner, WitnessKey
from libs.tlog.merkle import leaf_hash
from libs.tlog.mldsa import ML_DSA_44, signed_message
from libs.tlog.notes import (
    Checkpoint,
    NoteProblem,
    Signer,
    UnknownKind,
    Verifier,
    key_id,
    key_text,
    read_checkpoint,
    read_note,
    read_second_key,
    read_trusted,
)
from libs.tlog.receipts import Receipt
from libs.tlog.witnessing import Refused, Request, require_signed, write_request

VECTOR = json.loads((Path(__file__).parent / "vectors" / "ml_dsa_44.json").read_text())
THEIR_LOG, THEIR_WITNESS = Verifier.read(VECTOR["log"]["key"]), WitnessKey.read(VECTOR["witness"]["key"])
PLAIN = Signer.from_seed("log.example/audit", bytes(range(32)))
BOTH = PLAIN.with_second(MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
OTHER = PLAIN.with_second(MLDSA44PrivateKey.from_seed_bytes(bytes(31) + b"x"))
POINT = Checkpoint("log.example/audit", 300, hashlib.sha256(b"a root").digest())
NOW_S = 1_700_000_000
ED, PQ = BOTH.verifiers


def lines(note: str) -> list[str]:
    return note.rpartition("\n\n")[2].splitlines(keepends=True)


def test_their_signatures_are_valid_here() -> None:
    note = read_note(VECTOR["note"])
    assert (THEIR_LOG.text, THEIR_WITNESS.text) == (VECTOR["log"]["key"], VECTOR["witness"]["key"])
    assert (THEIR_LOG.algorithm, len(THEIR_LOG.public_key)) == ("ML-DSA-44", 1312)
    assert note.signers([PQ, THEIR_LOG]) == [THEIR_LOG]
    assert read_checkpoint(VECTOR["note"], [THEIR_LOG]).size == 20852163
    assert THEIR_WITNESS.time_of(note) == VECTOR["witness"]["time_s"]
    assert THEIR_WITNESS.line_of(note) == lines(VECTOR["note"])[1]


def test_keys_and_messages_are_theirs_byte_for_byte() -> None:
    point = read_checkpoint(VECTOR["note"], [THEIR_LOG])
    for one in (VECTOR["log"], VECTOR["witness"]):
        message = signed_message(one["name"], one["time_s"], point)
        assert hashlib.sha256(message).hexdigest() == one["message_sha256"]
        seed = bytes.fromhex(one["seed"])
        assert Cosigner.from_seed(one["name"], bytes(32), seed).keys[1].text == one["key"]


def resigned(note: str, change: Callable[[bytes], bytes]) -> str:
    """With other signatures: ``change`` gets what stands behind the key's id."""
    text, changed = note.rpartition("\n\n")[0], []
    for line in lines(note):
        dash, name, packed = line.split(" ")
        content = base64.b64decode(packed)
        changed.append(f"{dash} {name} {base64.b64encode(content[:4] + change(content[4:])).decode()}\n")
    return f"{text}\n\n{''.join(changed)}"


def moved(note: str, at: int) -> str:
    """A byte of each signature is another one."""
    return resigned(note, lambda held: held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n20852163\n", "\n20852164\n"),
        lambda note: note.replace("CsUYap", "CsUYaq"),
        lambda note: "example.com/in-front" + note.removeprefix("example.com/behind-the-sofa"),
        lambda note: moved(note, 7),  # the time
        lambda note: moved(note, 8),
        lambda note: moved(note, 8 + 2419),
        lambda note: resigned(note, lambda held: held[:-1]),
        lambda note: resigned(note, lambda held: held + b"x"),
        lambda note: resigned(note, lambda held: b"\x80" + held[1:]),  # a time that no number with a sign holds
    ],
)
def test_whatever_was_altered_does_not_fit(change: Callable[[str], str]) -> None:
    note = change(VECTOR["note"])
    assert note != VECTOR["note"]
    with pytest.raises(NoteProblem, match="altered"):
        read_note(note).signers([Verifier.read(VECTOR["log"]["key"])])
    with pytest.raises(NoteProblem, match=r"altered|has no time"):
        THEIR_WITNESS.time_of(read_note(note))


def test_a_text_that_is_no_checkpoint_is_signed_by_no_such_key() -> None:
    line = lines(BOTH.sign_checkpoint(POINT, NOW_S))[1]
    with pytest.raises(NoteProblem, match="altered"):
        read_note(f"no checkpoint\n\n{line}").signers([PQ])


def test_lines_below_the_third_are_not_signed() -> None:
    """As the specification says: whoever reads such lines must not believe them for that signature."""
    note = BOTH.sign_checkpoint(POINT, NOW_S)
    extended = f"{POINT.text}an extension\n\n{lines(note)[1]}"
    assert read_note(extended).signers([PQ]) == [PQ]
    with pytest.raises(NoteProblem, match="altered"):
        read_note(f"{POINT.text}an extension\n\n{lines(note)[0]}").signers([ED])


def test_a_log_signs_with_both() -> None:
    note = BOTH.sign_checkpoint(POINT, NOW_S)
    assert note.startswith(PLAIN.sign_checkpoint(POINT, NOW_S))
    assert len(lines(note)) == 2
    assert read_note(note).signers(BOTH.verifiers) == [ED, PQ]
    assert read_trusted(note, BOTH.verifiers) == read_trusted(note, [ED]) == read_trusted(note, [PQ]) == POINT
    again = BOTH.sign_checkpoint(POINT, NOW_S)
    assert (again.splitlines()[:-1], again == note) == (note.splitlines()[:-1], False)
    assert BOTH.named("log.example/audit/2").verifiers[1].name == "log.example/audit/2"


def test_what_is_signed_already_is_known() -> None:
    note = BOTH.sign_checkpoint(POINT, NOW_S)
    assert BOTH.has_signed(note, POINT)
    assert PLAIN.has_signed(note, POINT)
    for other in ("", "no note", PLAIN.sign(POINT.text), OTHER.sign_checkpoint(POINT, NOW_S), moved(note, 9)):
        assert not BOTH.has_signed(other, POINT)
    assert not BOTH.has_signed(note, Checkpoint(POINT.origin, 301, POINT.root))


def test_who_trusts_both_wants_both() -> None:
    """Else who breaks Ed25519 has broken both: the second line would only have to be left out."""
    note = BOTH.sign_checkpoint(POINT, NOW_S)
    plain, second = lines(note)
    for wanting, missing in ((plain, "ML-DSA-44"), (second, "Ed25519")):
        shown = f"{POINT.text}\n{wanting}"
        assert read_checkpoint(shown, BOTH.verifiers) == POINT
        with pytest.raises(NoteProblem, match=f"not signed by the {missing} key that you trust"):
            read_trusted(shown, BOTH.verifiers)
    with pytest.raises(NoteProblem, match="not signed by the ML-DSA-44 key"):
        read_trusted(OTHER.sign_checkpoint(POINT, NOW_S), BOTH.verifiers)
    with pytest.raises(NoteProblem, match="not signed by a key that you trust"):
        read_trusted(PLAIN.sign(POINT.text), [PQ])
    assert read_trusted(PLAIN.sign(POINT.text), [ED]) == POINT  # a note of before is as good as ever
    rolled = [*BOTH.verifiers, OTHER.verifiers[1]]  # of each kind one is enough: keys are changed one by one
    assert read_trusted(OTHER.sign_checkpoint(POINT, NOW_S), rolled) == POINT


def test_a_receipt_is_proven_for_who_trusts_both_only_by_both() -> None:
    point = Checkpoint(POINT.origin, 1, leaf_hash(b"entry"))
    both = Receipt(0, (), BOTH.sign_checkpoint(point, NOW_S))
    plain = Receipt(0, (), BOTH.sign(point.text))
    assert both.proven(b"entry", BOTH.verifiers) == plain.proven(b"entry", [ED]) == point
    with pytest.raises(NoteProblem, match="ML-DSA-44"):
        plain.proven(b"entry", BOTH.verifiers)


def test_a_witness_that_knows_both_keys_wants_both() -> None:
    def asked(note: str) -> Request:
        return Request.read(write_request(0, [], note))

    note = BOTH.sign_checkpoint(POINT, NOW_S)
    assert require_signed(asked(note), BOTH.verifiers) == BOTH.verifiers
    assert require_signed(asked(note), [ED]) == [ED]  # the other line is of a key that it does not know
    assert require_signed(asked(note), [PQ]) == [PQ]
    for shown in (PLAIN.sign(POINT.text), OTHER.sign_checkpoint(POINT, NOW_S), moved(note, 9)):
        with pytest.raises(Refused) as caught:
            require_signed(asked(shown), BOTH.verifiers)
        assert caught.value.status == 403


def test_a_witness_cosigns_with_both() -> None:
    cosigner = Cosigner.from_seed("w.example", bytes(32), bytes(31) + b"w")
    plain, second = cosigner.keys
    note = read_note(BOTH.sign_checkpoint(POINT, NOW_S) + cosigner.cosign(POINT.text, NOW_S))
    assert [one.time_of(note) for one in map(WitnessKey.read, (plain.text, second.text))] == [NOW_S, NOW_S]
    assert note.signers(BOTH.verifiers) == BOTH.verifiers
    with pytest.raises(NoteProblem, match="has no time"):  # a witness may not leave it away
        second.time_of(read_note(PLAIN.sign(POINT.text) + cosigner.cosign(POINT.text, 0)))


def unknown(kind: bytes, public_key: bytes = bytes(64)) -> str:
    return key_text("log.example/audit", public_key, kind)


@pytest.mark.parametrize("kind", [b"\x02", b"\x05", b"\x07", b"\xfa", b"\xff"])
def test_keys_of_other_kinds_are_told_apart_from_broken_ones(kind: bytes) -> None:
    with pytest.raises(UnknownKind):
        Verifier.read(unknown(kind))
    with pytest.raises(UnknownKind):
        WitnessKey.read(unknown(kind))
    assert Verifier.read_known([ED.text, unknown(kind), PQ.text]) == [ED, PQ]
    for broken in ("nonsense", unknown(kind)[:-4], unknown(ML_DSA_44), PQ.text[:-4], PQ.text.replace("audit+", "a+")):
        with pytest.raises(NoteProblem):
            Verifier.read_known([ED.text, broken])


def test_lines_of_keys_of_other_kinds_are_passed_over() -> None:
    foreign = base64.b64encode(key_id(POINT.origin, bytes(64), b"\x07") + bytes(4000)).decode()
    note = BOTH.sign_checkpoint(POINT, NOW_S) + f"— {POINT.origin} {foreign}\n"
    assert read_trusted(note, BOTH.verifiers) == POINT


def test_sixteen_witnesses_fit_into_a_note() -> None:
    """What every verifier has to take, here with the largest signatures and long names."""
    named = "w" * 200
    cosigners = [Cosigner.from_seed(named, bytes(32), bytes([n]) * 32) for n in range(1, 17)]
    note = BOTH.sign_checkpoint(POINT, NOW_S) + "".join(one.cosign(POINT.text, NOW_S) for one in cosigners)
    assert all(one.keys[1].time_of(read_note(note)) == NOW_S for one in cosigners)


def test_names_that_are_too_long_for_their_length_byte() -> None:
    long = "ä" * 128
    with pytest.raises(NoteProblem, match="at most 239 bytes"):
        Signer.from_seed(long, bytes(32)).with_second(MLDSA44PrivateKey.generate())
    with pytest.raises(NoteProblem, match="at most 255 bytes"):
        Cosigner.from_seed(long, bytes(32), bytes(32))
    with pytest.raises(NoteProblem, match="at most 255 bytes"):
        Verifier.read(key_text(long, bytes(1312), ML_DSA_44))


def test_private_keys_in_files() -> None:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key = MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    assert PLAIN.with_second(read_second_key(key.private_bytes(*form))).verifiers == BOTH.verifiers
    for other in (MLDSA65PrivateKey.generate().private_bytes(*form), b"nonsense"):
        with pytest.raises(NoteProblem, match=r"no ML-DSA-44 key|no private key"):
            read_second_key(other)
