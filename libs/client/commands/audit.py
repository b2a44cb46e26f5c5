"""``headgate audit …``: read the log, take it out, and check it without believing the server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import typer
from rich.text import Text

from libs.client.commands.audit_mirror import in_order, mirror_log
from libs.client.commands.audit_tree import (
    ENTRIES_FILE,
    Check,
    Tree,
    folder_tile,
    from_folder,
    noted,
    older_checkpoint,
    online,
    server_tile,
    trusted_keys,
)
from libs.client.errors import BadAnswer, UsageProblem
from libs.client.http import Client, given, read_as
from libs.client.session import Session, command
from libs.client.tree_check import Differs
from libs.client.verify import Anchor, NotAnEntry, Report, verify
from libs.common.contracts.audit.chain import Verification
from libs.common.contracts.audit.entries import Entry
from libs.common.contracts.base import Page

audit = typer.Typer(no_args_is_help=True, help="The audit log: a hash chain that anybody can recompute.")

MAX_LINE_BYTES = 64 * 1024 * 1024


@command(audit, "verify", judges=True)
def verify_log(
    session: Session,
    offline: Annotated[
        str | None, typer.Option("--offline", metavar="FILE", help="Check this export (JSON Lines), ask no server.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="SEQ:HASH", help="An entry's hash that was noted before.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option("--folder", metavar="FOLDER", help="Check what `audit mirror` wrote, ask no server.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="The log's public key, or its file; may be repeated."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint kept before: the log must go on from it."),
    ] = None,
) -> int:
    """Verify the log: chain and signed tree, from the entries to the signature, by the server and again here.

    Exit code 0: it holds, 1: it is broken, 2: some contents could not be checked here.
    """
    anchor, keys = _anchor(head), trusted_keys(key or [])
    older = older_checkpoint(checkpoint, keys)
    if folder is not None:
        return _verify_folder(session, Path(folder), anchor, from_folder(Path(folder), keys, older))
    if offline is not None:
        report = _verify_file(session, offline, anchor)
        session.emit({"valid": report.valid, "local": _local(report)}, *_shown(report))
        return _code(report.valid, report)
    if "*" not in session.client.me().sites:
        raise UsageProblem(
            "Your scope has not all sites, so the entries have gaps for you; ask an auditor of all sites."
        )
    checks = _server_checks(session)
    tree_check = online(session.client, keys, older)
    last = checks[-1]
    server_valid = all(check.valid for check in checks)
    # The server's head is the mark to meet: entries that came meanwhile lie behind it and are checked too.
    wanted = Anchor(last.head_seq, last.head_hash) if last.head_seq else None
    report = _verify_server(session, wanted, tree_check) if wanted else verify(())
    tree = tree_check.end(server_tile(session.client)) if report.valid else Tree("unsigned")
    if anchor is not None and report.valid and (problem := _noted_differs(session.client, anchor)):
        report = replace(report, bad_seq=anchor.seq, problem=problem)
    by_server = {
        "valid": server_valid,
        "checked_count": sum(check.checked_count for check in checks),
        "head_seq": last.head_seq,
        "head_hash": last.head_hash,
        "first_bad_seq": last.first_bad_seq,
        "problem": last.problem,
    }
    valid = server_valid and (report.valid or not last.head_seq) and tree.valid
    said = Text("holds", style="green") if server_valid else Text(f"is broken: {last.problem}", style="red")
    line = Text.assemble("The server says: the chain ", said, f" ({by_server['checked_count']} entries)")
    answer = {"valid": valid, "server": by_server, "local": _local(report), "tree": tree.answer()}
    session.emit(answer, line, *_shown(report, tree))
    return _code(valid, report)


def _verify_folder(session: Session, folder: Path, anchor: Anchor | None, check: Check) -> int:
    """Entries, chain, tiles, root and signature of a mirror, with nothing but the folder and a key."""
    report, tree = verify(()), check.end(folder_tile(folder)) if check.problem else None
    if tree is None:
        size = check.checkpoint.size if check.checkpoint else None
        try:
            with (folder / ENTRIES_FILE).open("rb") as file, session.progress("Checking entries", size) as done:
                report = verify(check.passing(in_order(_lines(file))), anchor=anchor, progress=done)
        except OSError as error:
            raise UsageProblem(f"{folder} is no mirror of an audit log: {error.strerror}.") from error
        except NotAnEntry as error:
            raise UsageProblem(f"{folder / ENTRIES_FILE} is no export of the audit log: {error}.") from error
        except Differs as error:
            report = replace(report, bad_seq=error.seq, problem=error.problem)
        if report.problem is None:
            with session.progress("Checking tiles", None) as done:
                tree = check.end(folder_tile(folder), done)
        else:
            tree = Tree("unsigned")
    valid = tree.valid and report.problem is None
    answer = {"valid": valid, "local": _local(report), "tree": tree.answer()}
    session.emit(answer, *(_shown(report, tree) if report.checked_count or report.problem else tree.shown()))
    return _code(valid, report)


def _code(valid: bool, report: Report) -> int:
    """0: all was checked and holds; 1: it is broken; 2: some contents could not be checked here."""
    return 1 if not valid else 2 if report.unread_count else 0


def _anchor(head: str | None) -> Anchor | None:
    if head is None:
        return None
    seq, _, digest = head.partition(":")
    if not seq.isdigit() or len(digest) != 64:
        raise UsageProblem("--head reads SEQ:HASH, such as 120:9f2c… with 64 hex digits.")
    return Anchor(int(seq), digest)


def _server_checks(session: Session) -> list[Verification]:
    checks = [session.client.verify_audit()]
    with session.progress("The server checks", checks[0].head_seq) as done:
        while checks[-1].valid and checks[-1].next_seq is not None:
            done(checks[-1].to_seq)
            checks.append(session.client.verify_audit(checks[-1].next_seq))
    return checks


def _verify_server(session: Session, anchor: Anchor, check: Check) -> Report:
    with session.progress("Checking here", anchor.seq) as done:
        try:
            return verify(check.passing(_entries(session.client)), anchor=anchor, progress=done)
        except NotAnEntry as error:
            raise BadAnswer(f"The server lists something that is no entry: {error}.") from error


def _entries(client: Client) -> Iterator[Any]:
    for page in client.pages("audit.entries.list", limit=500):
        yield from page


def _noted_differs(client: Client, anchor: Anchor) -> str | None:
    """What is wrong with the entry that was noted before, if it is not the same any more."""
    page = client.call("audit.entries.list", cursor=str(anchor.seq + 1), limit=1)
    found = read_as(Page[Entry], page).items
    if not found or found[0].seq != anchor.seq:
        return f"entry {anchor.seq} is not in the log: it was cut or replaced"
    if found[0].hash != anchor.hash.lower():
        return f"entry {anchor.seq} has another hash than the one noted for it: the log was rewritten"
    return None


def _verify_file(session: Session, name: str, anchor: Anchor | None) -> Report:
    try:
        with Path(name).open("rb") as file, session.progress("Checking", None) as done:
            return verify(_lines(file), anchor=anchor, progress=done)
    except OSError as error:
        raise UsageProblem(f"{name} can't be read: {error.strerror}.") from error
    except NotAnEntry as error:
        raise UsageProblem(f"{name} is no export of the audit log: {error}.") from error


def _lines(file: IO[bytes]) -> Iterator[Any]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise NotAnEntry(f"line {number} is longer than 64 MB")
        if line.strip():
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise NotAnEntry(f"line {number} is not JSON ({error})") from error


def _local(report: Report) -> dict[str, Any]:
    return {
        "valid": report.valid,
        "checked_count": report.checked_count,
        "first_seq": report.first_seq,
        "last_seq": report.last_seq,
        "last_hash": report.last_hash,
        "unread_count": report.unread_count,
        "first_bad_seq": report.bad_seq,
        "problem": report.problem,
    }


def _shown(report: Report, tree: Tree | None = None) -> list[Any]:
    if not report.checked_count and report.problem is None:
        return [Text("There are no entries to check.", style="yellow")]
    if report.problem is not None:
        return [Text(f"Recomputed here: {report.problem}", style="red")]
    line = Text.assemble("Recomputed here: the chain ", ("holds", "green"))
    line.append(f", entries {report.first_seq} to {report.last_seq} ({report.checked_count})")
    parts: list[Any] = [line]
    if report.unread_count:
        noun = "entry is" if report.unread_count == 1 else "entries are"
        text = f"{report.unread_count} {noun} too large to be listed with content: only the links were checked there."
        parts.append(Text(text, style="yellow"))
    parts += tree.shown() if tree else []
    parts.append(noted(tree or Tree("unsigned"), report.last_seq, report.last_hash))
    return parts


command(audit, "mirror")(mirror_log)


@command(audit, "export")
def export(
    session: Session,
    file: Annotated[str, typer.Argument(help="Where to write: JSON Lines, oldest first.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write all entries that you may see to a file, for `audit verify --offline` or any other check."""
    target = Path(file)
    if target.exists() and not force:
        raise UsageProblem(f"{file} exists already; give another name, or --force.")
    fields = given(only_site=session.site)
    try:
        count = _write(session, target, fields)
    except OSError as error:
        raise UsageProblem(f"{file} can't be written: {error.strerror}.") from error
    session.emit({"file": file, "count": count}, Text(f"{count} entries written to {file}."))


def _write(session: Session, target: Path, fields: dict[str, Any]) -> int:
    """The pages come newest first: they go to a scratch file, and from there line by line in reverse order."""
    starts: list[int] = []
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".export-")
    try:
        with tempfile.TemporaryFile(dir=target.parent) as scratch, os.fdopen(descriptor, "wb") as out:
            with session.progress("Exporting", None) as done:
                for page in session.client.pages("audit.entries.list", limit=500, **fields):
                    for entry in page:
                        starts.append(scratch.tell())
                        scratch.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
                    done(len(starts))
            for start in reversed(starts):
                scratch.seek(start)
                out.write(scratch.readline())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return len(starts)
