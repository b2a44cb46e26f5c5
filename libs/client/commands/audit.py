"""``headgate audit …``: read the log, take it out, and check it without believing the server."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import typer
from rich.text import Text

from libs.client.commands.audit_archive import archive
from libs.client.commands.audit_conflicts import witness_conflicts
from libs.client.commands.audit_mirror import in_order, mirror_log
from libs.client.commands.audit_receipt import receipt
from libs.client.commands.audit_server import verify_by_server
from libs.client.commands.audit_since import read_verified, write_verified
from libs.client.commands.audit_told import as_json, exit_code, proven, shown
from libs.client.commands.audit_tree import (
    ENTRIES_FILE,
    Check,
    Tree,
    folder_tile,
    from_folder,
    older_checkpoint,
    online,
    server_tile,
    trusted_keys,
)
from libs.client.commands.audit_witness import witness_log
from libs.client.commands.audit_witnessed import WitnessAge, WitnessCount, WitnessKeys, WitnessUrls, quorum_of
from libs.client.errors import BadAnswer, UsageProblem
from libs.client.http import Client, given, read_as
from libs.client.session import Session, command
from libs.client.tree_check import Differs
from libs.client.verify import Anchor, NotAnEntry, Report, masked, verify
from libs.common.cells import table
from libs.common.contracts.audit.chain import Verification
from libs.common.contracts.audit.entries import Entry, list_entries
from libs.common.contracts.base import Csv, Page
from libs.tlog.notes import Verifier

audit = typer.Typer(no_args_is_help=True, help="The audit log: a hash chain that anybody can recompute.")

AS_CSV = list_entries.http.csv if list_entries.http and list_entries.http.csv else Csv("items", (), "")
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
    witness: WitnessUrls = None,
    witness_key: WitnessKeys = None,
    witnesses: WitnessCount = None,
    witness_max_age: WitnessAge = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="FILE", help="Verify only what is new since the run that wrote this file."),
    ] = None,
    server: Annotated[
        bool, typer.Option("--server", help="Have the server verify all of it as a job, and follow that.")
    ] = False,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="With --server: only what is new since its last valid verification.")
    ] = False,
) -> int:
    """Verify the log: chain and signed tree, from the entries to the signature, by the server and again here.

    Exit code 0: it holds, 1: it is broken, 2: something could not be checked here.
    """
    anchor, keys = _anchor(head), trusted_keys(key or [])
    older = older_checkpoint(checkpoint, keys)
    quorum = quorum_of(witness_key or [], witnesses, witness_max_age, time.time())
    if witness and (folder is not None or offline is not None):
        raise UsageProblem("--witness asks for the log's newest checkpoint; it goes with the server only.")
    if quorum and offline is not None:
        raise UsageProblem("An export has no checkpoint that a witness could have cosigned; use `audit mirror`.")
    if server or incremental:
        if not server or head or folder or offline or checkpoint or witness or since or key or quorum:
            raise UsageProblem("--server goes with --incremental only: the server uses its own keys and checkpoints.")
        return verify_by_server(session, incremental=incremental)
    if since is not None:
        if head or folder or offline or checkpoint or witness or quorum:
            raise UsageProblem("--since goes on from its own file; of the other options only --key goes with it.")
        return _verify_since(session, Path(since), keys)
    if folder is not None:
        return _verify_folder(session, Path(folder), anchor, from_folder(Path(folder), keys, older, quorum))
    if offline is not None:
        report = _verify_file(session, offline, anchor)
        session.emit({"valid": report.valid, "local": as_json(report)}, *shown(report))
        return exit_code(report.sound, report)
    _require_all_sites(session.client)
    checks = _server_checks(session)
    return _verify_whole(session, checks, online(session.client, keys, older, witness, quorum), anchor)


def _verify_whole(session: Session, checks: list[Verification], tree_check: Check, anchor: Anchor | None) -> int:
    """All entries here, beside what the server said of them."""
    last = checks[-1]
    server_valid = all(check.valid for check in checks)
    # The server's head is the mark to meet: entries that came meanwhile lie behind it and are checked too.
    wanted = Anchor(last.head_seq, last.head_hash) if last.head_seq else None
    report = _verify_server(session, wanted, tree_check) if wanted else verify(())
    tree = tree_check.end(server_tile(session.client)) if report.sound or not last.head_seq else Tree("unsigned")
    if anchor is not None and report.sound and (problem := _noted_differs(session.client, anchor)):
        report = replace(report, bad_seq=anchor.seq, problem=problem)
    by_server = {
        "valid": server_valid,
        "checked_count": sum(check.checked_count for check in checks),
        "head_seq": last.head_seq,
        "head_hash": last.head_hash,
        "first_bad_seq": last.first_bad_seq,
        "problem": last.problem,
    }
    sound = server_valid and (report.sound or not last.head_seq) and tree.valid
    said = Text("holds", style="green") if server_valid else Text(f"is broken: {last.problem}", style="red")
    line = Text.assemble("The server says: the chain ", said, f" ({by_server['checked_count']} entries)")
    answer = {
        "valid": proven(sound, report, tree),
        "server": by_server,
        "local": as_json(report),
        "tree": tree.answer(),
    }
    session.emit(answer, line, *shown(report, tree))
    return exit_code(sound, report, tree)


def _require_all_sites(client: Client) -> None:
    if "*" not in client.me().sites:
        raise UsageProblem(
            "Your scope has not all sites, so the entries have gaps for you; ask an auditor of all sites."
        )


def _verify_since(session: Session, path: Path, keys: list[Verifier]) -> int:
    """What is new since the last run, chain and tree, up to the newest checkpoint; then note how far that is."""
    client, before = session.client, read_verified(path)
    _require_all_sites(client)
    check, start = online(client, keys, []), before.checkpoint.size if before else 0
    if check.note is None and check.problem is None:
        raise UsageProblem("The log is not signed (yet); headgate audit state says why.")
    report, point = verify(()), check.checkpoint
    if check.problem is None and point is not None and before is not None:
        check.problem = before.contradiction(point)
        if check.problem is None:
            check.go_on(start, before.growth())
    if check.problem is None and point is not None and point.size:
        with session.progress("Checking what is new", point.size - start) as done:
            try:
                new = check.passing(_back_to(client, point.size, start))
                report = verify(new, anchor=before.anchor if start and before else None, whole=not start, progress=done)
            except NotAnEntry as error:
                raise BadAnswer(f"The server lists something that is no entry: {error}.") from error
    tree = check.end(server_tile(client)) if report.problem is None else Tree("unsigned")
    sound = tree.state == "signed" and report.problem is None
    answer = {
        "valid": proven(sound, report, tree),
        "since_size": start,
        "local": as_json(report),
        "tree": tree.answer(),
    }
    said = shown(report, tree) if report.checked_count or report.problem else tree.shown()
    session.emit(answer, Text(f"The first {start} entries were verified before."), *said)
    code = exit_code(sound, report, tree)
    if code == 0 and point is not None and check.grown is not None:
        write_verified(path, point, report.last_hash, check.grown)
    return code


def _back_to(client: Client, size: int, start: int) -> Iterator[Any]:
    """The entries up to ``size``, newest first, down to the last one that was verified before."""
    for page in client.pages("audit.entries.list", limit=500, cursor=str(size + 1)):
        for entry in page:
            if isinstance(entry, dict) and isinstance(entry.get("seq"), int) and entry["seq"] < start:
                return
            yield entry


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
    sound = tree.valid and report.problem is None
    answer = {"valid": proven(sound, report, tree), "local": as_json(report), "tree": tree.answer()}
    session.emit(answer, *(shown(report, tree) if report.checked_count or report.problem else tree.shown()))
    return exit_code(sound, report, tree)


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


audit.add_typer(receipt, name="receipt")
audit.add_typer(archive, name="archive")
command(audit, "mirror", judges=True)(mirror_log)
command(audit, "witness")(witness_log)
command(audit, "witness-conflicts", judges=True)(witness_conflicts)


Only = Annotated[str | None, typer.Option(help="Only entries that have this.")]


@command(audit, "export")
def export(
    session: Session,
    file: Annotated[str, typer.Argument(help="Where to write, oldest first.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, instead of one JSON object a line.")] = False,
    actor: Only = None,
    action: Only = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only entries that have this.")] = None,
    resource_type: Only = None,
    resource_id: Only = None,
    outcome: Only = None,
    issue: Only = None,
    trace_id: Only = None,
    correlationid: Only = None,
    causationid: Only = None,
    text: Only = None,
    after: Annotated[str | None, typer.Option(help="Only from this time on (RFC 3339).")] = None,
    before: Annotated[str | None, typer.Option(help="Only before this time (RFC 3339).")] = None,
) -> None:
    """Write entries that you may see to a file: all of them, or those that the options leave.

    All of them, not as CSV, are for `audit verify --offline` or any other check.
    """
    target = Path(file)
    if target.exists() and not force:
        raise UsageProblem(f"{file} exists already; give another name, or --force.")
    fields = given(
        only_site=session.site, actor=actor, action=action, type=type_, resource_type=resource_type,
        resource_id=resource_id, outcome=outcome, issue=issue, trace_id=trace_id, correlationid=correlationid,
        causationid=causationid, text=text, after=after, before=before,
    )  # fmt: skip
    try:
        count, hidden = _write(session, target, fields, as_csv=as_csv)
    except OSError as error:
        raise UsageProblem(f"{file} can't be written: {error.strerror}.") from error
    if hidden:
        session.note(f"{len(hidden)} of them can't be verified: {masked(hidden[-1])}.")
    session.emit({"file": file, "count": count}, Text(f"{count} entries written to {file}."))


def _write(session: Session, target: Path, fields: dict[str, Any], *, as_csv: bool) -> tuple[int, list[int]]:
    """The pages come newest first: they go to a scratch file, and from there line by line in reverse order.

    How many entries, and those (newest first) that are shown without what is personal in them.
    """
    starts: list[int] = []
    hidden: list[int] = []
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".export-")
    try:
        with tempfile.TemporaryFile(dir=target.parent) as scratch, os.fdopen(descriptor, "wb") as out:
            pages = session.client.pages("audit.entries.list", limit=500, **fields)
            page: list[Any] | None = next(pages, [])
            newest = page[0]["seq"] if page else 0  # the numbers run down to 1, which says how far it is
            with session.progress("Exporting", newest) as done:
                while page is not None:
                    for entry in page:
                        starts.append(scratch.tell())
                        if entry.get("masked"):
                            hidden.append(entry["seq"])
                        scratch.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
                    if page:
                        done(newest - page[-1]["seq"] + 1)
                    page = next(pages, None)
            if as_csv:
                out.write(table(AS_CSV.columns, ()).encode())
            for start in reversed(starts):
                scratch.seek(start)
                line = scratch.readline()
                row = table(AS_CSV.columns, AS_CSV.filled([orjson.loads(line)])) if as_csv else ""
                out.write(row.partition("\r\n")[2].encode() if as_csv else line)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return len(starts), hidden
