"""The folder in which the tests' servers keep their data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import memory
from tests.memory import data_folder


def test_it_lies_in_memory_and_is_removed_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    with data_folder(tmp_path / "disk", tmp_path / "memory") as folder:
        assert folder.parent == tmp_path / "memory"
        (folder / "data").write_bytes(b"rows")
    assert not list((tmp_path / "memory").iterdir())


def test_it_lies_on_disk_where_memory_is_absent_or_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with data_folder(tmp_path / "disk", tmp_path / "memory") as folder:
        assert folder == tmp_path / "disk"
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(memory, "NEEDED_BYTES", 1 << 60)
    with data_folder(tmp_path / "disk", tmp_path / "memory") as folder:
        assert folder == tmp_path / "disk"


def test_what_a_killed_run_left_is_removed_and_what_others_use_is_not(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, used = tmp_path / f"headgate-tests-{gone.pid}-x", tmp_path / f"headgate-tests-{os.getppid()}-x"
    for folder in (left, used, tmp_path / "another"):
        folder.mkdir()
    with data_folder(tmp_path / "disk", tmp_path):
        assert not left.exists()
        assert used.exists()
        assert (tmp_path / "another").exists()
