"""``headgate signal …`` and ``headgate report …``: what is sent in."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from libs.client.completion import subjects
from libs.client.errors import ApiError, UsageProblem
from libs.client.files import read_input
from libs.client.http import given, read_as
from libs.client.packing import pack_input
from libs.client.proofs import SITE_SUBJECT, Proofs
from libs.client.session import Session, command
from libs.client.show import clean, table
from libs.common.contracts.governance.reports import FORMATS, PARTS_INSIDE
from libs.common.contracts.governance.signals import MAX_SIGNALS, SignalReceipt, SignalReceipts
from libs.common.contracts.names import MAX_NAME_CHARS as MAX_PART_CHARS
from libs.judge.report_base import DEFAULT_PART, file_part

signals = typer.Typer(no_args_is_help=True, help="Signals: what gates judge by.")
reports = typer.Typer(no_args_is_help=True, help="Reports as tools write them.")

SubjectOption = Annotated[
    str | None, typer.Option("--subject", help="The software that this is about.", autocompletion=subjects)
]
VersionOption = Annotated[str | None, typer.Option("--version", help="Its version.")]
DigestOption = Annotated[
    str | None, typer.Option("--artifact-digest", help="The digest of the artifact: sha256: and 64 digits.")
]
PartOption = Annotated[str | None, typer.Option("--part", help="Which of several of a kind, such as unit.")]
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MAX_NAME_CHARS = 512
ABOUT_ONE_FILE = (413, 422)  # refusals that say nothing of the other files
NOT_PART = re.compile(r"[^A-Za-z0-9._:-]+")


@command(signals, "send")
def send_signal(
    session: Session,
    file: Annotated[
        str, typer.Argument(help="JSON: a CloudEvent, a list of them, or with --kind the data; - is stdin.")
    ],
    kind: Annotated[
        str | None, typer.Option("--kind", help="The file holds the data of one signal of this kind.")
    ] = None,
    subject: SubjectOption = None,
    version: VersionOption = None,
    artifact_digest: DigestOption = None,
    part: PartOption = None,
    source: Annotated[str, typer.Option("--source", help="Who says it; with --kind.")] = "headgate-cli",
    event_id: Annotated[
        str | None, typer.Option("--id", help="The event's id, unique with its source; with --kind.")
    ] = None,
) -> int:
    """Send signals as CloudEvents. Exit code 1: recorded, but not valid."""
    content = _parsed(file)
    if kind is not None:
        event = {"specversion": "1.0", "id": event_id or str(uuid.uuid4()), "source": source, "type": kind}
        events: list[Any] = [{**event, **given(part=part), "datacontenttype": "application/json", "data": content}]
    elif part or event_id:
        raise UsageProblem("--part and --id belong to --kind; a CloudEvent says them itself.")
    else:
        events = content if isinstance(content, list) else [content]
    answers = []
    with session.progress("Sending signals", len(events)) as done:
        for start in range(0, len(events), MAX_SIGNALS):
            batch = events[start : start + MAX_SIGNALS]
            answers.append(
                session.client.send(
                    "governance.signal.record", orjson.dumps(batch), BATCH,
                    **given(subject=subject, version=version, artifact_digest=artifact_digest),
                    **session.sited,
                )
            )  # fmt: skip
            done(start + len(batch))
    return _receipts(session, answers)


def _parsed(file: str) -> Any:
    try:
        return orjson.loads(read_input(file))
    except orjson.JSONDecodeError as error:
        raise UsageProblem(f"{file} is not JSON: {error}.") from error


@command(reports, "send")
def send_reports(
    session: Session,
    report_format: Annotated[str, typer.Argument(metavar="FORMAT", help=", ".join(FORMATS))],
    files: Annotated[list[str], typer.Argument(help="The reports; - is stdin.")],
    subject: SubjectOption = None,
    version: VersionOption = None,
    artifact_digest: DigestOption = None,
    part: PartOption = None,
    source: Annotated[str | None, typer.Option("--source", help="Who made the report.")] = None,
    sign_with: Annotated[
        str | None,
        typer.Option("--sign-with", help="A private key (PEM); it signs each report as it is sent."),
    ] = None,
    signature: Annotated[
        str | None, typer.Option("--signature", help="What `cosign attest-blob` wrote about the one report.")
    ] = None,
    token_variable: Annotated[
        str | None, typer.Option("--identity-token", help="The variable with the identity token of the CI's job.")
    ] = None,
) -> int:
    """Send reports of tools. Several of one kind are kept apart by their files' names. Exit code 1: not valid.

    A file that is refused does not keep the others from being sent; it ends with exit code 1, too.
    """
    if report_format not in FORMATS:
        raise UsageProblem(f"{report_format!r} is no format that is read; these are: {', '.join(FORMATS)}.")
    if signature and len(files) > 1:
        raise UsageProblem("--signature is about one report; send the files one by one.")
    if part and len(files) > 1:
        raise UsageProblem("--part names one report; send several files one by one, or without --part.")
    parts = _parts(report_format, files) if part is None else {files[0]: part}
    # Nothing is sent if one of them can't be read. An empty one is sent: it must not leave an older one in charge.
    answers: list[Any] = []
    refused: list[str] = []
    with contextlib.ExitStack() as open_files:
        packed = [(file, open_files.enter_context(contextlib.closing(pack_input(file)))) for file in files]
        prove = Proofs(signature, sign_with, token_variable)
        for file, content in packed:
            told = parts.get(file) or (DEFAULT_PART if file == "-" else file_part(Path(file).name[-MAX_NAME_CHARS:]))
            sent = (session.site or "global", subject or SITE_SUBJECT, version or "", report_format, told)
            content.proofs = prove.of(sent, content.sha256, Path(file).name)
        total, before = sum(content.packed_size for _, content in packed), 0
        with session.progress("Sending reports", total, in_bytes=True) as done:
            for file, content in packed:
                content.told = partial(_tell, done, before)
                name = None if file == "-" else Path(file).name[-MAX_NAME_CHARS:]
                about = given(subject=subject, version=version, artifact_digest=artifact_digest)
                fields = about | given(part=parts.get(file), source=source, file=name)
                try:
                    answers.append(
                        session.client.send(
                            "governance.report.record",
                            content,
                            "application/octet-stream",
                            format=report_format,
                            **fields,
                            **session.sited,
                        )
                    )
                except ApiError as error:
                    if len(files) == 1 or error.status not in ABOUT_ONE_FILE:
                        raise
                    refused.append(f"headgate: {file} is refused: {error}")
                before += content.packed_size
    code = _receipts(session, answers)
    for sentence in refused:
        session.note(sentence)
    return 1 if refused else code


def _tell(done: Callable[[int], None], before: int, sent: int) -> None:
    done(before + sent)


def _parts(report_format: str, files: list[str]) -> Mapping[str, str]:
    """A part for each file; scanners and alert groups name themselves inside their reports."""
    if report_format in PARTS_INSIDE:
        return {}
    named = [file for file in files if file != "-"]
    parts = {file: _part(Path(file).stem.strip()) for file in named}
    if len(set(parts.values())) != len(named) or len(files) - len(named) > 1:
        raise UsageProblem("Several files have the same name, which tells the reports apart; send them with --part.")
    return parts


def _part(stem: str) -> str:
    """In plain ASCII letters; what has others stays as it is, since without them two files would be one part."""
    if not stem.isascii() and stem.isprintable():
        return _short(stem, MAX_PART_CHARS)
    return _short(NOT_PART.sub("-", stem).lstrip("-._:"), 80) or "report"


def _short(name: str, max_chars: int) -> str:
    """A cut name ends in a hash of the whole, so that two long names with one beginning stay two parts."""
    if len(name) <= max_chars:
        return name
    return f"{name[: max_chars - 15]}...{sha256(name.encode()).hexdigest()[:12]}"


def _receipts(session: Session, answers: list[Any]) -> int:
    receipts: list[SignalReceipt] = []
    for answer in answers:
        receipts += read_as(SignalReceipts, answer).items
    rows = [
        (one.signal_id, one.kind, one.part, one.subject, one.version, _state(one), one.problems) for one in receipts
    ]
    columns = ("signal", "kind", "part", "subject", "version", "state", "problems")
    said = [line for one in receipts for line in _said(one)]
    session.emit(answers[0] if len(answers) == 1 else answers, table(columns, rows), *said)
    incomplete = sum(one.incomplete for one in receipts)
    if incomplete:
        session.note(f"headgate: {incomplete} of {len(receipts)} reports are incomplete and will fail their rule.")
    invalid = sum(not one.valid for one in receipts)
    if invalid:
        session.note(f"headgate: {invalid} of {len(receipts)} signals are not valid and will fail their rule.")
    return 1 if invalid else 0


def _said(receipt: SignalReceipt) -> list[Text]:
    """What was read of a report, and below it what was odd."""
    summary = [Text(clean(f"{receipt.part}: {receipt.summary}"))] if receipt.summary else []
    return [*summary, *(Text(clean(f"  note: {note}")) for note in receipt.notes)]


def _state(receipt: SignalReceipt) -> str:
    words = ["recorded" if receipt.valid else "not valid"]
    if receipt.incomplete:
        words[0] += " as incomplete"
    if receipt.duplicate:
        words = ["known already"]
    if not receipt.judged:
        words.append("no policy judges it")
    return ", ".join(words)
