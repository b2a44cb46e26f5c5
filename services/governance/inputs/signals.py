"""Signals come in: each is stored once, and the newest one of a kind and part is the fact that gates judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import asyncpg
import orjson

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Page
from libs.common.contracts.governance import signals as contract
from libs.common.contracts.governance.signals import (
    OutsideEvent,
    Signal,
    SignalFilter,
    SignalKey,
    SignalReceipt,
    SignalReceipts,
    SignalRecord,
    SignalRecorded,
    SignalsRepeated,
    signal_recorded,
    signal_repeated,
)
from libs.common.listing import Listing, newest
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table, Tx
from libs.judge.own_kinds import by_name, find_kind, problems_of
from libs.judge.report_base import DEFAULT_PART, remarked
from services.governance.catalog import SITE_SUBJECT, Catalog
from services.governance.inputs.cdevents import read_event
from services.governance.inputs.failures import is_test_report, keep_failures
from services.governance.inputs.own_kinds import declared
from services.governance.inputs.parts import refuse_too_many

MAX_FUTURE = timedelta(minutes=5)  # how far clocks may differ
MAX_CONFLICTS_SHOWN = 20

# One statement for a whole command. Places keep the ids in the order of the list, so that of two signals with one
# time the later one counts. A concurrent insert of the same key is waited for and then left as it is.
# A fact is the newest signal by effective time (the earlier of its own and of its receipt), then by id; beside it
# stands the newest good one. It is counted among all signals, and among its actor's. The rows of a part are locked by
# their update, whatever wins, until the transaction ends. Of a version that was heard of before no row is locked,
# but by signals that name its artifact.
INSERT_SIGNALS = """
WITH fresh AS (
    INSERT INTO signals (site, source, event_id, kind, part, subject, version, time, received_at, judged, valid,
        problems, data, digest, data_sha256, actor, signer, signer_ref, artifact_digest)
    SELECT $1, source, event_id, kind, part, subject, version, time, $2, judged, valid, problems::jsonb, data::jsonb,
        digest, sha256(convert_to(data::jsonb::text, 'UTF8')), $16, nullif($17::text, ''), nullif($18::text, ''),
        artifact_digest
    FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[],
                $11::boolean[], $12::boolean[], $13::text[], $14::text[], $15::bytea[], $19::text[])
        WITH ORDINALITY AS new (source, event_id, kind, part, subject, version, time, judged, valid, problems, data,
        digest, artifact_digest, place)
    ORDER BY place
    ON CONFLICT (site, source, event_id) DO NOTHING
    RETURNING signal_id, source, event_id, kind, part, subject, version, least(time, received_at) AS time, judged,
        valid, artifact_digest
), newest AS (
    SELECT DISTINCT ON (subject, version, kind, part) subject, version, kind, part, signal_id, time, source,
        min(source) OVER same_part <> max(source) OVER same_part AS mixed
    FROM fresh WHERE judged AND $3::boolean WINDOW same_part AS (PARTITION BY subject, version, kind, part)
    ORDER BY subject, version, kind, part, time DESC, signal_id DESC
), good AS (
    SELECT DISTINCT ON (subject, version, kind, part) subject, version, kind, part, signal_id, time
    FROM fresh WHERE judged AND valid
    ORDER BY subject, version, kind, part, time DESC, signal_id DESC
), counted AS (
    INSERT INTO facts (site, subject, version, kind, part, voice, signal_id, time, good_signal_id, good_time,
        source, mixed, signers)
    SELECT $1, subject, version, kind, part, voice, newest.signal_id, newest.time, good.signal_id, good.time,
        newest.source, newest.mixed, array_remove(ARRAY[$17::text], '')
    FROM newest LEFT JOIN good USING (subject, version, kind, part)
    CROSS JOIN (SELECT '' UNION SELECT $16::text) AS said (voice)
    ORDER BY subject, version, kind, part, voice
    ON CONFLICT (site, subject, version, kind, part, voice) DO UPDATE
    SET signal_id = CASE WHEN (EXCLUDED.time, EXCLUDED.signal_id) > (facts.time, facts.signal_id)
            THEN EXCLUDED.signal_id ELSE facts.signal_id END,
        time = greatest(EXCLUDED.time, facts.time),
        good_signal_id = CASE WHEN facts.good_time IS NULL
                OR (EXCLUDED.good_time, EXCLUDED.good_signal_id) > (facts.good_time, facts.good_signal_id)
            THEN EXCLUDED.good_signal_id ELSE facts.good_signal_id END,
        good_time = greatest(EXCLUDED.good_time, facts.good_time),
        mixed = facts.mixed OR EXCLUDED.mixed OR coalesce(facts.source <> EXCLUDED.source, false),
        signers = CASE WHEN EXCLUDED.signers <@ facts.signers OR cardinality(facts.signers) >= 20 THEN facts.signers
            ELSE facts.signers || EXCLUDED.signers END
    RETURNING subject, version, kind, part, voice, fact_id, facts.signal_id AS newest_id,
        facts.xmax = 0 AS is_new  -- a row that was only updated has an xmax
), heard_of AS (
    INSERT INTO versions_seen (site, subject, version, first_at, artifact_digest, digest_at, digest_signal_id)
    SELECT $1, subject, version, first_at, coalesce(artifact_digest, ''), named.time, named.signal_id
    FROM (
        SELECT subject, version, min(time) AS first_at FROM fresh WHERE version <> '' GROUP BY subject, version
    ) AS told LEFT JOIN (
        SELECT DISTINCT ON (subject, version) subject, version, artifact_digest, time, signal_id
        FROM fresh WHERE artifact_digest <> '' ORDER BY subject, version, time DESC, signal_id DESC
    ) AS named USING (subject, version)
    WHERE named.signal_id IS NOT NULL OR NOT EXISTS (
        SELECT FROM versions_seen AS seen WHERE seen.site = $1 AND seen.subject = told.subject
            AND seen.version = told.version AND seen.first_at <= told.first_at
    )
    ORDER BY subject, version
    ON CONFLICT (site, subject, version) DO UPDATE SET first_at = least(versions_seen.first_at, EXCLUDED.first_at),
        (artifact_digest, digest_at, digest_signal_id) = (
            SELECT one.digest, one.at, one.id FROM (VALUES
                (versions_seen.artifact_digest, versions_seen.digest_at, versions_seen.digest_signal_id),
                (EXCLUDED.artifact_digest, EXCLUDED.digest_at, EXCLUDED.digest_signal_id)
            ) AS one (digest, at, id) ORDER BY one.at DESC NULLS LAST, one.id DESC NULLS LAST LIMIT 1
        )
)
SELECT source, event_id, signal_id, time, valid, coalesce(is_new AND voice = '', false) AS opens_part, subject, version,
    kind, part, voice, fact_id, newest_id
FROM fresh LEFT JOIN counted USING (subject, version, kind, part)
"""
SELECT_KNOWN = """
SELECT source, event_id, signal_id, kind, part, subject, version, artifact_digest, judged, valid, problems, digest
FROM unnest($2::text[], $3::text[]) AS asked (source, event_id) JOIN signals USING (source, event_id)
WHERE signals.site = $1
"""
_SHOWN = names_of(Signal, without=("data", "summary", "notes"))  # what was read of a report is part of its data
LIST_SIGNALS = Listing(
    table="signals",
    columns=listed(_SHOWN),
    scope={"site": "text"},
    filters={"kind": "text", "subject": "text", "version": "text", "judged": "boolean"},
    readings=(("kind",), ("subject",)),
    order=newest("signal_id"),
)
SELECT_SIGNAL = f"SELECT {listed(_SHOWN)}, data FROM signals WHERE site = $1 AND signal_id = $2"  # noqa: S608


@dataclass(frozen=True, slots=True)
class NewSignal:
    """A signal to be stored. ``digest`` is of its content as sent: equal keys with other digests are a conflict.

    ``problems``: what is known to be wrong with it already; else its data are checked. ``signer``: whose signature
    beside it was verified, ``signer_ref`` by which key or issuer; those of one `store` have the same.
    """

    source: str
    event_id: str
    kind: str
    part: str
    subject: str
    version: str
    time: datetime
    data: Any
    digest: bytes
    problems: tuple[str, ...] = ()
    signer: str = ""
    signer_ref: str = ""
    artifact_digest: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it unique within its site."""
        return self.source, self.event_id


async def record_signals(catalog: Catalog, tx: Tx, body: SignalRecord) -> SignalReceipts:
    """Store outside events as signals. Raises `Invalid` naming the event that is wrong, `Conflict`."""
    received = receipt(tx)
    new: list[NewSignal] = []
    for place, event in enumerate(body.signals, 1):
        new.append(await _from_event(catalog, tx, event, place, body, received, new))
    return await store(tx, new)


def receipt(tx: Tx) -> datetime:
    """When the command came in: what the edge says, but never later than now, so that no clock there runs ahead."""
    return min(tx.message.time, tx.now)


async def _from_event(
    catalog: Catalog,
    tx: Tx,
    event: OutsideEvent,
    place: int,
    defaults: SignalRecord,
    received: datetime,
    before: Sequence[NewSignal],
) -> NewSignal:
    which = f"Signal {place} (id {event.id[:100]!r} of {event.source[:100]!r})"
    said = await read_event(tx, event, defaults, which, received, before)
    subject = said.subject or defaults.subject or SITE_SUBJECT
    version = said.version or defaults.version or ""
    await catalog.check_version(tx.connection, said.kind, version, which)
    if said.time is not None and said.time - received > MAX_FUTURE:
        raise Invalid(
            f"{which} has the time {said.time.isoformat()}, more than 5 minutes after it was received at "
            f"{received.isoformat()}; set the sender's clock right."
        )
    part = said.part or DEFAULT_PART
    # As it was sent: what is read of an event may depend on what was told before. Without a time of its own, a repeat
    # would differ from the first only in when it came.
    named = (event.part or DEFAULT_PART, event.subject or defaults.subject or SITE_SUBJECT)
    artifact = event.artifactdigest
    if artifact is None and defaults.version in (None, version):
        artifact = defaults.artifact_digest
    of_artifact = [artifact] if artifact else []
    content = [event.type, *named, event.version or defaults.version or "", event.time, event.data, *of_artifact]
    digest = sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
    time = said.time or received
    return NewSignal(
        event.source, event.id, said.kind, part, subject, version, time, said.data, digest,
        artifact_digest=check_artifact(artifact, version, which),
    )  # fmt: skip


def check_artifact(named: str | None, version: str, which: str) -> str:
    """The digest of an artifact, "" for none. Raises `Invalid` without a version: a digest is of one build."""
    if named and not version:
        raise Invalid(f"{which} names the digest of an artifact and no version; give the version, too.")
    return named or ""


async def store(tx: Tx, signals: Sequence[NewSignal], *, count: bool = True) -> SignalReceipts:
    """Store signals with one statement; what is known already is answered with its first id.

    ``count`` false: they are kept and listed, but are no fact of a part. Emits an event for each new signal, and one if
    any came again. Raises `Conflict` if a known key has other content, `Invalid` if a kind would have more than
    ``MAX_PARTS`` parts.
    """
    unique: dict[tuple[str, str], NewSignal] = {}
    for signal in signals:
        unique.setdefault(signal.key, signal)
    own = by_name(await declared(tx.connection, {one.kind for one in unique.values()}))
    judged = {one.kind for one in unique.values() if (kind := find_kind(one.kind, own)) and not kind.is_made}
    problems = {
        key: list(one.problems) or (problems_of(one.kind, one.data, own) if one.kind in judged else [])
        for key, one in unique.items()
    }
    fresh = await _insert(tx, list(unique.values()), problems, judged, count)
    missing = [key for key in unique if key not in fresh]
    known: dict[tuple[str, str], asyncpg.Record] = {}
    if missing:
        rows = await tx.connection.fetch(
            SELECT_KNOWN, tx.site, [key[0] for key in missing], [key[1] for key in missing]
        )
        known = {(row["source"], row["event_id"]): row for row in rows}
    _refuse_conflicts(signals, unique, known)
    items, seen = [], set()
    for signal in signals:
        row = known.get(signal.key)
        wrong = problems[signal.key]
        said = remarked(signal.data)
        items.append(
            SignalReceipt(
                signal_id=row["signal_id"] if row else fresh[signal.key],
                kind=signal.kind,
                part=signal.part,
                subject=signal.subject,
                version=signal.version,
                artifact_digest=signal.artifact_digest,
                judged=row["judged"] if row else signal.kind in judged,
                valid=row["valid"] if row else not wrong,
                duplicate=row is not None or signal.key in seen,
                problems=row["problems"] if row else wrong,
                summary=said.summary,
                notes=list(said.notes),
                incomplete=said.incomplete,
                signer=signal.signer,
            )
        )
        seen.add(signal.key)
    _tell(tx, signals, items)
    return SignalReceipts(count=len(items), recorded=len(fresh), items=items)


async def _insert(
    tx: Tx, new: list[NewSignal], problems: dict[tuple[str, str], list[str]], judged: set[str], count: bool
) -> dict[tuple[str, str], int]:
    """The ids of those that were not there yet. Raises `Invalid` if they open too many parts."""
    try:
        rows = await tx.connection.fetch(
            INSERT_SIGNALS,
            tx.site,
            receipt(tx),
            count,
            [one.source for one in new],
            [one.event_id for one in new],
            [one.kind for one in new],
            [one.part for one in new],
            [one.subject for one in new],
            [one.version for one in new],
            [one.time for one in new],
            [one.kind in judged for one in new],
            [not problems[one.key] for one in new],
            [orjson.dumps(problems[one.key]).decode() for one in new],
            [orjson.dumps(one.data).decode() for one in new],
            [one.digest for one in new],
            tx.actor,
            new[0].signer,
            new[0].signer_ref,
            [one.artifact_digest for one in new],
        )
    except (asyncpg.DataError, TypeError) as error:
        # The edge refuses what Postgres can't hold (NUL, half a surrogate pair), and readers whole numbers beyond 64
        # bits; this is for other senders, and for what a reader overlooks.
        raise Invalid(
            "A signal holds what can't be stored, such as the character NUL or a number beyond 64 bits; leave it out."
        ) from error
    opened = [(row["subject"], row["version"], row["kind"]) for row in rows if row["opens_part"]]
    if opened:
        await refuse_too_many(tx, opened)
    data = {one.key: one.data for one in new}
    await keep_failures(tx, [(row, data[row["source"], row["event_id"]]) for row in rows if is_test_report(row)])
    return {(row["source"], row["event_id"]): row["signal_id"] for row in rows}


def _refuse_conflicts(
    signals: Sequence[NewSignal],
    unique: dict[tuple[str, str], NewSignal],
    known: dict[tuple[str, str], asyncpg.Record],
) -> None:
    wrong = [
        signal
        for signal in signals
        if signal.digest != (known[signal.key]["digest"] if signal.key in known else unique[signal.key].digest)
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise Conflict(
            f"The event {wrong[0].event_id[:100]!r} of {wrong[0].source[:100]!r} was recorded before with other "
            f"content{more}; give each event an id of its own. Nothing of this request was stored.",
            conflicts=[{"source": one.source, "id": one.event_id} for one in wrong[:MAX_CONFLICTS_SHOWN]],
        )


def _tell(tx: Tx, signals: Sequence[NewSignal], items: Sequence[SignalReceipt]) -> None:
    for signal, item in zip(signals, items, strict=True):
        if item.duplicate:
            continue
        data = SignalRecorded(
            **item.model_dump(exclude={"duplicate", "notes"}),
            source=signal.source,
            event_id=signal.event_id,
            time=signal.time,
        )
        tx.emit(signal_recorded, data, subject=str(item.signal_id))
    if repeated := [item.signal_id for item in items if item.duplicate]:
        tx.emit(signal_repeated, SignalsRepeated(count=len(repeated), signal_ids=repeated), subject=str(repeated[0]))


async def list_signals(read: Read, wanted: SignalFilter) -> Page[Signal]:
    """A page of the site's signals without their data, newest first."""
    given = {"site": read.site, **wanted.model_dump(include=set(LIST_SIGNALS.filters))}
    found = await LIST_SIGNALS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Signal](items=[Signal(**row) for row in found.rows], next_cursor=found.next_cursor)


async def get_signal(read: Read, key: SignalKey) -> Signal:
    """One signal with its data. Raises `NotFound`, also for one of another site."""
    row = await read.pool.fetchrow(SELECT_SIGNAL, read.site, key.signal_id)
    if row is None:
        raise NotFound(f"There is no signal {key.signal_id} in this site.")
    said = remarked(row["data"])
    return Signal(**row, summary=said.summary, notes=list(said.notes))


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        commands={contract.record_signals: partial(record_signals, catalog)},
        queries={contract.list_signals: list_signals, contract.get_signal: get_signal},
    )
