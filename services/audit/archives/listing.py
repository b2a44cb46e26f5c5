"""Writes a month's entries: as JSON lines, and as the two forms of CSV that callers of the facility system know."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from typing import IO, Any, Self

import orjson

from libs.common.cells import table
from libs.common.contracts.governance.runs import gate_decided
from libs.common.service import Connection
from services.audit import entries
from services.audit.domain.content import derived
from services.audit.verify import INLINE_BYTES, SELECT_PAYLOAD

ROWS = 500
# As `GET /api/audit/entries` lists them, but with every payload.
SELECT_STRETCH = f"""
SELECT seq, event_id, type, source, site, actor, subject, time, causationid, correlationid, recorded_at,
       version, outcome, reason, issue, trace_id, client_address, client_agent,
       encode(prev_hash, 'hex') AS prev_hash, encode(hash, 'hex') AS hash,
       coalesce(octet_length(payload), erasure.payload_bytes) AS payload_bytes,
       encode(coalesce(sha256(payload), erasure.payload_sha256), 'hex') AS payload_sha256,
       CASE WHEN octet_length(payload) <= {INLINE_BYTES} THEN payload END AS payload, erased_at, 0 AS found
FROM entry LEFT JOIN erasure USING (seq) WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT {ROWS}
"""  # noqa: S608 - constants of ours
V1 = (
    "id", "created_at", "actor_username", "action", "resource_type", "resource_id", "status", "prev_hash", "entry_hash",
)  # fmt: skip
V2 = (
    "id", "created_at", "actor_username", "action", "resource_type", "resource_id", "status", "prev_hash", "entry_hash",
    "time", "actor_kind", "site", "outcome", "reason", "issue", "client_address", "client_agent", "event_id",
    "causationid", "correlationid", "trace_id", "source", "payload_bytes", "payload_sha256",
)  # fmt: skip
STATUSES = {"applied": "success", "refused": "denied", "failed": "error"}
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


class Listing:
    """Three files without names that grow together: ``ndjson``, ``v1``, ``v2``; and the decisions that passed.

    ``decisions``: site, gate, run and the capsule that its event names, in their order, at most ``most`` of them;
    ``decision_count`` counts all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.decisions: list[tuple[str, str, int, str]] = []
        self.decision_count = self.count = 0
        self.first_prev_hash = self.last_hash = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.ndjson, self.v1, self.v2 = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def write(self, connection: Connection, first_seq: int, last_seq: int) -> None:
        """Write all of a stretch of the log, a piece at a time. Raises LookupError where an entry is missing."""
        self.v1.write(table(V1, ()).encode())
        self.v2.write(table(V2, ()).encode())
        at = first_seq - 1
        while at < last_seq:
            rows = await connection.fetch(SELECT_STRETCH, at, last_seq)
            if [row["seq"] for row in rows] != list(range(at + 1, at + 1 + len(rows))) or not rows:
                raise LookupError(f"an entry behind {at} is missing: GET /api/audit/verify names it")
            for row in rows:
                entry = entries.entry_of(row)
                if entry["payload"] is None and entry["erased_at"] is None:
                    entry["payload"] = (await connection.fetchval(SELECT_PAYLOAD, entry["seq"])).decode()
                self._add(entry)
            at = rows[-1]["seq"]

    def _add(self, entry: dict[str, Any]) -> None:
        del entry["event"]
        self.first_prev_hash = self.first_prev_hash or entry["prev_hash"]
        self.last_hash, self.count = entry["hash"], self.count + 1
        line = orjson.dumps(entry, option=_OPTIONS)
        self.ndjson.write(line)
        row = _row(orjson.loads(line))
        for file, columns in ((self.v1, V1), (self.v2, V2)):
            file.write(table(columns, [row]).partition("\r\n")[2].encode())
        if entry["type"] == gate_decided.type and entry["payload"] is not None:
            self._note(entry)

    def _note(self, entry: Mapping[str, Any]) -> None:
        data = orjson.loads(entry["payload"]).get("data")
        if isinstance(data, dict) and data.get("capsule_sha256"):
            self.decision_count += 1
            if len(self.decisions) < self._most:
                self.decisions.append((entry["site"], data["gate"], data["run_id"], data["capsule_sha256"]))


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    said = derived(entry["type"], entry["actor"])._asdict()
    outcome = entry["outcome"]
    return {
        **entry,
        **said,
        "id": entry["seq"],
        "created_at": entry["recorded_at"],
        "actor_username": entry["actor"],
        "resource_id": entry["subject"],
        "status": STATUSES.get(outcome or "applied", outcome),
        "entry_hash": entry["hash"],
    }


def csv_head(told: Mapping[str, Any]) -> bytes:
    """The block before the second form of CSV: what the archive says of itself, as section, key and value."""
    rows = [{"section": "meta", "key": name, "value": value} for name, value in told.items() if name != "attachments"]
    for name, attachment in told["attachments"].items():
        rows += [{"section": name, "key": key, "value": value} for key, value in attachment.items()]
    return table(("section", "key", "value"), rows).encode() + b"\r\n"


def size_of(file: IO[bytes]) -> int:
    """How long a file is by now, in bytes."""
    return file.seek(0, 2)
