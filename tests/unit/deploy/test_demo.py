"""What the demo relies on: the line that it breaks, the Watchdog that it posts, and children that do not stay."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.demo.reports import BREAK, ROOT, DemoFailed, Edit, Processes, watchdog
from services.governance.domain.alertmanager import parse_alertmanager


def test_the_line_that_the_demo_breaks_is_there() -> None:
    text = (ROOT / BREAK.path).read_text(encoding="utf-8")
    assert text.count(BREAK.before) == 1
    assert BREAK.after not in text
    assert f"def {BREAK.function}(" in text


def test_an_edit_is_made_and_taken_back(tmp_path: Path) -> None:
    edit = Edit("a.py", "f", "x > 1", "x < 1")
    file = tmp_path / "a.py"
    file.write_text("return x > 1\n")
    edit.apply(tmp_path)
    assert file.read_text() == "return x < 1\n"
    with pytest.raises(DemoFailed, match="no longer reads"):
        edit.apply(tmp_path)
    edit.apply(tmp_path, undo=True)
    assert file.read_text() == "return x > 1\n"


def test_the_watchdog_is_one() -> None:
    [signal] = parse_alertmanager(watchdog(datetime(2026, 3, 1, tzinfo=UTC)))
    assert signal.data["watchdog"] is True
    assert signal.data["status"] == "firing"


def test_no_child_stays(tmp_path: Path) -> None:
    processes = Processes({})
    child = processes.start([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path, tmp_path / "log")
    processes.close()
    assert child.returncode is not None
    with pytest.raises(DemoFailed, match="stopped"):
        processes.start([sys.executable, "-c", ""], tmp_path, None)
