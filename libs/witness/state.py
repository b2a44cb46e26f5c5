"""What a witness remembers: of each log the largest checkpoint that it cosigned, in one SQLite file.

A checkpoint is on disk before its cosignature leaves, and the comparison with what was there is in the same
transaction, also between two processes on one file. Crash anywhere: either nothing happened, or the checkpoint is
there and was not answered; the log then learns its size (409) and asks again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from libs.tlog.merkle import EMPTY_ROOT
from libs.tlog.notes import Checkpoint, NoteProblem, read_note
from libs.tlog.witnessing import Seen

BUSY_S = 5.0
MAX_CONFLICTS = 1000  # of a log, kept as evidence

CREATE_SEEN = """
CREATE TABLE IF NOT EXISTS seen (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL, time_s INTEGER NOT NULL
) STRICT
"""
CREATE_CONFLICT = """
CREATE TABLE IF NOT EXISTS conflict (
    origin TEXT NOT NULL, time_s INTEGER NOT NULL, seen_note TEXT NOT NULL, shown_note TEXT NOT NULL,
    says TEXT NOT NULL, PRIMARY KEY (origin, shown_note)
) STRICT
"""
SELECT_SEEN = "SELECT size, root, note, time_s FROM seen WHERE origin = ?"
UPSERT_SEEN = """
INSERT INTO seen (origin, size, root, note, time_s) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note,
    time_s = excluded.time_s
"""
INSERT_CONFLICT = "INSERT INTO conflict (origin, time_s, seen_note, shown_note, says) VALUES (?, ?, ?, ?, ?)"
DELETE_CONFLICT = "DELETE FROM conflict WHERE rowid = ?"
SELECT_NOTES = "SELECT rowid, seen_note, shown_note FROM conflict WHERE origin = ? ORDER BY rowid DESC"
SELECT_ALL_SEEN = "SELECT origin, size, root, note, time_s FROM seen ORDER BY origin"
SELECT_CONFLICTS = "SELECT origin, time_s, seen_note, shown_note, says FROM conflict ORDER BY time_s, rowid"


@dataclass(frozen=True, slots=True)
class Kept:
    """The largest checkpoint of a log: as a note with the log's own signatures, and when it was last cosigned."""

    seen: Seen
    note: str
    time_s: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """What was cosigned (empty: nothing), and what the log signed and could not be shown to go on from it."""

    origin: str
    time_s: int
    seen_note: str
    shown_note: str
    says: str


def proves(seen_note: str, shown_note: str) -> bool:
    """Whether two checkpoints of a log prove a fork by themselves: two roots of one size; no note: nothing was seen."""
    try:
        seen = Checkpoint.read(read_note(seen_note).text) if seen_note else Checkpoint("", 0, EMPTY_ROOT)
        shown = Checkpoint.read(read_note(shown_note).text)
    except NoteProblem:
        return False
    return seen.size == shown.size and seen.root != shown.root


class State:
    """The file. Its methods block; one transaction at a time. With ``make`` it is made if it is not there.

    Raises sqlite3.Error, here and everywhere.
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        self._lock = threading.Lock()
        # rw, not ro, for who only reads: what a kill left half written must be rolled back first.
        place = f"{path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"
        self._file = sqlite3.connect(place, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=True)
        # EXTRA: also the folder, so that a commit outlives a power cut.
        self._file.execute("PRAGMA synchronous = EXTRA")
        if make:
            with self._turn():
                self._file.execute(CREATE_SEEN)
                self._file.execute(CREATE_CONFLICT)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def kept(self, origin: str) -> Kept | None:
        """The largest checkpoint of a log; None: nothing was cosigned."""
        with self._lock:
            return self._kept(origin)

    def advance(self, point: Checkpoint, note: str, now_s: int, judge: Callable[[Seen], None]) -> int:
        """Remember a checkpoint if ``judge`` lets it pass; returns its time once it is on disk.

        The time never goes back, whatever the clock does. Raises what ``judge`` raises, and sqlite3.Error.
        """
        with self._turn():
            held = self._kept(point.origin)
            judge(held.seen if held else Seen())
            time_s = max(now_s, held.time_s if held else 1)
            self._file.execute(UPSERT_SEEN, (point.origin, point.size, point.root, note, time_s))
        return time_s

    def note_conflict(self, origin: str, now_s: int, shown: str, says: str) -> bool:
        """Keep both checkpoints as evidence; whether they are kept.

        At most `MAX_CONFLICTS` of a log: then only two that prove a fork by themselves are, instead of two that don't,
        so that a log can't crowd out what proves its fork.
        """
        with self._turn():
            held = self._kept(origin)
            seen_note = held.note if held else ""
            rows = self._file.execute(SELECT_NOTES, (origin,)).fetchall()
            same = next(((rowid, seen) for rowid, seen, note in rows if note == shown), None)
            spare, strong = None, proves(seen_note, shown)
            if same is not None:
                if proves(same[1], shown) or not strong:
                    return True
                spare = same[0]
            elif len(rows) >= MAX_CONFLICTS:
                spare = next((rowid for rowid, seen, note in rows if not proves(seen, note)), None)
                if spare is None or not strong:
                    return False
            if spare is not None:
                self._file.execute(DELETE_CONFLICT, (spare,))
            self._file.execute(INSERT_CONFLICT, (origin, now_s, seen_note, shown, says))
        return True

    def all_kept(self) -> list[tuple[str, Kept]]:
        """The largest checkpoint of each log, by its name."""
        with self._lock:
            rows = self._file.execute(SELECT_ALL_SEEN).fetchall()
        return [(origin, Kept(Seen(size, root), note, time_s)) for origin, size, root, note, time_s in rows]

    def conflicts(self) -> list[Conflict]:
        """What contradicted, of every log, the first one first; at most `MAX_CONFLICTS` of each."""
        with self._lock:
            return [Conflict(*row) for row in self._file.execute(SELECT_CONFLICTS)]

    def _kept(self, origin: str) -> Kept | None:
        row = self._file.execute(SELECT_SEEN, (origin,)).fetchone()
        return None if row is None else Kept(Seen(row[0], row[1]), row[2], row[3])

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A transaction that no other process can interleave."""
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._commit()
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    def _commit(self) -> None:
        self._file.execute("COMMIT")
