"""What the demo relies on: the line it breaks, the Watchdog it posts, children that do not stay, and its picture."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from defusedxml.ElementTree import parse
from rich.console import Console

from deploy.demo.__main__ import BROKEN, MENDED
from deploy.demo.reports import BREAK, ROOT, DemoFailed, Edit, Processes, watchdog
from deploy.demo.screen import Screen
from services.governance.domain.readers.alertmanager import parse_alertmanager

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = ROOT / "docs" / "demo.svg"


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


def _words(svg: Path) -> str:
    """The text of a picture, its lines in order."""
    root = parse(svg).getroot()
    assert root is not None
    return "\n".join("".join(text.itertext()) for text in root.iter(SVG + "text")).replace("\xa0", " ")


def test_only_what_is_drawn_is_on_the_picture(tmp_path: Path) -> None:
    shown = io.StringIO()
    screen = Screen(Console(file=shown, width=80), picture=True)
    screen.say("at http://127.0.0.1:20109")
    with screen.drawn():
        screen.step("A step")
        screen.prompt(("gate", "run"))
        screen.answer("\x1b[31mNO-GO\x1b[0m  <release>")
    screen.say("not this")
    screen.save(tmp_path / "picture.svg")
    words = _words(tmp_path / "picture.svg")
    for word in ("A step", "$ headgate gate run", "NO-GO", "<release>"):
        assert word in words
        assert word in shown.getvalue()
    assert "not this" not in words
    assert "127.0.0.1" not in words


def test_a_picture_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    screen = Screen(Console(file=io.StringIO()), picture=True)
    with screen.drawn():
        screen.say("a line")
    screen.save(tmp_path / "picture.svg")
    for file in (tmp_path / "picture.svg", PICTURE):
        text = file.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "://" not in text
        assert "@import" not in text
        assert "<script" not in text


def test_the_picture_in_the_readme_still_tells_the_story() -> None:
    words = _words(PICTURE)
    for told in (
        BREAK.path,
        BREAK.after,
        f"--version {BROKEN}",
        f"--version {MENDED}",
        "NO-GO",
        "GO",
        "items list",
        "holds",
    ):
        assert told in words, f"{told!r} is not on docs/demo.svg; draw it anew with `make picture`"
    assert "(docs/demo.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
