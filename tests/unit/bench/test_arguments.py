"""What `python -m bench` says to who asks for what there is not: before any server is started."""

from __future__ import annotations

import sys

import pytest

from bench.__main__ import main


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--only", "gate", "--only", "gates"], "there is no benchmark gates; there are consumer, audit, boards"),
        (["--only", "log_growth"], "log_growth with --log-growth"),
        (["--keep-log"], "give --log-growth --only log_growth with it"),
        (["--log-growth", "--keep-log", "--only", "log_growth", "--only", "gate"], "the log of one benchmark"),
    ],
)
def test_a_benchmark_that_there_is_not_is_no_run(
    given: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *given])
    assert main() == 1
    said = capsys.readouterr()
    assert words in said.err
    assert not said.out
