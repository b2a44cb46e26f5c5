"""Reports as tools wrote them: unpacked within bounds, parsed, and stored as signals."""

from __future__ import annotations

import asyncio
import base64
import codecs
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

from libs.common.contracts.governance import reports as contract
from libs.common.contracts.governance.reports import PARTS_INSIDE, ReportRecord
from libs.common.contracts.governance.signals import SignalReceipts
from libs.common.objects import Bucket
from libs.common.problems import Invalid, TooLarge
from libs.common.service import Refused, Table, Tx
from libs.judge.facts import Seen
from libs.judge.report_base import DEFAULT_PART, file_part, joined_part
from services.governance.catalog import SITE_SUBJECT, Catalog
from services.governance.domain.readers.alertmanager import parse_by_label
from services.governance.domain.readers.reports import TABLE, BadReport, ParsedSignal, parse_report
from services.governance.inputs.alert_groups import known_subjects, tell_apart
from services.governance.inputs.heads import Sender, note_report
from services.governance.inputs.originals import Original, keep, opened
from services.governance.inputs.signals import NewSignal, check_artifact, receipt, store
from services.governance.inputs.signers import NOBODY, Proof, proof_of

# A report that comes again this soon is a retry. Later it is news even if its bytes are the same: a scan that finds
# nothing writes the same file every day.
RETRY_WINDOW = timedelta(minutes=10)

# The facts in force, unless a report that can't be read is newer; and that one itself. Bytes that were gone when they
# were to be read and come again are no retry: now they can be read. Nor are those of
# another actor, source or signer.
SELECT_RETRIED = """
SELECT signals.source, signals.event_id, signals.digest
FROM unnest($4::text[], $5::text[], $6::bytea[]) AS new (kind, part, digest)
JOIN facts ON facts.site = $1 AND facts.subject = $2 AND facts.version = $3
    AND facts.kind = new.kind AND facts.part = new.part AND facts.voice = ''
JOIN signals ON signals.signal_id = facts.signal_id AND signals.digest = new.digest
    AND signals.actor = $10 AND signals.source = $11 AND coalesce(signals.signer, '') = $12
WHERE signals.received_at > $7 AND signals.valid = $9 AND NOT EXISTS (
    SELECT FROM report_heads AS heads
    WHERE heads.site = $1 AND heads.subject = $2 AND heads.version = $3 AND heads.kind = new.kind AND heads.sender = $8
        AND heads.voice = '' AND NOT heads.readable
)
UNION ALL
SELECT signals.source, signals.event_id, signals.digest
FROM unnest($4::text[], $6::bytea[]) AS new (kind, digest)
JOIN report_heads AS heads ON heads.site = $1 AND heads.subject = $2 AND heads.version = $3
    AND heads.kind = new.kind AND heads.sender = $8 AND heads.voice = '' AND NOT heads.readable
JOIN signals ON signals.signal_id = heads.signal_id AND signals.digest = new.digest
    AND signals.actor = $10 AND signals.source = $11 AND coalesce(signals.signer, '') = $12
WHERE signals.received_at > $7 AND NOT $9
"""
NO_ALERTS = "The Alertmanager body has no alerts, so it tells of nothing; send it with its alerts."
HEAD_BYTES = 1024  # kept of a report that can't be read


async def record_report(catalog: Catalog, bucket: Bucket, tx: Tx, body: ReportRecord) -> SignalReceipts | Refused:
    """Store a report's facts, and the report. One that can't be read is refused and yet kept, as the newest word of
    its sender.

    Raises `Invalid` where the sender's request is wrong, not the report; `TooLarge`.
    """
    kind = TABLE[body.format].kind
    name = _sender(body) + (f" by {body.subject_label}" if body.subject_label else "")
    about = Sender(kind, body.subject or SITE_SUBJECT, body.version or "", name)
    await catalog.check_version(tx.connection, kind, about.version, f"The {body.format} report")
    check_artifact(body.artifact_digest, about.version, f"The {body.format} report")
    proof = NOBODY
    async with opened(bucket, body) as original:
        try:
            if original.lost:
                raise BadReport(original.lost)
            proof = await proof_of(tx, body, about, original.sha256.hex(), receipt(tx))
            if body.subject_label is not None:
                return await _record_by_label(catalog, tx, body, about, original, body.subject_label)
            parsed = await asyncio.to_thread(parse_report, body.format, original.file)
            _check_not_empty(body, parsed)
        except BadReport as error:
            return await _keep_unread(catalog, tx, body, about, original, error.message, proof=proof)
        parts = [_part(body.part, one.part, about.name) for one in parsed]
        new = [
            _signal(tx, body, about, part, original, one.data, proof) for part, one in zip(parts, parsed, strict=True)
        ]
        # Alertmanager repeats the same body on purpose: each is a heartbeat.
        if body.format != "alertmanager":
            new = await _as_retries(tx, about, new)
        receipts = await store(tx, new)
        await keep(tx, original, body, receipts)
    await _note(catalog, tx, body, about, receipts, [about.subject], readable=True)
    return receipts


async def _record_by_label(
    catalog: Catalog, tx: Tx, body: ReportRecord, about: Sender, original: Original, label: str
) -> SignalReceipts | Refused:
    """Store a group of alerts as a signal of each subject. What no subject gets is refused, and the rest counts.

    Where a subject can't take it, it counts as one that can't be read: nobody may rely on an older word of any of them.
    Raises `BadReport`.
    """
    group = await asyncio.to_thread(parse_by_label, original.file, label)
    if not group.alerts:
        raise BadReport(NO_ALERTS)
    part = group.part if body.part is None else joined_part(body.part, group.part)
    known = await known_subjects(tx, about, part)
    told = tell_apart(body, about, group, known)
    new = [
        replace(
            _signal(tx, body, replace(about, subject=one.subject), part, original, one.data),
            problems=(one.problem,) if one.problem else (),
        )
        for one in told
    ]
    try:
        async with tx.connection.transaction():
            receipts = await store(tx, new)
    except Invalid as error:
        subjects = [one.subject for one in told]
        return await _keep_unread(catalog, tx, body, about, original, error.detail, subjects)
    await keep(tx, original, body, receipts)
    silent = [one.subject for one in known if not one.readable]
    await _note(catalog, tx, body, about, receipts, [*(one.subject for one in told), *silent], readable=True)
    lost = next((one.problem for one in told if one.problem), "")
    return Refused(Invalid(f"{lost} The others are stored.", stored=len(told) - 1)) if lost else receipts


def _check_not_empty(body: ReportRecord, parsed: list[ParsedSignal]) -> None:
    """Raise `BadReport` for a report that says nothing: it is no better than one that can't be read."""
    if not parsed:
        raise BadReport(f"The {body.format} report holds nothing to judge; send the file that the tool wrote.")
    if body.format == "alertmanager" and not parsed[0].data["alerts"]:
        raise BadReport(NO_ALERTS)


def _sender(body: ReportRecord) -> str:
    """What tells the reports of one kind apart before they are read: the sender's part, else the file's name."""
    return body.part or (file_part(body.file) if body.file else DEFAULT_PART)


def _part(asked: str | None, own: str, sender: str) -> str:
    """The sender's part; where the report names parts itself (scanners, alert groups), it goes before theirs."""
    if own == DEFAULT_PART:
        return sender
    return own if asked is None else joined_part(asked, own)


def _signal(
    tx: Tx, body: ReportRecord, about: Sender, part: str, original: Original, data: Any, proof: Proof = NOBODY
) -> NewSignal:
    artifact = body.artifact_digest or ""
    named = "\n".join((body.format, about.subject, about.version, part, *([artifact] if artifact else []))).encode()
    digest = sha256(named + b"\n" + original.sha256).digest()
    source = body.source or f"/reports/{body.format}"
    # The command's id tells apart two deliveries of the same bytes; a retry is found by the digest instead.
    event_id = f"{digest.hex()}:{tx.message.id}"
    # When it was made by its signer's word: an old report that somebody sends again is an old one.
    time = proof.made_at or receipt(tx)
    return NewSignal(
        source, event_id, about.kind, part, about.subject, about.version, time, data, digest,
        signer=proof.signer, signer_ref=proof.ref, artifact_digest=artifact,
    )  # fmt: skip


async def _keep_unread(
    catalog: Catalog,
    tx: Tx,
    body: ReportRecord,
    about: Sender,
    original: Original,
    reason: str,
    subjects: Sequence[str] = (),
    proof: Proof = NOBODY,
) -> Refused:
    """Store what came as a broken signal, so that an older good one does not stay in charge, and refuse it.

    ``subjects``: whom it is about beside the one that the request names.
    """
    told: dict[str, Any] = {"format": body.format}
    if body.too_large is None:
        told |= {"bytes": original.size, "sha256": original.sha256.hex(), **_head(original.head(HEAD_BYTES))}
    broken = replace(_signal(tx, body, about, about.name, original, told, proof), problems=(reason,))
    # Where parts stand inside the report, this one is about parts that nobody knows: it is the sender's, no part's.
    receipts = await store(tx, await _as_retries(tx, about, [broken]), count=body.format not in PARTS_INSIDE)
    await keep(tx, original, body, receipts)
    known = [one.subject for one in await known_subjects(tx, about)] if body.subject_label else []
    await _note(catalog, tx, body, about, receipts, [*subjects, *known, about.subject], readable=False)
    signal_id = receipts.items[0].signal_id
    way = f"from a file named {body.file}" if body.file else "without part and file name"
    way = f"with part={body.part}" if body.part else way
    rules = f"the rules that read {about.kind} fail until one comes that can be read, sent in the same way ({way})"
    detail = f"{reason} It is kept as signal {signal_id}: {rules}."
    if body.too_large is not None:
        return Refused(TooLarge(detail, signal_id=signal_id, max_bytes=body.too_large.max_bytes))
    return Refused(Invalid(detail, signal_id=signal_id))


def _head(head: bytes) -> dict[str, str]:
    """The first kilobyte, as text if it is text that can be stored."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # a character may be cut at the end
    except UnicodeDecodeError:
        text = "\x00"
    return {"head_base64": base64.b64encode(head).decode()} if "\x00" in text else {"head": text}


async def _note(
    catalog: Catalog,
    tx: Tx,
    body: ReportRecord,
    about: Sender,
    receipts: SignalReceipts,
    subjects: Sequence[str],
    *,
    readable: bool,
) -> None:
    fresh = [item.signal_id for item in receipts.items if not item.duplicate]
    if fresh and body.format in PARTS_INSIDE and catalog.is_judged(about.kind):
        await note_report(tx, about, subjects, Seen(fresh[0], receipt(tx)), readable=readable)


async def _as_retries(tx: Tx, about: Sender, new: list[NewSignal]) -> list[NewSignal]:
    """The same signals, but those that are the fact in force already under the key that they have there."""
    rows = await tx.connection.fetch(
        SELECT_RETRIED,
        tx.site,
        about.subject,
        about.version,
        [one.kind for one in new],
        [one.part for one in new],
        [one.digest for one in new],
        tx.message.time - RETRY_WINDOW,
        about.name,
        not new[0].problems,
        tx.actor,
        new[0].source,
        new[0].signer,
    )
    keys = {row["digest"]: (row["source"], row["event_id"]) for row in rows}
    return [
        replace(one, source=keys[one.digest][0], event_id=keys[one.digest][1]) if one.digest in keys else one
        for one in new
    ]


def table(catalog: Catalog, bucket: Bucket) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        commands={contract.record_report: partial(record_report, catalog, bucket)},
    )
