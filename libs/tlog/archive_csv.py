"""Compares the CSV files of an archive with its entries, row by row; arithmetic of its own, beside who writes them.

Memory does not grow with the month: of each file a row is held at a time. Columns and quoting: docs/audit-log.md,
"Archives".
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from libs.tlog.archives import csv_name

V1 = ("id", "created_at", "actor_username", "action", "resource_type", "resource_id", "status", "prev_hash",
      "entry_hash")  # fmt: skip
V2 = (*V1, "time", "actor_kind", "site", "outcome", "reason", "issue", "client_address", "client_agent", "event_id",
      "causationid", "correlationid", "trace_id", "source", "payload_bytes", "payload_sha256")  # fmt: skip
HEAD = ("section", "key", "value")
STATUSES = {"applied": "success", "refused": "denied", "failed": "error"}
ACTORS = ("service", "webhook", "account")
# Not of the archive, but of how it is laid out.
NOT_SAID = frozenset({"format", "files", "attachments"})
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
MAX_HEAD_ROWS, MAX_ROW_BYTES = 10_000, 16 * 1024 * 1024


def _cell(value: Any) -> str:
    """As it is written: a text that a spreadsheet would take for a formula has an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "'" + text if text.startswith(FORMULA) else text


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the columns say of an entry: of one without a version, too, action and kinds follow from type and actor."""
    kind, colon, _ = entry["actor"].partition(":")
    action, outcome = entry["type"].removeprefix("headgate.").removesuffix(".v1"), entry["outcome"]
    return {
        **entry,
        "id": entry["seq"],
        "created_at": entry["recorded_at"],
        "actor_username": entry["actor"],
        "action": action,
        "resource_type": ".".join(action.split(".")[:2]),
        "resource_id": entry["subject"],
        "status": STATUSES.get(outcome or "applied", outcome),
        "entry_hash": entry["hash"],
        "actor_kind": (kind if colon and kind in ACTORS else "person") if entry["actor"] else "nobody",
    }


class Table:
    """One CSV file, read on while the entries pass. `begin` first, then each entry, then `end`.

    Each says what is wrong, with the file and its row (the header is row 1; of the second form, where the entries'
    header is), or None.
    """

    def __init__(self, file: IO[bytes], name: str, columns: tuple[str, ...]) -> None:
        self._file, self._name, self._columns, self._row = file, name, columns, 0

    def begin(self) -> str | None:
        """The header."""
        self._row = 1
        return self._differs(self._columns, "is not the header that it has")

    def problem(self, entry: Mapping[str, Any]) -> str | None:
        """The row of the next entry."""
        self._row += 1
        shown = _shown(entry)
        return self._differs([_cell(shown.get(name)) for name in self._columns], f"is not what entry {entry['seq']} is")

    def end(self) -> str | None:
        """Nothing follows."""
        return f"{self._name}: row {self._row + 1} belongs to no entry of the month" if self._file.read(1) else None

    def _differs(self, cells: Sequence[str], says: str) -> str | None:
        wanted = _line(cells)
        found = self._file.read(len(wanted))
        if found == wanted:
            return None
        if not found:
            return f"{self._name}: row {self._row} is missing, and all behind it"
        return f"{self._name}: row {self._row} {says}{self._where(cells, found)}"

    def _where(self, cells: Sequence[str], found: bytes) -> str:
        """The column that differs, if the row can be read."""
        rest = (found + self._file.read(MAX_ROW_BYTES - len(found))).decode(errors="replace")
        try:
            row = next(csv.reader(io.StringIO(rest, newline="")))
        except (csv.Error, StopIteration):
            return ""
        at = next((at for at, pair in enumerate(zip(cells, row, strict=False)) if pair[0] != pair[1]), None)
        if at is None:
            same = len(row) == len(cells)
            return ": it is quoted wrongly" if same else f": it has {len(row)} cells, not {len(cells)}"
        return f": {self._columns[at]} says {row[at][:80]!r}, not {cells[at][:80]!r}"


class Tables:
    """Both CSV files of a month. ``fault``: the first thing that does not fit, with the file and its row."""

    def __init__(self, opened: Sequence[IO[bytes] | None], manifest: Mapping[str, Any]) -> None:
        self._manifest = manifest
        self.fault: str | None = None
        self._tables: list[Table] = []
        for file, version, columns in zip(opened, ("v1", "v2"), (V1, V2), strict=True):
            name = csv_name(str(manifest["month"]), version)
            if file is None:
                self.fault = self.fault or f"{name} is missing"
                continue
            self._tables.append(Table(file, name, columns))
            if version == "v2":
                self.fault = self.fault or self._head_problem(file, name)
        self._note(table.begin() for table in self._tables)

    def compare(self, entry: Mapping[str, Any]) -> None:
        """The rows of the next entry, which is as the list shows it."""
        self._note(table.problem(entry) for table in self._tables)

    def end(self) -> str | None:
        """Nothing follows in either; the ``fault``, if there is one."""
        self._note(table.end() for table in self._tables)
        return self.fault

    def _note(self, problems: Iterable[str | None]) -> None:
        if self.fault is None:
            self.fault = next(filter(None, problems), None)

    def _head_problem(self, file: IO[bytes], name: str) -> str | None:
        """Rows of section, key and value, in any order, up to an empty line: just those of the manifest."""
        wanted = _said(self._manifest)
        number = 1
        if file.readline(MAX_ROW_BYTES) != _line(HEAD):
            return f"{name}: row 1 is not the header that it has"
        while (line := file.readline(MAX_ROW_BYTES)) != b"\r\n":
            number += 1
            if number > MAX_HEAD_ROWS or not line.endswith(b"\n"):
                return f"{name}: no empty line ends what stands before the entries"
            try:
                (section, key, value), *rest = csv.reader([line.decode()])
            except (csv.Error, ValueError):
                return f"{name}: row {number} can't be read"
            if rest or (section, key) not in wanted or not _same(value, wanted.pop((section, key))):
                return f"{name}: row {number} ({section[:40]}, {key[:40]}) is not what the manifest says"
        if wanted:
            section, key = next(iter(wanted))
            return f"{name}: the manifest's {key[:40]} ({section[:40]}) is missing before row {number + 1}"
        return None


def _said(manifest: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    said: dict[tuple[str, str], Any] = {("meta", "format_version"): "v2"}
    said |= {("meta", name): value for name, value in manifest.items() if name not in NOT_SAID}
    for section, attachment in manifest["attachments"].items():
        said |= {(section, key): value for key, value in attachment.items()}
    return said


def _same(text: str, value: Any) -> bool:
    """Whether a cell says a value; the order within objects is not said."""
    if not isinstance(value, dict | list):
        return text == _cell(value)
    try:
        return bool(json.loads(text) == value)
    except ValueError:
        return False
