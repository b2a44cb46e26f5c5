"""``headgate audit archive …``: months of the log as files, made by the server and verified without it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from libs.client.commands.audit_receipt import entry_of
from libs.client.commands.audit_tree import trusted_keys
from libs.client.errors import ApiError, BadAnswer, UsageProblem
from libs.client.files import read_input
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import clean, facts
from libs.client.verify import NotAnEntry, verify
from libs.common.contracts.audit.archive_verifications import ArchiveVerification
from libs.common.contracts.audit.archives import archive_made
from libs.tlog.archive_check import ArchiveProblem, Verified, check_archive, keys_in
from libs.tlog.archives import check_csv, csv_name, signed_text
from libs.tlog.mldsa import ML_DSA_44
from libs.tlog.notes import NoteProblem, Verifier
from libs.tlog.receipts import MAX_RECEIPT_BYTES, Receipt
from libs.tlog.stamps import StampProblem, read_roots, verify_stamp

archive = typer.Typer(no_args_is_help=True, help="Archives: months of the log in signed files.")

LOOK_EVERY_S = 0.3
STAGES = {
    "reading": "Reading the store",
    "files": "Checking files",
    "tree": "Checking the tree",
    "entries": "Checking entries",
}
MonthArgument = Annotated[str, typer.Argument(metavar="MONTH", help="A month by UTC, such as 2026-10.")]


@command(archive, "make")
def make(session: Session, month: MonthArgument) -> None:
    """Archive a month now. One that is over is frozen: its archive is never replaced."""
    made = session.client.call("audit.archive.make", month=month)
    session.emit(made, *_shown(made))


@command(archive, "list")
def list_all(session: Session) -> None:
    """List the archives, newest month first."""
    found = session.client.call("audit.archives.list")
    lines = [f"{one['month']}  {one['state']:6}  {one['entry_count']:>9} entries  {one['sha256']}" for one in found]
    session.emit(found, *(Text(clean(line)) for line in lines or ["There are no archives yet."]))


@command(archive, "show")
def show(session: Session, month: MonthArgument) -> None:
    """Show what lies in the store of a month."""
    found = session.client.call("audit.archives.get", month=month)
    session.emit(found, *_shown(found))


@command(archive, "get")
def get(
    session: Session,
    month: MonthArgument,
    output: Annotated[str | None, typer.Option("--output", help="Where to write; - is stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Download the archive of a month."""
    session.save("audit.archives.content", _target(output, f"audit-archive-{month}.zip", force), month=month)


def _target(output: str | None, name: str, force: bool) -> str:
    """Where to write. Raises `UsageProblem` if that exists and is not to be replaced."""
    target = output or name
    if target != "-" and Path(target).exists() and not force:
        raise UsageProblem(f"{target} exists already; give another name, or --force.")
    return target


@command(archive, "csv")
def csv(
    session: Session,
    month: MonthArgument,
    version: Annotated[str, typer.Option("--format-version", help="v1, or v2 with more columns.")] = "v1",
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="The log's public key, or its file: checks the signature."),
    ] = None,
    output: Annotated[str | None, typer.Option("--output", help="Where to write; - is stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Download the entries of an archived month as CSV. With --key nothing is written that this key has not signed."""
    keys, target = trusted_keys(key or []), _target(output, csv_name(month, version), force)

    def check(headers: Mapping[str, str]) -> None:
        sha256, signature = headers.get("etag", "").strip('"'), headers.get("x-audit-archive-signature", "")
        try:
            check_csv(signature, month, version, sha256, keys)
        except NoteProblem as error:
            raise BadAnswer(f"The file is not written: {error}.") from error

    session.save("audit.archives.csv", target, check if keys else None, month=month, format_version=version)
    if not keys:
        session.note("Its signature was not checked: give the log's key with --key.")
    elif any(one.kind == ML_DSA_44 for one in keys):
        session.note(
            "It is signed by the Ed25519 key only; `headgate audit archive verify` proves the archive by both."
        )


@command(archive, "timestamp")
def timestamp(
    session: Session,
    month: MonthArgument,
    output: Annotated[str | None, typer.Option("--output", help="Where to write; - is stdout.")] = None,
) -> None:
    """Download the time stamp of a frozen archive (RFC 3161)."""
    session.save("audit.archives.stamp", output or f"audit-archive-{month}.tsr", month=month)


@command(archive, "verify", judges=True)
def verify_file(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="An archive, or a month: then the server verifies its.")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="The log's public key, or its file; may be repeated."),
    ] = None,
    stamp: Annotated[
        str | None,
        typer.Option("--timestamp", metavar="TSR", help="Its time stamp (RFC 3161); --tsa-ca must be given."),
    ] = None,
    tsa_ca: Annotated[
        str | None, typer.Option("--tsa-ca", metavar="PEM", help="Certificates that the authority's must lead to.")
    ] = None,
    receipt: Annotated[
        str | None,
        typer.Option("--receipt", metavar="FILE", help="The receipt of the entry that says it was made."),
    ] = None,
) -> int:
    """Verify an archive without asking anybody: signature, every file, the tree, the chain of its entries.

    Exit code 0: it holds, 1: it does not, 2: it can't be read, or not all of it can be proven here. Of a month
    (2026-10) the server reads its stored file.
    """
    if not Path(file).exists() and len(file) == 7 and file[4] == "-":
        return _by_server(session, file)
    keys, trusted = trusted_keys(key or []), bool(key)
    proof, stamped = _receipt(receipt, keys), None
    try:
        with Path(file).open("rb") as opened, session.stages(STAGES) as told:
            try:
                seen = check_archive(opened, keys or keys_in(opened), _chain_problem, told)
                if proof is not None:
                    _require_made(seen, proof, keys)
                if stamp is not None:
                    stamped = _stamped(seen, stamp, tsa_ca)
            except (ArchiveProblem, StampProblem, NoteProblem) as error:
                session.emit({"valid": False, "problem": str(error)}, _broken(str(error)))
                return 1
    except OSError as error:
        raise UsageProblem(f"{error.filename or file} can't be read: {error.strerror}.") from error
    unproven = _unproven(seen)
    answer = {
        "valid": unproven is None, "problem": unproven, "trusted": trusted, "stamped_at": stamped, **_answer(seen),
    }  # fmt: skip
    more = [Text(f"The authority saw it at {stamped}.")] if stamped else []
    more += [Text(f"Not proven here: {unproven}.", style="yellow")] if unproven else []
    session.emit(answer, *_held(seen, trusted), *more)
    return 2 if unproven else 0


def _unproven(seen: Verified) -> str | None:
    """What an archive can't show by itself."""
    if not seen.erased_count:
        return None
    return (
        f"entry {seen.erased_seq} has no body ({seen.erased_count} in all), and the entry that would say that it was "
        "removed is of a later month; headgate audit verify looks for it in the log"
    )


def _stamped(seen: Verified, stamp: str, tsa_ca: str | None) -> str:
    """When the authority saw what is signed of the archive."""
    if tsa_ca is None:
        raise UsageProblem("--timestamp needs --tsa-ca: without it anybody could have made the stamp.")
    try:
        roots = read_roots(Path(tsa_ca).read_bytes())
    except StampProblem as error:
        raise UsageProblem(f"--tsa-ca {clean(tsa_ca)}: {error}.") from error
    text = signed_text(seen.manifest["origin"], seen.manifest["month"], seen.manifest_sha256)
    return verify_stamp(Path(stamp).read_bytes(), text, roots).isoformat()


def _receipt(name: str | None, keys: list[Verifier]) -> Receipt | None:
    """Raises `UsageProblem` for what is no receipt, and where there must be one."""
    if name is None:
        if any(one.kind == ML_DSA_44 for one in keys):
            raise UsageProblem(
                "An archive itself is signed with Ed25519. To prove it by the ML-DSA-44 key, too, give --receipt, the "
                "receipt of its entry audit.archive.made: headgate audit entries --action audit.archive.made names it."
            )
        return None
    if not keys:
        raise UsageProblem("--receipt needs --key: without it anybody could have made the receipt.")
    try:
        return Receipt.read(read_input(name, MAX_RECEIPT_BYTES).decode())
    except (NoteProblem, UnicodeDecodeError) as error:
        raise UsageProblem(f"--receipt {clean(name)}: {error}.") from error


def _require_made(seen: Verified, proof: Receipt, keys: list[Verifier]) -> None:
    """The log itself, signed by each kind of key, says that it made this very archive. Raises `NoteProblem`."""
    entry, _ = entry_of(proof, keys)
    try:
        data = json.loads(entry["payload"])["data"]
        named = (entry["type"], data["month"], data["manifest_sha256"]) == (
            archive_made.type, seen.manifest["month"], seen.manifest_sha256
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        named = False
    if not named:
        raise NoteProblem("the receipt is not of the entry that says that this archive was made")


def _by_server(session: Session, month: str) -> int:
    """Within the time of an answer where that suffices, else in the background; ended here, that goes on there."""
    try:
        found = session.client.call("audit.archives.verify", month=month)
    except ApiError as error:
        if error.status != 413:
            raise
        found = _in_background(session, month)
    if found.get("status") == "unable":
        session.emit(found, Text(f"Not checked: {clean(found['problem'])}", style="yellow"))
        return 2
    said = Text(f"The stored archive of {clean(found['month'])} holds, says the server.", style="green")
    session.emit(found, said if found["valid"] else _broken(found["problem"]))
    return 0 if found["valid"] else 1


def _in_background(session: Session, month: str) -> dict[str, Any]:
    """Begin a verification and follow it to its end; what came of it, ``valid`` added."""
    run = read_as(ArchiveVerification, session.client.call("audit.archive_verification.start", month=month))
    session.note(f"The server verifies in the background: headgate archive-verifications show {run.number}.")
    with session.stages(STAGES) as told:
        while run.status == "running":
            told(run.stage, run.stage_done, run.stage_total)
            time.sleep(LOOK_EVERY_S)
            run = read_as(
                ArchiveVerification, session.client.call("audit.archive_verifications.get", number=run.number)
            )
    return {"valid": run.status == "valid", **run.model_dump(mode="json")}


def _chain_problem(lines: Iterator[bytes]) -> str | None:
    """The client's own arithmetic, which shares nothing with the server's."""
    try:
        report = verify((json.loads(line) for line in lines), whole=False)
    except NotAnEntry as error:
        return str(error)
    return report.problem


def _answer(seen: Verified) -> dict[str, Any]:
    names = ("month", "origin", "first_seq", "last_seq", "entry_count", "root_hash", "last_entry_hash", "attachments")
    return {name: seen.manifest[name] for name in names} | {
        "file_count": seen.file_count,
        "manifest_sha256": seen.manifest_sha256,
    }


def _held(seen: Verified, trusted: bool) -> list[Any]:
    said = seen.manifest
    line = Text.assemble("The archive ", ("holds", "green"), f": {clean(said['month'])} of {clean(said['origin'])}.")
    rows = [
        ("entries", f"{said['first_seq']} to {said['last_seq']} ({seen.entry_count})"),
        ("signed tree", f"{seen.checkpoint.size} entries, root {seen.checkpoint.root.hex()}"),
        ("files", str(seen.file_count)),
        ("rehearsal", clean(said["attachments"]["dr_rehearsal_attachment"]["message"])),
        ("capsules", f"{said['attachments']['capsules']['count']}"),
    ]
    parts: list[Any] = [line, facts(rows)]
    if not trusted:
        said_so = "The key was taken from the archive itself; give yours with --key to be sure."
        parts.append(Text(said_so, style="yellow"))
    return parts


def _broken(problem: str) -> Text:
    return Text(f"The archive does NOT hold: {clean(problem).rstrip('.')}.", style="red")


def _shown(made: dict[str, Any]) -> list[Any]:
    rows = [
        ("month", f"{made['month']} ({made['state']})"),
        ("entries", f"{made['first_seq']} to {made['last_seq']} ({made['entry_count']})"),
        ("SHA-256", made["sha256"]),
        ("bytes", str(made["size_bytes"])),
        ("capsules", f"{made['capsule_count']}, left out {made['capsules_left_out']}"),
        ("rehearsal", "included" if made["dr_rehearsal_included"] else "there was none"),
    ]
    return [facts(rows)]
