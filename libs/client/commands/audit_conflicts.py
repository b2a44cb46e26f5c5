"""``headgate audit witness-conflicts``: what a witness kept because a log contradicted what it had cosigned."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from libs.client.commands.audit_tree import trusted_keys
from libs.client.errors import UsageProblem
from libs.client.session import Session
from libs.client.show import clean, counted, table
from libs.tlog.merkle import EMPTY_ROOT
from libs.tlog.notes import Checkpoint, NoteProblem, Verifier, read_note, read_trusted
from libs.tlog.quorum import moment_text

if TYPE_CHECKING:
    from libs.witness.state import Conflict


def witness_conflicts(
    session: Session,
    folder: Annotated[
        str, typer.Option("--folder", metavar="FOLDER", help="The witness's folder, which `audit witness` was given.")
    ] = "witness",
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="KEY", help="Only of this log, whose key must have signed; repeatable."),
    ] = None,
) -> int:
    """List the checkpoints that a witness refused and kept: a log signed them, and they don't go on from what was seen.

    Asks nobody, also while the witness runs. Exit code 0: there are none, 1: there are, 2: it has cosigned nothing, or
    its memory can't be read.
    """
    keys = trusted_keys(log or [])
    if log and not keys:
        raise UsageProblem("--log names no key; headgate audit keys lists those of a log.")
    path = Path(folder) / "seen.db"
    seen, conflicts = _kept(path, {one.name for one in keys} or None)
    if not seen:
        asked = f" of {', '.join(sorted({clean(one.name) for one in keys}))}" if keys else ""
        raise UsageProblem(f"The witness in {folder} has cosigned nothing{asked} yet, so it can't contradict anything.")
    try:
        told = [_told(one, keys) for one in conflicts]
    except NoteProblem as error:
        raise UsageProblem(f"{path} holds something that a witness does not keep: {error}.") from error
    session.emit({"seen": seen, "conflicts": told}, *_shown(seen, told))
    return 1 if told else 0


def _kept(path: Path, names: set[str] | None) -> tuple[list[dict[str, Any]], list[Conflict]]:
    """What was cosigned last of each of these logs (None: of all), and what contradicted. Raises `UsageProblem`."""
    from libs.witness.state import State

    try:
        path.stat()
    except OSError as error:
        said = f"{path}: {error.strerror}; --folder is the one that `headgate audit witness` was given."
        raise UsageProblem(said) from error
    try:
        with closing(State(path, make=False)) as state:
            kept = [(origin, one) for origin, one in state.all_kept() if names is None or origin in names]
            conflicts = [one for one in state.conflicts() if names is None or one.origin in names]
    except sqlite3.Error as error:
        raise UsageProblem(f"{path} can't be read: {error}.") from error
    seen = [{"log": origin, "size": one.seen.size, "cosigned_at": moment_text(one.time_s)} for origin, one in kept]
    return seen, conflicts


def _told(conflict: Conflict, keys: list[Verifier]) -> dict[str, Any]:
    """As JSON. Raises `NoteProblem` for what is no note, or not signed by the log's key if that was given."""
    sizes, roots = [], []
    for note in (conflict.seen_note, conflict.shown_note):
        if not note:  # nothing was cosigned before
            sizes.append(0)
            roots.append(EMPTY_ROOT)
            continue
        mine = [one for one in keys if one.name == conflict.origin]
        point = read_trusted(note, mine) if mine else Checkpoint.read(read_note(note).text)
        sizes.append(point.size)
        roots.append(point.root)
    return {
        "log": conflict.origin,
        "refused_at": moment_text(conflict.time_s),
        "seen_size": sizes[0],
        "shown_size": sizes[1],
        "proven": sizes[0] == sizes[1] and roots[0] != roots[1],
        "says": conflict.says,
        "seen_checkpoint": conflict.seen_note,
        "shown_checkpoint": conflict.shown_note,
    }


def _shown(seen: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[Any]:
    lines = [
        Text(f"{clean(one['log'])}: the first {one['size']} entries were cosigned, last at {one['cosigned_at']}.")
        for one in seen
    ]
    if not told:
        return [*lines, Text("Nothing contradicted that.", style="green")]
    rows = [
        (one["refused_at"], one["log"], one["seen_size"], one["shown_size"], "yes" if one["proven"] else "not alone",
         one["says"])
        for one in told
    ]  # fmt: skip
    said = (
        f"{counted(len(told), 'checkpoint')} contradicted that; --json prints the notes. Two roots of one size prove a "
        "fork to anybody. Of two sizes the log's operator must show a proof that fits, or the log was forked."
    )
    heads = ("refused at", "log", "cosigned", "shown", "proves a fork", "because")
    return [*lines, table(heads, rows), Text(said, style="red")]
