"""Cosignatures that a verification wants: of a mirror, of a server's log, and of a witness that is asked itself."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from libs.client.commands.audit_witnessed import quorum_of
from libs.client.errors import UsageProblem
from libs.tlog.cosignatures import Cosigner
from libs.tlog.digests import entry_digest
from libs.tlog.notes import Checkpoint, Verifier, read_note, signature_line
from libs.tlog.tiles import Growth
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says
from tests.unit.client.samples import NOW, entries, me, unsigned_log, verification
from tests.unit.client.test_audit_tree import LOG, OTHER, rewritten, verify, write

W1, W2, W3 = (
    Cosigner.from_seed(f"witness.example/{name}", hashlib.sha256(name.encode()).digest()) for name in ("1", "2", "3")
)
PQ = Cosigner.from_seed("witness.example/1", hashlib.sha256(b"1").digest(), bytes(32))
DAY_S = 86_400
COUNT = 20


def now_s() -> int:
    return int(time.time())


def cosign(folder: Path, *by: Cosigner, age_s: int = 0) -> None:
    """Put the lines of witnesses below the mirror's checkpoint."""
    path = folder / "checkpoint"
    note = path.read_text()
    path.write_text(note + "".join(one.cosign(read_note(note).text, now_s() - age_s) for one in by))


def wanted(*keys: Any, **more: Any) -> list[str]:
    """The options."""
    named = [part for key in keys for part in ("--witness-key", key.text)]
    return named + [part for name, value in more.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    write(folder, entries(COUNT))
    return folder


def test_a_mirror_is_witnessed(tool: Tool, mirror: Path, tmp_path: Path) -> None:
    cosign(mirror, W1, W2)
    for options in (
        wanted(W1.key),
        wanted(W1.key, W2.key),
        wanted(W1.key, W2.key, W3.key, witnesses=2, witness_max_age="30m"),
    ):
        code, answer = verify(tool, mirror, "--key", LOG.verifier.text, *options)
        assert (code, answer["valid"], answer["tree"]["witnessed_size"]) == (0, True, COUNT), answer
        assert answer["tree"]["witnesses"][0]["witness"] == W1.key.name
    keys = tmp_path / "keys of witnesses"
    keys.write_text(f"{W1.key.text}\n{W2.key.text}\n")
    shown = tool("audit", "verify", "--folder", str(mirror), "--witness-key", str(keys))
    assert shown.exit_code == 0, shown.output
    assert "witness.example/2 cosigned the first 20 entries at 2" in shown.stdout


def altered(folder: Path) -> None:
    """The time is part of what is signed: one second later is another cosignature."""
    path = folder / "checkpoint"
    note, line = path.read_text(), W1.cosign(read_note(path.read_text()).text, now_s() - DAY_S)
    _, _, signature = read_note(note + line).signatures[-1]
    time_s = int.from_bytes(signature[:8], "big") + DAY_S
    path.write_text(note + signature_line(W1.key.name, W1.key.key_id + time_s.to_bytes(8, "big") + signature[8:]))


def of_another_root(folder: Path) -> None:
    path = folder / "checkpoint"
    forked = Checkpoint(LOG.verifier.name, COUNT, bytes(32)).text
    path.write_text(path.read_text() + W1.cosign(forked, now_s()))


def none(folder: Path) -> None:
    pass


def one_of_two(folder: Path) -> None:
    cosign(folder, W2)


def stranger(folder: Path) -> None:
    """Under the witness's name, by another key."""
    cosign(folder, Cosigner.from_seed(W1.key.name, bytes(32)))


def a_day_ago(folder: Path) -> None:
    cosign(folder, W1, W2, age_s=DAY_S)


def one_a_day_ago(folder: Path) -> None:
    cosign(folder, W1, age_s=DAY_S)
    cosign(folder, W2)


def tomorrow(folder: Path) -> None:
    cosign(folder, W1, W2, age_s=-DAY_S)


def beyond_the_calendar(folder: Path) -> None:
    cosign(folder, W1, W2, age_s=now_s() - (2**63 - 1))


REFUSED = [
    (altered, "the cosignature of witness.example/1 does not fit the checkpoint: it was altered"),
    (of_another_root, "the cosignature of witness.example/1 does not fit the checkpoint: it was altered"),
    (none, "0 of 2 witnesses have cosigned the checkpoint, 2 are wanted: witness.example/1, witness.example/2 did not"),
    (one_of_two, "1 of 2 witnesses have cosigned the checkpoint, 2 are wanted: witness.example/1 did not"),
    (stranger, "0 of 2 witnesses have cosigned the checkpoint"),
    (a_day_ago, "0 of the 2 cosignatures that are wanted are new enough: witness.example/1 cosigned last at 2"),
    (one_a_day_ago, "1 of the 2 cosignatures that are wanted are new enough: witness.example/1 cosigned last at 2"),
    (tomorrow, "which is later than the clock here"),
    (beyond_the_calendar, "witness.example/1 says 9223372036854775807 s after 1970, which is later"),
]


@pytest.mark.parametrize(("tamper", "says"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_witness(tool: Tool, mirror: Path, tamper: Any, says: str) -> None:
    tamper(mirror)
    options = wanted(W1.key, W2.key, witness_max_age="30m")
    code, answer = verify(tool, mirror, "--key", LOG.verifier.text, *options)
    assert (code, answer["valid"], answer["tree"]["state"]) == (1, False, "broken"), answer
    assert says in answer["tree"]["problem"]


def test_an_old_cosignature_counts_unless_an_age_is_wanted(tool: Tool, mirror: Path) -> None:
    cosign(mirror, W1, age_s=DAY_S)
    assert verify(tool, mirror, *wanted(W1.key))[0] == 0
    assert verify(tool, mirror, *wanted(W1.key, witness_max_age="23h"))[0] == 1


def test_two_keys_of_a_witness_are_one_witness_that_signs_with_both(tool: Tool, mirror: Path) -> None:
    cosign(mirror, W1)
    assert verify(tool, mirror, *wanted(PQ.keys[0]))[0] == 0
    code, answer = verify(tool, mirror, *wanted(*PQ.keys))
    assert (code, "not by each kind of key" in answer["tree"]["problem"]) == (1, True)
    write(mirror, entries(COUNT))
    cosign(mirror, PQ)
    code, answer = verify(tool, mirror, *wanted(*PQ.keys, witness_max_age="1h"))
    assert (code, len(answer["tree"]["witnesses"])) == (0, 1), answer


def test_a_log_is_no_witness_of_itself(tool: Tool, mirror: Path) -> None:
    """The log's own ML-DSA-44 line is made as a witness's is."""
    both = LOG.with_second(MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
    point = Checkpoint.read(read_note((mirror / "checkpoint").read_text()).text)
    (mirror / "checkpoint").write_text(both.sign_checkpoint(point, now_s()))
    (mirror / "keys").write_text("".join(f"{one.text}\n" for one in both.verifiers))
    code, answer = verify(tool, mirror, *wanted(both.verifiers[1]))
    assert (code, "the log's own" in answer["tree"]["problem"]) == (1, True), answer


def test_what_can_not_be_wanted(tool: Tool, mirror: Path, tmp_path: Path) -> None:
    empty, twice = tmp_path / "empty", Cosigner.from_seed("witness.example/9", hashlib.sha256(b"1").digest())
    empty.write_text("\n")
    one, other = W1.key.text, twice.key.text
    for keys, count, age, says in (
        ([], 1, None, "give their keys"),
        ([], None, "1h", "give their keys"),
        ([str(empty)], None, None, "names a file without a key"),
        (["x"], None, None, "can't be read"),
        ([LOG.verifier.text], None, None, "a witness's key reads"),
        ([one, other], None, None, "one public key under two names"),
        ([one], 0, None, "1 to 1 can be wanted"),
        ([one, one], 2, None, "1 to 1 can be wanted"),
        ([one], None, "0m", "is no age"),
        ([one], None, "soon", "is no age"),
    ):
        with pytest.raises(UsageProblem, match=says):
            quorum_of(keys, count, age, 0)
    for options, says in (
        (["--offline", str(mirror / "entries.jsonl"), *wanted(W1.key)], "use `audit mirror`"),
        (["--since", str(tmp_path / "since"), *wanted(W1.key)], "only --key goes with it"),
        (["--server", *wanted(W1.key)], "--server goes with"),
    ):
        result = tool("audit", "verify", *options)
        assert (result.exit_code, says in " ".join(result.stderr.split())) == (2, True), result.output


def log_of(gateway: FakeGateway, chain: list[dict[str, Any]], published: str | None, **more: Any) -> None:
    """A gateway that shows this chain as a signed log."""
    state = unsigned_log(
        state="signed", entry_count=len(chain), tree_size=len(chain), origin=LOG.verifier.name,
        verifier=LOG.verifier.text, signed_at=NOW, published=published,
        checkpoint=LOG.sign(point_of(chain).text),
    ) | more  # fmt: skip
    key = {"verifier": LOG.verifier.text, "algorithm": "Ed25519", "first_used_at": NOW, "first_size": 0, "in_use": True}
    gateway.on("GET /api/me", Says(me()))
    gateway.on("GET /api/audit/log", Says(state))
    gateway.on("GET /api/audit/keys", Says([key]))
    gateway.on("GET /api/audit/verify", Says(verification(chain)))
    gateway.on("GET /api/audit/entries", Says({"items": chain[::-1], "next_cursor": None}))


def point_of(chain: list[dict[str, Any]]) -> Checkpoint:
    grown = Growth()
    grown.add([entry_digest(entry) for entry in chain])
    return Checkpoint(LOG.verifier.name, len(chain), grown.root())


def cosigned(point: Checkpoint, *by: Cosigner, log: Any = LOG, age_s: int = 0) -> str:
    return str(log.sign(point.text)) + "".join(one.cosign(point.text, now_s() - age_s) for one in by)


def online(tool: Tool, *options: str) -> tuple[int, str, Any]:
    result = tool("audit", "verify", "--key", LOG.verifier.text, "--json", *options)
    answer = json.loads(result.stdout) if result.stdout else None
    return result.exit_code, " ".join(result.stderr.split()), answer


def test_what_a_server_publishes_is_witnessed(gateway: FakeGateway, tool: Tool) -> None:
    """A little less than the log by now, and it must be a part of it."""
    chain = entries(20)
    log_of(gateway, chain, cosigned(point_of(chain[:15]), W1, W2))
    code, _, answer = online(tool, *wanted(W1.key, W2.key, witness_max_age="10m"))
    assert (code, answer["tree"]["size"], answer["tree"]["witnessed_size"]) == (0, 20, 15), answer
    shown = tool("audit", "verify", *wanted(W1.key))
    assert "Entries 16 to 20 are newer than what was cosigned" in shown.stdout
    for published, says in (
        (None, "0 of 1 witnesses have cosigned"),
        (cosigned(point_of(chain[:15]), W2), "0 of 1 witnesses have cosigned"),
        (cosigned(point_of(rewritten(15, 9)), W1), "the first 15 entries are others than were signed before"),
        (cosigned(point_of(chain[:15]), W1, log=OTHER), "what the server publishes can't be used"),
        (cosigned(point_of(entries(25)), W1), "the log was cut"),
        ("nonsense", "what the server publishes can't be used"),
    ):
        log_of(gateway, chain, published)
        code, _, answer = online(tool, *wanted(W1.key))
        assert (code, says in answer["tree"]["problem"]) == (1, True), answer


def test_an_unsigned_log_has_no_witness(gateway: FakeGateway, tool: Tool) -> None:
    chain = entries(3)
    log_of(gateway, chain, None)
    gateway.on("GET /api/audit/log", Says(unsigned_log()))
    gateway.on("GET /api/audit/keys", Says([]))
    result = tool("audit", "verify", "--json", *wanted(W1.key))
    assert (result.exit_code, "no checkpoint" in json.loads(result.stdout)["tree"]["problem"]) == (1, True)


def test_a_witness_that_is_asked_must_be_the_one_that_is_named(gateway: FakeGateway, tool: Tool) -> None:
    chain = entries(20)
    log_of(gateway, chain, None)
    place = f"GET /{hashlib.sha256(LOG.verifier.name.encode()).hexdigest()}/checkpoint"
    asked = ("--witness", gateway.url)

    def shows(note: str) -> None:
        gateway.on(place, Says(note.encode(), headers={"Content-Type": "text/plain"}))

    shows(cosigned(point_of(chain[:12]), W1))
    code, _, answer = online(tool, *asked, *wanted(W1.key, witness_max_age="1h"))
    assert (code, answer["tree"]["witnessed_size"]) == (0, 12), answer
    assert online(tool, *asked)[0] == 0  # without a key nobody's word is checked, as ever
    text = point_of(chain[:12]).text
    for note, code, says in (
        (cosigned(point_of(chain[:12])), 2, "none of the witnesses that you named by --witness-key has cosigned it"),
        (cosigned(point_of(chain[:12]), W2), 2, "none of the witnesses"),
        (LOG.sign(text) + W1.cosign(point_of(chain[:11]).text, now_s()), 2, "was altered"),
        (cosigned(point_of(chain[:12]), W1, age_s=7200), 1, "witness.example/1 cosigned last at"),
        (cosigned(point_of(rewritten(12, 5)), W1), 1, "others than were signed before"),
        ("x" * 200_000, 2, "longer than any note"),
    ):
        shows(note)
        found, stderr, answer = online(tool, *asked, *wanted(W1.key, witness_max_age="1h"))
        said = answer["tree"]["problem"] if answer else stderr
        assert (found, says in said) == (code, True), (found, said)


def test_keys_read_as_others_write_them() -> None:
    """A witness's key is none of a log, and the other way round."""
    with pytest.raises(ValueError, match="a log's key reads"):
        Verifier.read(W1.key.text)
