"""``headgate audit receipt verify``: an event's place in the signed log, proven without asking anybody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from libs.client.commands.audit_tree import trusted_keys, witness_keys
from libs.client.errors import UsageProblem
from libs.client.files import read_input
from libs.client.session import Session, command
from libs.client.show import clean, facts
from libs.tlog.cosignatures import WitnessKey, witnessed_by
from libs.tlog.digests import entry_digest, unhashed_problem
from libs.tlog.notes import Checkpoint, NoteProblem, Verifier, read_note
from libs.tlog.quorum import moment_text
from libs.tlog.receipts import MAX_RECEIPT_BYTES, Receipt

receipt = typer.Typer(no_args_is_help=True, help="Receipts: files that prove that an event stands in the signed log.")

MAX_CAPSULE_BYTES = 64 * 1024 * 1024


@command(receipt, "verify", judges=True)
def verify_receipt(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The receipt (.tlog-proof); - is stdin.")],
    key: Annotated[list[str], typer.Option("--key", metavar="KEY", help="The log's public key, or its file.")],
    witness_key: Annotated[
        list[str] | None,
        typer.Option(
            "--witness-key",
            metavar="KEY",
            help="The key of a witness that must have cosigned, or its file; repeatable.",
        ),
    ] = None,
    capsule: Annotated[
        str | None, typer.Option("--capsule", metavar="CAPSULE", help="A capsule that the event must name.")
    ] = None,
) -> int:
    """Verify a receipt without asking anybody: signature, place in the tree, the event, and who cosigned.

    Exit code 0: it is proven, 1: it is not, 2: the files can't be read.
    """
    keys, witnesses = trusted_keys(key), witness_keys(witness_key or [])
    wanted = _capsule_digest(capsule) if capsule is not None else None
    try:
        proof = Receipt.read(read_input(file, MAX_RECEIPT_BYTES).decode())
        entry, point = entry_of(proof, keys)
        seen = _cosigned(proof, witnesses)
        if wanted is not None:
            _require_capsule(entry, wanted)
    except (NoteProblem, UnicodeDecodeError) as error:
        session.emit({"proven": False, "problem": str(error)}, Text(f"NOT PROVEN: {clean(str(error))}.", style="red"))
        return 1
    answer = {"proven": True, "entry": entry, "size": point.size, "origin": point.origin, "witnesses": seen}
    session.emit(answer, *_shown(entry, point, seen))
    return 0


def entry_of(proof: Receipt, keys: list[Verifier]) -> tuple[dict[str, Any], Checkpoint]:
    """The entry that the receipt brings along: it is believed because its digest is what was signed. What no digest
    covers is left out, or read out of what it does cover. Raises `NoteProblem`.
    """
    try:
        entry = json.loads(proof.extra)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise NoteProblem("the receipt does not bring its entry along, so that nothing can be said of it")
    try:
        point = proof.proven(entry_digest(entry), keys)
    except (UnicodeEncodeError, TypeError) as error:
        raise NoteProblem("the receipt's entry can't be read") from error
    payload = entry.get("payload")
    if entry.get("seq") != proof.index + 1:
        raise NoteProblem("the receipt's entry has another number than its place in the tree")
    if payload is not None and hashlib.sha256(str(payload).encode()).hexdigest() != entry.get("payload_sha256"):
        raise NoteProblem("the event in the receipt is not the one whose hash was signed")
    if (problem := unhashed_problem(entry)) is not None:
        raise NoteProblem(problem)
    return {name: value for name, value in entry.items() if name not in ("event", "erased_at")}, point


def _cosigned(proof: Receipt, witnesses: list[WitnessKey]) -> dict[str, str]:
    found = witnessed_by(read_note(proof.checkpoint), witnesses)
    missing = [one.name for one in witnesses if one not in found]
    if missing:
        raise NoteProblem(f"{', '.join(missing)} has not cosigned the checkpoint; ask for a new receipt a little later")
    return {one.name: moment_text(time_s) for one, time_s in found.items()}


def _capsule_digest(name: str) -> str:
    from libs.judge.capsule import canonical, digest

    try:
        return digest(canonical(json.loads(read_input(name, MAX_CAPSULE_BYTES))["body"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageProblem(f"{name} is no capsule.") from error


def _require_capsule(entry: Mapping[str, Any], wanted: str) -> None:
    try:
        named = json.loads(entry["payload"])["data"]["capsule_sha256"]
    except (ValueError, KeyError, TypeError):
        named = None
    if named != wanted:
        raise NoteProblem("the event does not name this capsule: it is of another decision, or was changed")


def _shown(entry: Mapping[str, Any], point: Checkpoint, seen: Mapping[str, str]) -> list[Any]:
    names = ("type", "subject", "site", "actor", "recorded_at", "outcome")
    rows = [("entry", f"{entry['seq']} of {point.size}, as {clean(point.origin)} signed")]
    rows += [(name, clean(entry[name])) for name in names if entry.get(name)]
    rows += [(f"cosigned by {clean(name)}", at) for name, at in seen.items()]
    return [Text("PROVEN: the event stands in the signed log.", style="green"), facts(rows)]
