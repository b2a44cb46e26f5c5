"""Capsules: each decision is written down with what it was made of, signed, and handed out with its contents."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from libs.common.contracts.base import Nothing
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance import capsules as contract
from libs.common.contracts.governance.capsules import CapsuleKey, KeyName
from libs.common.contracts.governance.runs import RunKey, receipt_of
from libs.common.problems import NotFound, TooLarge
from libs.common.runtime import StartError
from libs.common.service import Read, Table
from libs.common.settings import Settings
from libs.judge.capsule import (
    FACT_LISTS,
    About,
    digest,
    make_body,
    make_statement,
    seal,
    sources_of,
    wanted_attachments,
)
from libs.judge.dsse import KeyProblem, Signer
from services.governance.gate import Looked

if TYPE_CHECKING:
    from libs.common.service import Connection


def _headgate_version() -> str:
    """This code's version; ``unreleased`` where it runs from a checkout that was never installed."""
    try:
        return version_of("headgate")
    except PackageNotFoundError:
        return "unreleased"


HEADGATE_VERSION = _headgate_version()
RECEIPT = "https://c2sp.org/tlog-proof"  # a relation of our own is named by an address (RFC 8288, section 2.1.2)
MAX_PACKED_BYTES = 5 * 1024 * 1024  # an answer travels in one message

SELECT_CAPSULE = """
SELECT capsules.*, runs.decided_event FROM runs LEFT JOIN capsules USING (run_id)
WHERE runs.gate = $1 AND runs.site = $2 AND runs.run_id = $3
"""
SELECT_DATA = "SELECT data::text FROM signals WHERE site = $1 AND signal_id = ANY ($2::bigint[])"
# Only what other transactions have committed: a row of our own may still be rolled back, and would then be missed.
SELECT_STORED = """
SELECT sha256 FROM policy_sources
WHERE sha256 = ANY ($1::text[]) AND age(xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
"""
SELECT_SOURCES = "SELECT sha256, source FROM policy_sources WHERE sha256 = ANY ($1::text[])"
SELECT_KEYS = "SELECT key_id, public_key_pem, first_used_at FROM capsule_keys ORDER BY first_used_at, key_id"

CAPSULE_VALUES = (
    "source_digests", "sources", "key_id", "public_key_pem", "body", "statement", "signature",
)  # fmt: skip


def store_capsule(at: Mapping[str, str]) -> str:
    """The steps of the statement that stores a run which store its capsule; ``at`` has the places of the values.

    Policies and keys are there already after their first use.
    """
    return f"""
source AS (
    INSERT INTO policy_sources (sha256, source)
    SELECT * FROM unnest({at["source_digests"]}::text[], {at["sources"]}::text[]) ON CONFLICT DO NOTHING
), signer AS (
    INSERT INTO capsule_keys (key_id, public_key_pem, first_used_at)
    SELECT {at["key_id"]}, {at["public_key_pem"]}, {at["decided_at"]}
    WHERE NOT EXISTS (SELECT FROM capsule_keys WHERE key_id = {at["key_id"]}) ON CONFLICT DO NOTHING
), capsule AS (
    INSERT INTO capsules (run_id, body, statement, key_id, signature)
    VALUES ({at["run_id"]}, {at["body"]}, {at["statement"]}, {at["key_id"]}, {at["signature"]})
)"""  # noqa: S608 - places such as $3


@dataclass(frozen=True, slots=True)
class Sealed:
    """A decision that is signed: ``values`` are the `CAPSULE_VALUES` by name."""

    sha256: str
    values: dict[str, Any]


def read_signer(settings: Settings) -> Signer:
    """The key of this installation. Raises `StartError`."""
    if settings.capsule_key_file is not None:
        return _from_file(settings.capsule_key_file)
    if settings.capsule_secret is None:
        raise StartError("set HEADGATE_CAPSULE_KEY_FILE (or HEADGATE_CAPSULE_SECRET): decisions are signed")
    secret = settings.capsule_secret.get_secret_value()
    if len(secret) < 20:
        raise StartError("HEADGATE_CAPSULE_SECRET must hold at least 20 characters")
    return Signer.from_secret(secret)


def _from_file(path: Path) -> Signer:
    try:
        return Signer.read(path.read_bytes())
    except OSError as error:
        raise StartError(f"HEADGATE_CAPSULE_KEY_FILE: {path} can't be read: {error.strerror}") from error
    except KeyProblem as error:
        raise StartError(f"HEADGATE_CAPSULE_KEY_FILE: {path}: {error}") from error


class Scribe:
    """Writes decisions down and signs them."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._stored: set[str] = set()  # policies seen for good in the table, from which nothing is ever removed

    async def seal(self, connection: Connection, looked: Looked, row: dict[str, Any]) -> Sealed:
        """The decision of a run (columns of its row)."""
        about = About(**{name: row[name] for name in _ABOUT}, headgate=HEADGATE_VERSION)
        body = make_body(
            about, looked.policy, looked.facts, row["decided_at"], looked.verdict, looked.digests, looked.standing
        )
        statement = make_statement(body)
        sources = {digest(text.encode()): text for text in sources_of(looked.policy)}
        if unseen := sorted(sources.keys() - self._stored):
            found = await connection.fetch(SELECT_STORED, unseen)
            self._stored.update(one["sha256"] for one in found)
        new = {name: text for name, text in sources.items() if name not in self._stored}
        values = {
            "source_digests": list(new),
            "sources": list(new.values()),
            "key_id": self._signer.public.key_id,
            "public_key_pem": self._signer.public.pem,
            "body": zlib.compress(body),
            "statement": zlib.compress(statement),
            "signature": self._signer.sign(statement),
        }
        return Sealed(digest(body), values)


_ABOUT = ("site", "gate", "subject", "line", "version", "artifact_digest", "run_id", "run_number", "trigger", "actor")


async def get_capsule(read: Read, key: RunKey) -> Blob:
    """A run's capsule. Raises `NotFound`, also for a run of before there were capsules; `TooLarge`."""
    row = await read.pool.fetchrow(SELECT_CAPSULE, key.gate, read.site, key.run_id)
    if row is None:
        raise NotFound(f"The gate {key.gate} has no run {key.run_id} in this site.")
    if row["body"] is None:
        raise NotFound(f"Run {key.run_id} was decided before capsules were kept; run the gate again.")
    body = zlib.decompress(row["body"])
    said = orjson.loads(body)
    signal_ids = [fact["signal_id"] for name in FACT_LISTS for fact in said["facts"][name]]
    data = [one["data"] for one in await read.pool.fetch(SELECT_DATA, read.site, signal_ids)]
    attachments = {digest(text.encode()): text for text in data}
    wanted = wanted_attachments(said)
    sources = await read.pool.fetch(SELECT_SOURCES, sorted(wanted - attachments.keys()))
    attachments |= {one["sha256"]: one["source"] for one in sources}
    content = seal(body, zlib.decompress(row["statement"]), row["key_id"], row["signature"], attachments)
    blob = Blob.of(content, media_type="application/json", filename=f"capsule-{key.gate}-{key.run_id}.json")
    if row["decided_event"] is not None:
        # Not inside: what is signed was there before its event, and the event before its receipt.
        blob.headers["Link"] = f'<{receipt_of(row["decided_event"])}>; rel="{RECEIPT}"'
    if len(blob.content_zlib_base64 or "") > MAX_PACKED_BYTES:
        raise TooLarge(f"The capsule of run {key.run_id} has {len(content)} bytes, more than can be handed out.")
    return blob


async def list_keys(signer: Signer, read: Read, _params: Nothing) -> list[CapsuleKey]:
    """All keys that have signed, and the one that signs now, last."""
    used = {row["key_id"]: row for row in await read.pool.fetch(SELECT_KEYS)}
    mine = signer.public
    found = [CapsuleKey(**row, in_use=False) for key_id, row in used.items() if key_id != mine.key_id]
    first = used[mine.key_id]["first_used_at"] if mine.key_id in used else None
    return [*found, CapsuleKey(key_id=mine.key_id, public_key_pem=mine.pem, first_used_at=first, in_use=True)]


async def get_key(signer: Signer, read: Read, wanted: KeyName) -> Blob:
    """A key that signs or has signed, in PEM. Raises `NotFound`."""
    for key in await list_keys(signer, read, Nothing()):
        if key.key_id == wanted.key_id or (key.in_use and wanted.key_id == "current"):
            content, filename = key.public_key_pem.encode(), f"headgate-{key.key_id[:16]}.pem"
            return Blob.of(content, media_type="application/x-pem-file", filename=filename)
    raise NotFound(f"No key {wanted.key_id} has signed here; list the keys.")


def table(signer: Signer) -> Table:
    """What this module answers."""
    return Table(
        queries={
            contract.get_capsule: get_capsule,
            contract.list_capsule_keys: partial(list_keys, signer),
            contract.get_capsule_key: partial(get_key, signer),
        },
    )
