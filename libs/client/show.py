"""How answers look on a terminal. Text from outside is never read as markup, and never as control codes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

STYLES = {
    "go": "bold green",
    "pass": "green",
    "success": "green",
    "up": "green",
    "ok": "green",
    "done": "green",
    "no_go": "bold red",
    "fail": "red",
    "critical": "red",
    "down": "red",
    "blocked": "red",
    "warning": "yellow",
    "waived": "yellow",
    "pending": "yellow",
    "in_progress": "cyan",
}
SHORT = 24
NAMES = {"go": "GO", "no_go": "NO-GO"}


def clean(value: Any) -> str:
    """One line of text that a terminal shows and never obeys."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return when(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(clean(item) for item in value)
    text = " ".join(str(value).splitlines())
    return "".join("\ufffd" if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign for sign in text)


def plain(value: Any) -> Text:
    """The value as text without markup, coloured if it is a known word."""
    text = clean(value)
    return Text(NAMES.get(text, text), style=STYLES.get(text, ""))


def when(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def of_line(line: str) -> str:
    """Words for a line, to stand behind a subject or version; none where nobody draws lines."""
    return f" (line {line})" if line else ""


def counted(count: int, noun: str) -> str:
    """``1 test``, ``2 tests``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """A table; cells are made safe."""
    cells = [[cell if isinstance(cell, Text) else plain(cell) for cell in row] for row in rows]
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        # On a narrow terminal the long texts are folded, not the names and times beside them.
        short = all(row[place].cell_len <= SHORT for row in cells)
        made.add_column(column, overflow="fold", no_wrap=short)
    for row in cells:
        made.add_row(*row)
    return made


def facts(pairs: Iterable[tuple[str, Any]]) -> Table:
    """Names and values, one pair a line."""
    made = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, value if isinstance(value, Text) else plain(value))
    return made
