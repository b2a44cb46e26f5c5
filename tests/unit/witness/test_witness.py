"""A witness's memory and its HTTP interface, over ASGI; faults at the one place that it writes to."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from libs.tlog.cosignatures import Cosigner, witnessed_by
from libs.tlog.digests import entry_digest
from libs.tlog.merkle import consistency_parts, hashes_of, joined, leaf_hash, whole_root
from libs.tlog.notes import Checkpoint, Signer, read_note
from libs.tlog.witnessing import MAX_REQUEST_BYTES, Refused, Seen, write_request
from libs.witness import state as kept_by
from libs.witness.app import Witness, make_app, origin_hash
from libs.witness.state import Conflict, State

LOG = Signer.from_seed("log.example/audit", bytes(range(32)))
COSIGNER = Cosigner.from_seed("witness.example/w1", hashlib.sha256(b"w1").digest())
NOW = 1_700_000_000


def leaves(count: int, salt: str = "") -> list[bytes]:
    return [leaf_hash(entry_digest({"seq": seq, "hash": f"{salt}{seq}"})) for seq in range(1, count + 1)]


def root(hashes: list[bytes]) -> bytes:
    return hashes_of([(0, len(hashes))], lambda node: whole_root(hashes[node[1] << node[0] :][: 1 << node[0]]))[0]


def note(hashes: list[bytes], signer: Signer = LOG) -> str:
    return signer.sign(Checkpoint(signer.verifier.name, len(hashes), root(hashes) if hashes else joined([])).text)


def request(old: int, hashes: list[bytes], signer: Signer = LOG) -> bytes:
    parts = consistency_parts(old, len(hashes))
    proof = hashes_of(parts, lambda node: whole_root(hashes[node[1] << node[0] :][: 1 << node[0]]))
    return write_request(old, proof, note(hashes, signer))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "seen.db")
    yield opened
    opened.close()


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = float(NOW)

    def witness(self, state: State, *logs: Signer) -> Witness:
        keys = [log.verifier for log in logs or (LOG,)]
        return Witness(COSIGNER, keys, state, lambda: self.now, self.lines.append)


def cosigned(line: str, hashes: list[bytes], signer: Signer = LOG) -> int:
    return witnessed_by(read_note(note(hashes, signer) + line), [COSIGNER.key])[COSIGNER.key]


def status(witness: Witness, body: bytes) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        witness.add(body)
    return caught.value.status, caught.value.text


def test_it_cosigns_a_log_that_grows(state: State, tmp_path: Path) -> None:
    said, log = Said(), leaves(600)
    witness = said.witness(state)
    for old, new in ((0, 0), (0, 100), (100, 100), (100, 256), (256, 600)):
        said.now += 10
        assert cosigned(witness.add(request(old, log[:new])), log[:new]) == said.now
    assert status(witness, request(100, log)) == (409, "600\n")
    other = State(tmp_path / "seen.db")  # another process, or after a restart
    kept = other.kept(LOG.verifier.name)
    assert kept is not None
    assert kept.seen == Seen(600, root(log))
    assert said.witness(other).latest(origin_hash(LOG.verifier.name)) == note(log) + COSIGNER.cosign(
        read_note(note(log)).text, int(said.now)
    )
    other.close()
    assert said.lines == []


def test_a_fork_is_refused_told_and_kept(state: State) -> None:
    said, log = Said(), leaves(600)
    witness = said.witness(state)
    witness.add(request(0, log[:300]))
    forked = [*log[:200], *leaves(600, "other")[200:]]
    assert status(witness, request(0, forked[:250])) == (409, "300\n")
    assert status(witness, request(200, forked[:400])) == (409, "300\n")
    assert status(witness, request(300, forked[:400]))[0] == 422
    assert status(witness, request(300, forked[:300]))[0] == 422
    assert status(witness, request(300, forked[:300]))[0] == 422
    assert [one.shown_note for one in state.conflicts()] == [note(forked[:400]), note(forked[:300])]
    assert {one.seen_note for one in state.conflicts()} == {note(log[:300])}
    assert len(said.lines) == 3
    assert "REFUSED at size 400" in said.lines[0]
    assert cosigned(witness.add(request(300, log)), log) == NOW  # the true log goes on


def test_a_fork_that_is_proven_can_not_be_crowded_out(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is of each log; what proves nothing by itself makes way, and what is not kept is told whole."""
    monkeypatch.setattr(kept_by, "MAX_CONFLICTS", 3)
    said, log, other = Said(), leaves(40), Signer.from_seed("other.example", bytes(32))
    witness = said.witness(state, LOG, other)
    witness.add(request(0, log[:30]))
    witness.add(request(0, log[:30], other))
    forked = [*log[:20], *leaves(40, "other")[20:]]
    for size in (31, 32, 33, 34):
        assert status(witness, request(30, forked[:size]))[0] == 422
    assert [read_size(one) for one in state.conflicts()] == [31, 32, 33]
    assert "both checkpoints are kept" in said.lines[2]
    assert ("is NOT kept" in said.lines[3], note(forked[:34]).strip() in said.lines[3]) == (True, True)
    assert status(witness, request(30, forked[:30]))[0] == 422
    assert [read_size(one) for one in state.conflicts()] == [31, 32, 30]
    assert "both checkpoints are kept" in said.lines[4]
    assert status(witness, request(30, forked[:30], other))[0] == 422  # another log has its own room
    assert [one.origin for one in state.conflicts()].count(other.verifier.name) == 1
    assert cosigned(witness.add(request(30, log[:31])), log[:31]) == NOW
    assert status(witness, request(31, forked[:31]))[0] == 422  # of the size that is cosigned by now: proof
    held = {read_size(one): kept_by.proves(one.seen_note, one.shown_note) for one in state.conflicts()}
    assert held == {31: True, 32: False, 30: True}
    for seed in ("a", "b"):
        assert status(witness, request(31, [*log[:20], *leaves(31, seed)[20:]]))[0] == 422
    mine = [one for one in state.conflicts() if one.origin == LOG.verifier.name]
    assert (len(mine), all(kept_by.proves(one.seen_note, one.shown_note) for one in mine)) == (3, True)
    assert "is NOT kept" in said.lines[-1]


def read_size(conflict: Conflict) -> int:
    return Checkpoint.read(read_note(conflict.shown_note).text).size


def test_strangers_change_nothing(state: State) -> None:
    said, log = Said(), leaves(5)
    witness = said.witness(state)
    unknown = Signer.from_seed("other.example", bytes(32))
    thief = Signer.from_seed("log.example/audit", bytes(32))
    assert status(witness, request(0, log, unknown))[0] == 404
    assert status(witness, request(0, log, thief))[0] == 403
    assert status(witness, b"nonsense")[0] == 400
    assert state.kept("other.example") is None
    assert state.kept(LOG.verifier.name) is None
    assert said.lines == []


def test_lines_of_others_are_not_kept(state: State) -> None:
    said, log = Said(), leaves(5)
    other = Cosigner.from_seed("w.example", bytes(32)).cosign(read_note(note(log)).text, 7)
    said.witness(state).add(write_request(0, [], note(log) + other))
    kept = state.kept(LOG.verifier.name)
    assert kept is not None
    assert kept.note == note(log)


def test_its_time_never_goes_back(state: State) -> None:
    said, log = Said(), leaves(5)
    witness = said.witness(state)
    witness.add(request(0, log))
    said.now -= 86_400
    assert cosigned(witness.add(request(5, log)), log) == NOW


def test_logs_do_not_mix(state: State) -> None:
    said, log = Said(), leaves(9)
    second = Signer.from_seed("log.example/audit/2", bytes(range(32)))
    witness = said.witness(state, LOG, second)
    witness.add(request(0, log))
    assert cosigned(witness.add(request(0, log[:3], second)), log[:3], second) == NOW
    assert status(witness, request(3, log))[1] == "9\n"


def test_of_many_at_once_the_largest_stays(state: State) -> None:
    """All say that they go on from nothing: one is cosigned, and nothing is ever rolled back."""
    said, log = Said(), leaves(64)
    witness = said.witness(state)

    def ask(size: int) -> int:
        try:
            witness.add(request(0, log[:size]))
        except Refused as refusal:
            return refusal.status
        return 200

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(1, 65)))
    (size,) = (number for number, found in enumerate(answers, 1) if found == 200)
    assert answers.count(409) == 63
    kept = state.kept(LOG.verifier.name)
    assert kept is not None
    assert kept.seen.size == size


@pytest.mark.parametrize("persisted", [False, True])
def test_a_failed_write_is_made_up(state: State, monkeypatch: pytest.MonkeyPatch, persisted: bool) -> None:
    """The commit fails, with nothing stored or with all of it: no cosignature leaves, and the log asks again."""
    said, log = Said(), leaves(300)
    witness = said.witness(state)
    witness.add(request(0, log[:100]))
    right = State._commit

    def wrong(self: State) -> None:
        if persisted:
            right(self)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(State, "_commit", wrong)
    with pytest.raises(sqlite3.OperationalError):
        witness.add(request(100, log))
    monkeypatch.setattr(State, "_commit", right)
    seen = 300 if persisted else 100
    if persisted:
        assert status(witness, request(100, log)) == (409, "300\n")
    assert cosigned(witness.add(request(seen, log)), log) == NOW
    forked = [*log[:200], *leaves(600, "other")[200:]]
    assert status(witness, request(300, forked))[0] == 422


async def test_over_http(state: State) -> None:
    said, log = Said(), leaves(300)
    transport = httpx2.ASGITransport(make_app(said.witness(state)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://witness") as http:
        path = f"/{origin_hash(LOG.verifier.name)}/checkpoint"
        assert (await http.get(path)).status_code == 404
        answer = await http.post("/add-checkpoint", content=request(0, log))
        assert answer.status_code == 200
        assert cosigned(answer.text, log) == NOW
        assert (await http.get(path)).text == note(log) + answer.text
        conflict = await http.post("/add-checkpoint", content=request(100, log))
        assert (conflict.status_code, conflict.text) == (409, "300\n")
        assert conflict.headers["content-type"] == "text/x.tlog.size"
        for body, wanted in ((b"x", 400), (b"x" * (MAX_REQUEST_BYTES + 1), 413)):
            assert (await http.post("/add-checkpoint", content=body)).status_code == wanted
        assert (await http.get("/add-checkpoint")).status_code == 405
        assert (await http.get("/0000/checkpoint")).status_code == 404
        state.close()
        assert (await http.post("/add-checkpoint", content=request(300, log))).status_code == 503
        assert (await http.get(path)).status_code == 503
