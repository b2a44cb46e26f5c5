"""What a witness kept as evidence, as its operator reads it: from its file alone, also while it runs."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from libs.tlog.notes import Signer
from libs.witness.state import State
from tests.unit.client.conftest import Tool, gateway, tool
from tests.unit.witness.test_witness import LOG, NOW, Said, leaves, note, request, status

__all__ = ["gateway", "tool"]

SECOND = Signer.from_seed("log.example/audit/2", bytes(range(32)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A witness that saw two logs; the first one was forked twice."""
    target = tmp_path / "a witness?"
    target.mkdir()
    state = State(target / "seen.db")
    said, log = Said(), leaves(40)
    witness = said.witness(state, LOG, SECOND)
    witness.add(request(0, log[:30]))
    witness.add(request(0, log[:9], SECOND))
    forked = [*log[:20], *leaves(40, "other")[20:]]
    assert status(witness, request(30, forked))[0] == 422
    assert status(witness, request(30, forked[:30]))[0] == 422
    state.close()
    return target


def test_each_conflict_is_told_with_both_checkpoints(tool: Tool, folder: Path) -> None:
    with_state = State(folder / "seen.db")  # as while it runs
    result = tool("audit", "witness-conflicts", "--folder", str(folder), "--log", LOG.verifier.text, "--json")
    with_state.close()
    answer = json.loads(result.stdout)
    assert result.exit_code == 1, result.output
    assert answer["seen"] == [{"log": "log.example/audit", "size": 30, "cosigned_at": "2023-11-14T22:13:20Z"}]
    told = [(one["seen_size"], one["shown_size"], one["proven"]) for one in answer["conflicts"]]
    assert told == [(30, 40, False), (30, 30, True)]
    assert {one["seen_checkpoint"] for one in answer["conflicts"]} == {note(leaves(30))}
    assert answer["conflicts"][1]["says"] == "422 another root was cosigned at size 30"
    shown = tool("audit", "witness-conflicts", "--folder", str(folder))
    assert shown.exit_code == 1
    assert "log.example/audit/2: the first 9 entries were cosigned" in shown.stdout
    assert "2 checkpoints contradicted that" in shown.stdout


def test_none_is_no_conflict(tool: Tool, folder: Path) -> None:
    result = tool("audit", "witness-conflicts", "--folder", str(folder), "--log", SECOND.verifier.text)
    assert (result.exit_code, "Nothing contradicted that" in result.stdout) == (0, True), result.output


def test_what_is_no_memory_of_a_witness(tool: Tool, folder: Path, tmp_path: Path) -> None:
    """No data is not a pass, and asking makes no file."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "nonsense").mkdir()
    (tmp_path / "nonsense" / "seen.db").write_text("nonsense, and long enough to be no database" * 100)
    (tmp_path / "other").mkdir()
    sqlite3.connect(tmp_path / "other" / "seen.db").execute("CREATE TABLE x (y)").connection.close()
    (tmp_path / "fresh").mkdir()
    State(tmp_path / "fresh" / "seen.db").close()
    stranger = Signer.from_seed("other.example", bytes(32)).verifier.text
    thief = Signer.from_seed("log.example/audit", bytes(32)).verifier.text
    for name, more, says in (
        ("empty", (), "No such file or directory; --folder is the one"),
        ("x" * 300, (), "File name too long"),
        ("nonsense", (), "can't be read: file is not a database"),
        ("other", (), "can't be read: no such table"),
        ("fresh", (), "has cosigned nothing yet"),
        ("a witness?", ("--log", stranger), "has cosigned nothing of other.example yet"),
        ("a witness?", ("--log", thief), "holds something that a witness does not keep"),
        ("a witness?", ("--log", "a+b+c"), "a log's key reads"),
    ):
        result = tool("audit", "witness-conflicts", "--folder", str(tmp_path / name), *more)
        assert (result.exit_code, says in " ".join(result.stderr.split())) == (2, True), result.output
    assert not (tmp_path / "empty" / "seen.db").exists()
    held = State(folder / "seen.db")
    held.note_conflict(LOG.verifier.name, NOW, "nonsense", "422")
    held.close()
    result = tool("audit", "witness-conflicts", "--folder", str(folder))
    assert (result.exit_code, "does not keep" in result.stderr) == (2, True), result.output
