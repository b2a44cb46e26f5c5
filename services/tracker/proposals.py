"""What nobody has finds its person: the plan of a run, its doing, and its undoing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.common import versions
from libs.common.contracts.tracker.assignment import ASSIGNMENT, AssignmentPolicy
from libs.common.contracts.tracker.autopilot import PlanStep
from libs.common.listing import Source
from libs.common.service import Tx
from services.tracker.changes import write
from services.tracker.domain import item as domain
from services.tracker.domain.assignment import Person, Proposal, Work, obstacle, propose
from services.tracker.domain.changes import Change
from services.tracker.domain.hands import give, take_back
from services.tracker.domain.item import Item
from services.tracker.people import Load, loads_of, people_of

# Without a deadline comes last, as NULLs do.
_UNASSIGNED = "item.site = $1 AND item.is_active AND item.status <> 'done' AND item.assignee IS NULL"
_ORDER = "item.priority, item.due_at, item.id"
SELECT_UNASSIGNED = f"SELECT * FROM item WHERE {_UNASSIGNED} ORDER BY {_ORDER} LIMIT $2"  # noqa: S608 - our own text
# What somebody else is changing is left to the next run: so this never waits for a board while it holds others, and
# never reads what is about to change. The boards are only shared, as nothing of theirs changes.
LOCK_UNASSIGNED = f"""
SELECT item.* FROM item JOIN board USING (site, gate, subject, line)
WHERE {_UNASSIGNED} ORDER BY {_ORDER} LIMIT $2
FOR NO KEY UPDATE OF item SKIP LOCKED FOR SHARE OF board SKIP LOCKED
"""  # noqa: S608
# One run after another: each must see the loads that the one before left.
TAKE_TURN = "SELECT since FROM people_known FOR UPDATE"
# Boards first, as everywhere, and in one order.
LOCK_BOARDS_OF = """
SELECT 1 FROM board WHERE (site, gate, subject, line) IN (
    SELECT site, gate, subject, line FROM item WHERE site = $1 AND id = ANY ($2::bigint[])
) ORDER BY site, gate, subject, line FOR UPDATE
"""
# Of a plan: what still waits for somebody, also where it is not among the first any more. Not FOR UPDATE: who writes of
# an item elsewhere, such as an acknowledgement, holds its key, and would wait for us while we wait for them.
LOCK_PLANNED = f"""
SELECT item.* FROM item WHERE {_UNASSIGNED} AND item.id = ANY ($2::bigint[]) FOR NO KEY UPDATE
"""  # noqa: S608
# Those that the run gave and to which nothing has happened since but verdicts that say the same and new calendars; with
# the status that they had before it.
SELECT_AS_LEFT = """
SELECT item.*, coalesce(noted.before ->> 'status', item.status) AS status_before
FROM item JOIN item_change AS noted ON noted.item = item.id
WHERE item.site = $1 AND item.id = ANY ($2::bigint[]) AND noted.kind = 'assigned' AND noted.at = $3
    AND item.is_active AND item.status <> 'done' AND NOT EXISTS (
        SELECT FROM item_change AS later
        WHERE later.item = item.id AND later.id > noted.id AND later.kind NOT IN ('updated', 'recounted')
    )
ORDER BY item.id
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The items that are to be given out, in order, each with its proposal; and who was there to take them."""

    found: list[tuple[Item, Proposal]]
    people: list[Mapping[str, Any]]

    @property
    def given(self) -> list[tuple[Item, Proposal]]:
        """Those that somebody can take."""
        return [(item, proposal) for item, proposal in self.found if proposal.assignee is not None]


async def plan_assignments(
    source: Source, site: str, now: datetime, limit: int, *, policy: AssignmentPolicy | None = None
) -> list[tuple[Item, Proposal]]:
    """Who should get the ``limit`` most urgent items that nobody has, as a run would give them out now.

    Changes and locks nothing, and asks nobody: people must have been learnt (see `people.learn`). Without ``policy``
    the one in force is read, which raises `Conflict` if it can't be.
    """
    if policy is None:
        policy = (await versions.current(source, ASSIGNMENT, site)).content
    return (await make_plan(source, site, now, limit, policy)).found


async def make_plan(
    source: Source, site: str, now: datetime, limit: int, policy: AssignmentPolicy, *, locked: bool = False
) -> Plan:
    """The same with the people. ``locked``: to be done in this transaction, one such plan after another.

    Items of boards that somebody changes at that moment are then left out.
    """
    if locked:
        await source.fetch(TAKE_TURN)
    rows = await source.fetch(LOCK_UNASSIGNED if locked else SELECT_UNASSIGNED, site, limit)
    people = [dict(row) for row in await people_of(source, site, now)]
    return await plan_for(source, [domain.to_item(dict(row)) for row in rows], people, policy, now)


async def plan_for(
    source: Source, items: Sequence[Item], people: Sequence[Mapping[str, Any]], policy: AssignmentPolicy, now: datetime
) -> Plan:
    """A plan for given items and people."""
    loads = await loads_of(source, [row["username"] for row in people], now) if items else {}
    persons = [_person(row, loads.get(row["username"], Load()), policy) for row in people]
    works = [_work(item) for item in items]
    return Plan(list(zip(items, propose(works, persons, now), strict=True)), list(people))


def _work(item: Item) -> Work:
    return Work(item.id, item.owner_role, item.priority, None if item.paused_at else item.due_at)


def _person(row: Mapping[str, Any], load: Load, policy: AssignmentPolicy) -> Person:
    own = row["max_open_items"]
    limit = own if own is not None else policy.max_open_items
    return Person(row["username"], row["role"], load.open_items, load.halves, limit, row["away_until"])


async def take_planned(tx: Tx, steps: Sequence[PlanStep], policy: AssignmentPolicy) -> tuple[Plan, dict[int, str]]:
    """What of a plan's steps can be done just as they say, locked; and by item why the others can't be."""
    await tx.connection.execute(TAKE_TURN)
    ids = [step.item_id for step in steps]
    await tx.connection.execute(LOCK_BOARDS_OF, tx.site, ids)
    items = {row["id"]: domain.to_item(dict(row)) for row in await tx.connection.fetch(LOCK_PLANNED, tx.site, ids)}
    people: list[Mapping[str, Any]] = [dict(row) for row in await people_of(tx.connection, tx.site, tx.now)]
    loads = await loads_of(tx.connection, [row["username"] for row in people], tx.now)
    persons = {row["username"]: _person(row, loads.get(row["username"], Load()), policy) for row in people}
    found: list[tuple[Item, Proposal]] = []
    given: Counter[str] = Counter()
    whys: dict[int, str] = {}
    for step in steps:
        item, name = items.get(step.item_id), step.assignee or ""
        if item is None:
            whys[step.item_id] = "It waits for nobody any longer."
        elif (item.episode, item.revision) != (step.episode, step.revision):
            whys[step.item_id] = f"It has been changed (revision {item.revision}, planned at {step.revision})."
        elif (why := obstacle(persons.get(name), given[name])) is not None:
            whys[step.item_id] = f"{name} {why}."
        else:
            given[name] += 1
            found.append((item, Proposal(_work(item), name, step.why)))
    return Plan(found, people), whys


async def give_out(tx: Tx, given: Iterable[tuple[Item, Proposal]]) -> list[Change]:
    """Give items, which a locked plan has read in this transaction, to those whom it proposes."""
    return await write(
        tx, [give(item, one.assignee, one.reason, tx.now) for item, one in given if one.assignee is not None]
    )


async def undo_assignments(tx: Tx, item_ids: Sequence[int], given_at: datetime) -> list[Change]:
    """Take items of ``tx.site`` back from those to whom a run gave them; they wait again as they did before it.

    ``given_at`` is the ``started_at`` of the run's record. An item that a person has changed since, or that is done,
    resolved or open anew, stays as it is. Returns the changes made.
    """
    if not item_ids:
        return []
    await tx.connection.execute(LOCK_BOARDS_OF, tx.site, list(item_ids))
    rows = await tx.connection.fetch(SELECT_AS_LEFT, tx.site, list(item_ids), given_at)
    return await write(
        tx, [take_back(domain.to_item(dict(row)), row["status_before"], tx.actor, tx.now) for row in rows]
    )
