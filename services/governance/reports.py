"""Reports as tools wrote them: unpacked within bounds, parsed, and stored as signals."""

from __future__ import annotations

import asyncio
import base64
import binascii
import zlib
from datetime import timedelta
from functools import partial
from hashlib import sha256

from libs.common.contracts.governance import reports as contract
from libs.common.contracts.governance.reports import ReportRecord
from libs.common.contracts.governance.signals import SignalReceipts
from libs.common.problems import Invalid, TooLarge
from libs.common.service import Table, Tx
from services.governance.catalog import SITE_SUBJECT, Catalog
from services.governance.domain.report_base import DEFAULT_PART, joined_part
from services.governance.domain.reports import MAX_REPORT_BYTES, BadReport, ParsedSignal, parse_report
from services.governance.signals import NewSignal, store

# A report that comes again this soon is a retry. Later it is news even if its bytes are the same: a scan that finds
# nothing writes the same file every day.
RETRY_WINDOW = timedelta(minutes=10)

SELECT_RETRIED = """
SELECT signals.source, signals.event_id, signals.digest
FROM unnest($4::text[], $5::text[], $6::bytea[]) AS new (kind, part, digest)
JOIN facts ON facts.site = $1 AND facts.subject = $2 AND facts.version = $3
    AND facts.kind = new.kind AND facts.part = new.part
JOIN signals ON signals.signal_id = facts.signal_id AND signals.digest = new.digest
WHERE signals.received_at > $7
"""


async def record_report(catalog: Catalog, tx: Tx, body: ReportRecord) -> SignalReceipts:
    """Store a report's facts. Raises `Invalid` with what is wrong with it, `TooLarge`."""
    content = await asyncio.to_thread(unpack, body.content_zlib_base64)
    try:
        parsed = await asyncio.to_thread(parse_report, body.format, content)
    except BadReport as error:
        raise Invalid(error.message) from error
    _refuse_empty(body, parsed)
    subject, version = body.subject or SITE_SUBJECT, body.version or ""
    new: list[NewSignal] = []
    for one in parsed:
        catalog.check_version(one.kind, version, f"The {body.format} report")
        part = _part(body.part, one.part)
        named = "\n".join((body.format, subject, version, part)).encode()
        digest = sha256(named + b"\n" + content).digest()
        source = body.source or f"/reports/{body.format}"
        # The command's id tells apart two deliveries of the same bytes; a retry is found by the digest instead.
        event_id = f"{digest.hex()}:{tx.message.id}"
        new.append(NewSignal(source, event_id, one.kind, part, subject, version, tx.message.time, one.data, digest))
    # Alertmanager repeats the same body on purpose: each is a heartbeat.
    if body.format != "alertmanager":
        new = await _as_retries(tx, subject, version, new)
    return await store(catalog, tx, new)


def _refuse_empty(body: ReportRecord, parsed: list[ParsedSignal]) -> None:
    if not parsed:
        raise Invalid(f"The {body.format} report holds nothing to judge; send the file that the tool wrote.")
    if body.format == "alertmanager" and not parsed[0].data["alerts"]:
        raise Invalid("The Alertmanager body has no alerts, so it tells of nothing; send it with its alerts.")


def _part(asked: str | None, own: str) -> str:
    """The sender's part; where the report names parts itself (scanners, alert groups), it goes before theirs."""
    if asked is None:
        return own
    return asked if own == DEFAULT_PART else joined_part(asked, own)


async def _as_retries(tx: Tx, subject: str, version: str, new: list[NewSignal]) -> list[NewSignal]:
    """The same signals, but those that are the fact in force already under the key that they have there."""
    rows = await tx.connection.fetch(
        SELECT_RETRIED,
        tx.site,
        subject,
        version,
        [one.kind for one in new],
        [one.part for one in new],
        [one.digest for one in new],
        tx.message.time - RETRY_WINDOW,
    )
    keys = {row["digest"]: (row["source"], row["event_id"]) for row in rows}
    return [
        NewSignal(
            *keys.get(one.digest, one.key), one.kind, one.part, one.subject, one.version, one.time, one.data, one.digest
        )
        for one in new
    ]


def unpack(text: str) -> bytes:
    """The bytes in ``content_zlib_base64``; never more than ``MAX_REPORT_BYTES``. Raises `Invalid`, `TooLarge`."""
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(packed, MAX_REPORT_BYTES + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise Invalid("content_zlib_base64 must be the report's bytes, packed by zlib, in base64.") from error
    if len(content) > MAX_REPORT_BYTES:
        raise TooLarge(
            f"The report has more than {MAX_REPORT_BYTES} bytes; split it into parts (part=unit, part=integration).",
            max_bytes=MAX_REPORT_BYTES,
        )
    if not unpacker.eof or unpacker.unused_data:
        raise Invalid("content_zlib_base64 is cut off or has bytes after its end; send it whole.")
    return content


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        commands={contract.record_report: partial(record_report, catalog)},
    )
