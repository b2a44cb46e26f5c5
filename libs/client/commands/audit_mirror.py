"""``headgate audit mirror``: the signed log as a folder that anybody can check without our server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import typer
from rich.text import Text

from libs.client.commands.audit_tree import CHECKPOINT_FILE, ENTRIES_FILE, KEY_FILE, Check, online, trusted_keys
from libs.client.errors import BadAnswer, Contradicted, UsageProblem
from libs.client.http import Client, read_as
from libs.client.session import Session
from libs.client.tree_check import Differs
from libs.client.verify import masked
from libs.common.contracts.audit.tree import Consistency
from libs.tlog.merkle import consistent
from libs.tlog.notes import Checkpoint, NoteProblem, read_note
from libs.tlog.tiles import WIDTH, tiles_of

PAGE = 500  # the most that one answer holds


def mirror_log(
    session: Session,
    folder: Annotated[str, typer.Argument(help="Where to write; a mirror that is there is brought up to date.")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="The log's public key, or its file; may be repeated."),
    ] = None,
) -> None:
    """Write the signed log to a folder: entries, tiles, checkpoint, key; only what is new since the last time.

    The log must go on from the checkpoint that the folder holds: if it does not, nothing is written. The checkpoint is
    the published one, with the cosignatures of witnesses. Exit code 0: the folder is up to date, 1: the log was cut,
    forked or rewritten, or is not signed by your key, 2: it could not be mirrored.
    """
    client, target = session.client, Path(folder)
    if "*" not in client.me().sites:
        raise UsageProblem(
            "Your scope has not all sites, so the entries have gaps for you; ask an auditor of all sites."
        )
    check = online(client, trusted_keys(key or []), [])
    try:
        before = _before(target)
        point, note = _goal(client, check, before)
        target.mkdir(parents=True, exist_ok=True)
        (target / KEY_FILE).write_text("".join(f"{one.text}\n" for one in check.keys))
        _write_entries(session, target, before.size if before else 0, point.size)
        count = _write_tiles(session, target, point.size)
        _replace(target / CHECKPOINT_FILE, note.encode())
    except OSError as error:
        raise UsageProblem(f"{error.filename or folder} can't be written: {error.strerror}.") from error
    fresh = point.size - (before.size if before else 0)
    answer = {"folder": folder, "size": point.size, "new_entries": fresh, "new_tiles": count}
    session.emit(
        answer, Text(f"{fresh} entries and {count} tiles written to {folder}; it holds {point.size} entries by now.")
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """The checkpoint that the folder holds, and the note that it is in."""

    point: Checkpoint
    note: str

    @property
    def size(self) -> int:
        return self.point.size


def _before(target: Path) -> _Held | None:
    try:
        note = (target / CHECKPOINT_FILE).read_text()
        return _Held(Checkpoint.read(read_note(note).text), note)
    except FileNotFoundError:
        return None
    except (NoteProblem, UnicodeDecodeError) as error:
        raise UsageProblem(f"{target / CHECKPOINT_FILE} is no checkpoint: {error}. Take another folder.") from error


def _goal(client: Client, check: Check, before: _Held | None) -> tuple[Checkpoint, str]:
    """How far the folder is brought, and the note that says so. Raises `Contradicted`, also if it is no further."""
    if check.note is None and before is not None and before.size:
        raise Contradicted(f"The log was cut: {before.size} entries were mirrored, now nothing is signed.")
    if check.note is None:
        raise UsageProblem("The log is not signed (yet); headgate audit state says why.")
    if check.problem is not None or check.checkpoint is None:
        raise Contradicted(f"Nothing is mirrored: {str(check.problem).rstrip('.')}.")
    newest, note = check.checkpoint, check.published or check.note
    try:
        point = check.read(note)
    except NoteProblem as error:
        raise Contradicted(f"Nothing is mirrored: what the server publishes can't be used: {error}.") from error
    if before is None:
        return point, note
    if before.point.origin != newest.origin:
        raise UsageProblem(f"The folder holds the log {before.point.origin}, this is {newest.origin}: take another.")
    if before.size > newest.size:
        raise Contradicted(f"The log was cut: {before.size} entries were mirrored, now only {newest.size} are signed.")
    if point.size < before.size:  # one that was cosigned meanwhile; the folder is further, and stays as it is
        point, note = before.point, before.note
        _require_consistent(client, before.point, newest)
    _require_consistent(client, before.point, point)
    return point, note


def _require_consistent(client: Client, before: Checkpoint, point: Checkpoint) -> None:
    if before == point:
        return
    hashes = []
    if before.size < point.size:
        proof = read_as(Consistency, client.call("audit.proofs.consistency", from_size=before.size, size=point.size))
        try:
            hashes = [bytes.fromhex(one) for one in proof.hashes]
        except ValueError:
            raise BadAnswer("The server's proof holds something that is no hash.") from None
    if not consistent(before.size, before.root, point.size, point.root, hashes):
        raise Contradicted("The log was rewritten: it does not go on from the checkpoint that the folder holds.")


def _write_entries(session: Session, target: Path, have: int, size: int) -> None:
    """Append the entries behind ``have``. What a broken run left behind them is cut off first.

    Raises `UsageProblem` for one without what is personal in it, before anything is written: it would never verify.
    """
    starts: list[int] = []
    with tempfile.TemporaryFile(dir=target) as scratch, (target / ENTRIES_FILE).open("a+b") as out:
        with session.progress("Mirroring entries", size - have) as done:
            for page in session.client.pages("audit.entries.list", limit=PAGE, cursor=str(size + 1)):
                fresh = [entry for entry in page if entry["seq"] > have]
                for entry in fresh:
                    if entry.get("masked"):
                        raise UsageProblem(f"Nothing is mirrored: {masked(entry['seq'])}.")
                    starts.append(scratch.tell())
                    scratch.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
                done(len(starts))
                if len(fresh) < len(page) or len(starts) >= size - have:
                    break
        if len(starts) != size - have:
            raise BadAnswer(f"The server lists {len(starts)} entries behind {have}, not {size - have}.")
        out.truncate(_end_of(out, have))
        out.seek(0, os.SEEK_END)
        for start in reversed(starts):
            scratch.seek(start)
            out.write(scratch.readline())
        out.flush()
        os.fsync(out.fileno())


def _end_of(file: IO[bytes], lines: int) -> int:
    """Where the first so many lines end."""
    file.seek(0)
    for _ in range(lines):
        if not file.readline():
            raise UsageProblem("The folder holds fewer entries than its checkpoint promises; take another folder.")
    return file.tell()


def _write_tiles(session: Session, target: Path, size: int) -> int:
    wanted = [one for one in tiles_of(size) if one.width < WIDTH or not (target / one.path).exists()]
    with session.progress("Mirroring tiles", len(wanted)) as done:
        for count, one in enumerate(wanted, 1):
            _replace(target / one.path, session.client.content(f"/audit/{one.path}"))
            done(count)
    return len(wanted)


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def in_order(entries: Iterable[Any]) -> Iterator[Any]:
    """The same entries. Raises `Differs` where two neighbours stand the wrong way round, which names both."""
    held: Any = None
    for entry in entries:
        if held is not None:
            first, second = (one.get("seq") if isinstance(one, dict) else None for one in (held, entry))
            if isinstance(first, int) and isinstance(second, int) and second == first - 1:
                raise Differs(second, f"entries {second} and {first} have changed places")
            yield held
        held = entry
    if held is not None:
        yield held
