"""How much open work each owner role has at a site, as far as the tracker's events have told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.contracts.tracker.items import (
    ItemChanged,
    item_assigned,
    item_opened,
    item_reopened,
    item_resolved,
    item_updated,
)
from libs.common.listing import Source
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from services.governance.catalog import Target

MOST_COUNTED = 1_000  # of a role: who has so much has more than enough
KEPT = timedelta(days=31)  # events come again for 30 days
PAGE = 5_000

# A word that is older than what is known changes nothing, in whatever order they come.
NOTE_ITEM = """
WITH known AS (
    INSERT INTO loads_known (site, since) VALUES ($3, $9) ON CONFLICT DO NOTHING
)
INSERT INTO item_loads AS held (item_id, revision, site, gate, subject, line, owner_role, is_open, heard_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (item_id) DO UPDATE SET revision = EXCLUDED.revision, owner_role = EXCLUDED.owner_role,
    is_open = EXCLUDED.is_open, heard_at = EXCLUDED.heard_at
WHERE held.revision < EXCLUDED.revision
"""
# Without the items of the board that is to be repaired: those are the work itself.
COUNT_OPEN = """
SELECT role, (
    SELECT count(*) FROM (
        SELECT FROM item_loads WHERE site = $1 AND owner_role = role AND is_open
            AND NOT (gate = $2 AND subject = $3 AND line = $4) LIMIT $6
    ) AS found
) AS open_count, (SELECT since FROM loads_known WHERE site = $1) AS since
FROM unnest($5::text[]) AS roles (role)
"""
FORGET_CLOSED = """
DELETE FROM item_loads WHERE item_id IN (
    SELECT item_id FROM item_loads WHERE NOT is_open AND heard_at < $1 LIMIT $2
)
"""


@dataclass(frozen=True, slots=True)
class Loads:
    """Open items by owner role; None where nothing was ever heard of the site. ``since``: from when on it was."""

    since: datetime | None
    of_role: dict[str, int]

    def of(self, role: str) -> int | None:
        """The open items of a role, at most `MOST_COUNTED`; None: unknown."""
        return None if self.since is None else self.of_role.get(role, 0)


async def on_item(tx: Tx, data: ItemChanged) -> None:
    """Note an item as it is now."""
    item = data.item
    is_open = item.is_active and item.status != "done"
    about = (item.site, item.gate, item.subject, item.line, item.owner_role)
    await tx.connection.execute(NOTE_ITEM, item.id, item.revision, *about, is_open, tx.now)


async def loads_of(source: Source, target: Target, roles: Iterable[str]) -> Loads:
    """The load of these roles beside what a board itself asks of them."""
    about = (target.site, target.gate, target.subject, target.line)
    rows = await source.fetch(COUNT_OPEN, *about, sorted(set(roles)), MOST_COUNTED)
    return Loads(rows[0]["since"] if rows else None, {row["role"]: row["open_count"] for row in rows})


async def forget_closed(tx: Tx) -> JobDone | None:
    """Drop closed items of which no older word can come any more."""
    done = await tx.connection.execute(FORGET_CLOSED, tx.now - KEPT, PAGE)
    count = int(done.rpartition(" ")[2])
    return JobDone(detail={"forgotten_count": count}) if count else None


TABLE = Table(
    events=dict.fromkeys((item_opened, item_updated, item_reopened, item_assigned, item_resolved), on_item),
    jobs=(Job("forget_loads", Schedule("4 * * * *"), forget_closed),),
)
