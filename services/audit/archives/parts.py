"""The parts of an archive besides the entries: tiles, capsules of decisions, the rehearsal of the month."""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from libs.common.contracts.governance.capsules import get_capsule
from libs.common.contracts.governance.runs import RunKey
from libs.common.contracts.operations.rehearsals import RehearsalHistory, RehearsalRun, list_rehearsals
from libs.common.problems import NotFound, TooLarge
from libs.common.service import Connection, Tx
from libs.tlog.tiles import ENTRIES, TOP_LEVEL, WIDTH, Tile, bundle, width_at
from services.audit.tree import SELECT_TILES

TILES_AT_ONCE = 128  # of 8 KB each
ASKED_AT_ONCE = 8
ASK_S = 10.0
REHEARSALS = 100  # the newest ones; one a week makes two years
MAX_CAPSULES = 50_000
MAX_CAPSULE_BYTES = 1024**3

Decision = tuple[str, str, int, str]


async def tiles(connection: Connection, size: int) -> AsyncIterator[tuple[str, bytes]]:
    """Path and content of every tile of the tree of this size. Raises LookupError where the database lacks one."""
    for level in range(ENTRIES, TOP_LEVEL + 1):
        count = width_at(level, size)
        for first in range(0, -(-count // WIDTH), TILES_AT_ONCE):
            numbers = list(range(first, min(first + TILES_AT_ONCE, -(-count // WIDTH))))
            rows = await connection.fetch(SELECT_TILES, [level] * len(numbers), numbers)
            held = {row["number"]: row["content"] or b"" for row in rows}
            for number in numbers:
                one = Tile(level, number, min(WIDTH, count - number * WIDTH))
                content = held.get(number, b"")[: one.width * 32]
                if len(content) != one.width * 32:
                    raise LookupError(f"{one.path} is not in this database; the log was set back or altered")
                yield one.path, bundle(content) if level == ENTRIES else content


class Capsules:
    """The capsules of a month's decisions, asked of governance a few at a time. ``left_out`` says of each why."""

    def __init__(self) -> None:
        self.count = self.size = 0
        self.left_out: list[dict[str, Any]] = []

    async def files(self, tx: Tx, decisions: Sequence[Decision]) -> AsyncIterator[tuple[str, bytes]]:
        """Path and content of each. Raises `Unavailable` and `TimedOut`: then nothing is archived without them."""
        for first in range(0, len(decisions), ASKED_AT_ONCE):
            some = decisions[first : first + ASKED_AT_ONCE]
            found = await asyncio.gather(*(_capsule(tx, one) for one in some))
            for (site, gate, run_id, sha256), content in zip(some, found, strict=True):
                if isinstance(content, bytes) and self.size + len(content) > MAX_CAPSULE_BYTES:
                    content = "there are too many"
                if isinstance(content, str):
                    self.left_out.append({"site": site, "gate": gate, "run_id": run_id, "reason": content})
                    continue
                self.count, self.size = self.count + 1, self.size + len(content)
                yield f"capsules/{run_id}-{sha256[:16]}.json", content


async def _capsule(tx: Tx, decision: Decision) -> bytes | str:
    site, gate, run_id, _ = decision
    try:
        blob = await tx.ask(get_capsule, RunKey(gate=gate, run_id=run_id), site=site, timeout_s=ASK_S)
    except (NotFound, TooLarge) as refusal:
        return refusal.detail
    return zlib.decompress(base64.b64decode(blob.content_zlib_base64 or ""))


async def rehearsal(tx: Tx, month: str, start: datetime, end: datetime) -> dict[str, Any]:
    """The newest rehearsal of recovery in the month, or why there is none. Raises `Unavailable` and `TimedOut`."""
    runs: list[RehearsalRun] = await tx.ask(list_rehearsals, RehearsalHistory(limit=REHEARSALS), timeout_s=ASK_S)
    before = [run for run in runs if run.finished_at < end]
    inside = [run for run in before if run.finished_at >= start]
    told: dict[str, Any] = {"required": True, "month": month, "included": bool(inside)}
    if inside:
        valid = inside[0].restore_valid
        said = "holds" if valid else "did not hold: it says what does not fit"
        told |= {"status": inside[0].status, "message": f"The newest rehearsal of the month {said}."}
    else:
        told |= {"status": "missing", "message": "No rehearsal of recovery ended in this month."}
    return told | {
        "latest_in_month": inside[0].model_dump(mode="json") if inside else None,
        "latest_before_window_end": before[0].model_dump(mode="json") if before else None,
    }
