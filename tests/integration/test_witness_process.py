"""The witness as a process: another party's command, on a port, killed and started again."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx2
import pytest

from libs.tlog.cosignatures import witnessed_by
from libs.tlog.notes import read_note
from tests.unit.client.conftest import Tool, gateway, tool
from tests.unit.witness.test_witness import LOG, leaves, note, request
from tests.witnesses import WitnessProcess, witnesses

__all__ = ["gateway", "tool"]
pytestmark = [pytest.mark.integration, pytest.mark.whole]


def test_it_remembers_what_it_saw(tool: Tool, tmp_path: Path) -> None:
    log = leaves(300)
    with witnesses(tmp_path, ["witness.example/w1"], LOG.verifier) as (one,):
        with httpx2.Client(base_url=one.url, trust_env=False) as http:
            answer = http.post("/add-checkpoint", content=request(0, log[:200]))
            assert answer.status_code == 200, answer.text
            assert one.key in witnessed_by(read_note(note(log[:200]) + answer.text), [one.key])
        one.kill()
        one.start()
        with httpx2.Client(base_url=one.url, trust_env=False) as http:
            forked = [*log[:150], *leaves(300, "other")[150:]]
            assert http.post("/add-checkpoint", content=request(0, log)).text == "200\n"
            assert http.post("/add-checkpoint", content=request(200, forked)).status_code == 422
            assert http.post("/add-checkpoint", content=request(200, log)).status_code == 200
        assert "REFUSED at size 300" in one.said.read_text()
        asked = ("audit", "witness-conflicts", "--folder", str(tmp_path / "w0"), "--log", LOG.verifier.text, "--json")
        told = json.loads(tool(*asked).stdout)["conflicts"]  # while it runs
        assert [(row["seen_size"], row["shown_size"], row["shown_checkpoint"]) for row in told] == [
            (200, 300, note(forked))
        ]
        assert WitnessProcess(tmp_path / "w0", "witness.example/w1", LOG.verifier).key == one.key
        assert stat.S_IMODE((tmp_path / "w0" / "key.pem").stat().st_mode) == 0o600


def test_what_it_can_not_start_with(tool: Tool, tmp_path: Path) -> None:
    folder, key = tmp_path / "w", LOG.verifier.text
    named = ("audit", "witness", "--folder", str(folder), "--log", key)
    assert "--name a b" in tool(*named, "--name", "a b").stderr
    assert "can't be read" in tool("audit", "witness", "--name", "w", "--log", "none", "--folder", str(folder)).stderr
    (folder / "key.pem").write_text("nonsense")
    assert "no private key in PEM" in tool(*named, "--name", "w.example").stderr
    (folder / "key.pem").unlink()
    (folder / "seen.db").write_text("nonsense, and long enough to be no database" * 100)
    result = tool(*named, "--name", "w.example")
    assert (result.exit_code, "seen.db can't be used" in result.stderr) == (2, True), result.stderr
