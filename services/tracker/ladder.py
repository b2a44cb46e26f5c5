"""The ladder: escalations that have begun go up their chains, and what is to be told leaves as events.

However often a step is tried, and by however many at once, it is taken once: its key is a primary key, and only the
transaction that wrote its row tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from libs.common.columns import copied, listed
from libs.common.contracts.tracker.escalation import EscalationRaised, TargetTold, escalation_raised
from libs.common.contracts.tracker.items import Item as ItemAnswer
from libs.common.problems import Refusal
from libs.common.service import JobDone, Tx
from libs.common.telemetry import log
from libs.common.versions import digest_of
from services.tracker.chains import Rules, rules_of, thaw
from services.tracker.domain import escalation as domain
from services.tracker.domain import item as items
from services.tracker.domain.escalation import Chain, Climb, Position, begin, climb
from services.tracker.domain.item import Item

MAX_STEPS = 1000  # escalations looked at in one transaction; the rest has its turn at the next tick
_MOVED = ("level", "repeat", "level_at", "told_at", "reached", "look_at", "waiting", "resting")
_BEGUN = ("started_at", "chain_digest", "chains_source", "chains_version", *_MOVED)
_STEP = "key, item, episode, level, repeat, outcome, due_at, at, targets, cause"

SELECT_DUE_SITES = "SELECT DISTINCT site FROM escalation WHERE look_at <= $1 AND acknowledged_at IS NULL"
# Whoever is at one already, another replica or a run by hand, takes its step; it need not be waited for.
LOCK_DUE = """
SELECT work.*, escalation AS rung, frozen_chain.content AS frozen
FROM escalation JOIN item AS work ON work.id = escalation.item JOIN frozen_chain ON digest = chain_digest
WHERE look_at <= $1 AND acknowledged_at IS NULL AND escalation.site = ANY ($2::text[])
ORDER BY look_at, escalation.item LIMIT $3
FOR UPDATE OF escalation SKIP LOCKED
"""
# Only who begins an escalation gets its row back: not where another did, nor where a person said that it may wait.
BEGIN_ESCALATIONS = f"""
WITH frozen AS (
    INSERT INTO frozen_chain (digest, content) SELECT * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING
)
INSERT INTO escalation (item, episode, site, {listed(_BEGUN)})
SELECT item, episode, site, {listed(_BEGUN)} FROM jsonb_populate_recordset(NULL::escalation, $1) ORDER BY item
ON CONFLICT (item, episode) DO UPDATE SET {copied(_BEGUN, "excluded")}
WHERE escalation.started_at IS NULL AND escalation.acknowledged_at IS NULL
    AND (escalation.snoozed_until IS NULL OR escalation.snoozed_until <= excluded.started_at)
RETURNING item
"""  # noqa: S608 - names of our own
MOVE_ESCALATIONS = f"""
WITH moved AS (
    UPDATE escalation SET {copied(_MOVED)} FROM jsonb_populate_recordset(NULL::escalation, $1) AS new
    WHERE escalation.item = new.item AND escalation.episode = new.episode
)
INSERT INTO escalation_step ({_STEP}) SELECT {_STEP} FROM jsonb_populate_recordset(NULL::escalation_step, $2)
ON CONFLICT (key) DO NOTHING RETURNING key
"""  # noqa: S608
LOOK_AGAIN = """
UPDATE escalation SET look_at = $2
WHERE look_at > $2 AND acknowledged_at IS NULL AND (snoozed_until IS NULL OR snoozed_until <= $2)
    AND (site = $1 OR $1 = 'global')
"""


@dataclass(frozen=True, slots=True)
class Rung:
    """An item on its chain. ``frozen`` is the chain's canonical JSON, ``episode`` the escalation's.

    Without a ``chain`` the one that it began with can't be read any more, and no other is for it now.
    """

    item: Item
    episode: int
    chain: Chain | None
    frozen: str
    position: Position


@dataclass(slots=True)
class Advanced:
    """What came of looking at escalations: how many began, steps told and skipped, items whose level has nobody."""

    started_count: int = 0
    raised_count: int = 0
    skipped_count: int = 0
    waiting_count: int = 0
    begun_ids: list[int] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """The counts, by their names."""
        return {name: value for name, value in asdict(self).items() if name != "begun_ids"}


def first_rungs(found: Sequence[Item], rules: Rules, now: datetime) -> list[Rung]:
    """Where the escalations of items begin; not of those that no chain is for."""
    pairs = [(item, chain) for item in found if (chain := rules.chain_of(item)) is not None]
    return [Rung(item, item.episode, chain, rules.frozen[chain.name], begin(now)) for item, chain in pairs]


def foresee(rungs: Sequence[Rung], rules: Rules, now: datetime) -> list[tuple[Rung, Climb]]:
    """What becomes of escalations of one site that begin now, without beginning them."""
    looked = [(rung, look(rung, rules, now)) for rung in rungs]
    return [(rung, climbed) for rung, climbed in looked if climbed is not None]


async def advance(tx: Tx, rules: Mapping[str, Rules], new: Sequence[Rung] = (), *, due: bool = True) -> Advanced:
    """Begin the escalations of ``new``, and let those of the sites that are ``due`` go up their chains.

    Three statements at the most, however many there are.
    """
    begun = await _begin(tx, [(rung, look(rung, rules[rung.item.site], tx.now)) for rung in new], rules)
    result = Advanced(started_count=len(begun), begun_ids=[rung.item.id for rung, _ in begun])
    rows = await tx.connection.fetch(LOCK_DUE, tx.now, list(rules), MAX_STEPS) if due else []
    moved = [(rung, look(rung, rules[rung.item.site], tx.now)) for rung in (_rung(row, rules) for row in rows)]
    if not begun and not moved:
        return result
    every = [*begun, *((rung, climbed) for rung, climbed in moved if climbed is not None)]
    taken = await _move(tx, moved, every)
    for rung, climbed in sorted(every, key=lambda one: _by_urgency(one[0].item)):
        result.waiting_count += climbed.waiting
        result.skipped_count += sum(step.key(rung.item) in taken for step in climbed.skipped)
        if climbed.step is not None and climbed.step.key(rung.item) in taken:
            result.raised_count += 1
            _tell(tx, rung, climbed)
    return result


def _by_urgency(item: Item) -> tuple[int, datetime, int]:
    assert item.due_at is not None  # noqa: S101 - else `look` gives it up
    return item.priority, item.due_at, item.id


def look(rung: Rung, rules: Rules, now: datetime) -> Climb | None:
    """What becomes of an escalation now; None: its item needs nobody any more, or not yet."""
    item, until = rung.item, now + timedelta(hours=rules.settings.include_due_soon_hours)
    started = rung.position.level > 0
    if rung.chain is None or rung.episode != item.episode or not item.is_active or item.status == "done":
        return None
    if item.paused_at is not None or item.due_at is None or (started and item.due_at > until):
        return None
    return climb(rung.chain, item, rung.position, rules.calendar, now, rules.duty.find)


async def _begin(
    tx: Tx, looked: Sequence[tuple[Rung, Climb | None]], rules: Mapping[str, Rules]
) -> list[tuple[Rung, Climb]]:
    """Store the escalations that begin; returns those that began here."""
    found = [(rung, climbed) for rung, climbed in looked if climbed is not None]
    if not found:
        return []
    frozen = {digest_of(rung.frozen): rung.frozen for rung, _ in found}
    rows = [
        _row(rung, climbed)
        | {
            "site": rung.item.site,
            "started_at": tx.now,
            "chain_digest": digest_of(rung.frozen),
            "chains_source": rules[rung.item.site].published.source,
            "chains_version": rules[rung.item.site].published.version,
        }
        for rung, climbed in found
    ]
    began = await tx.connection.fetch(BEGIN_ESCALATIONS, rows, list(frozen), list(frozen.values()))
    ids = {row["item"] for row in began}
    return [(rung, climbed) for rung, climbed in found if rung.item.id in ids]


async def _move(
    tx: Tx, moved: Sequence[tuple[Rung, Climb | None]], every: Sequence[tuple[Rung, Climb]]
) -> frozenset[UUID]:
    """Store where escalations are now and the steps they took; returns the keys of the steps that are taken here."""
    rows = [_row(rung, climbed) for rung, climbed in moved]
    steps = [step for rung, climbed in every for step in _steps(tx, rung, climbed)]
    return frozenset(row["key"] for row in await tx.connection.fetch(MOVE_ESCALATIONS, rows, steps))


def _row(rung: Rung, climbed: Climb | None) -> dict[str, Any]:
    at = rung.position if climbed is None else climbed.position
    return {
        "item": rung.item.id,
        "episode": rung.episode,
        **asdict(at),
        "look_at": climbed.look_at if climbed is not None else None,
        "waiting": climbed is not None and climbed.waiting,
        "resting": climbed is None,
    }


def _steps(tx: Tx, rung: Rung, climbed: Climb) -> list[dict[str, Any]]:
    taken = [(step, "skipped", ()) for step in climbed.skipped]
    steps = taken if climbed.step is None else [*taken, (climbed.step, "raised", climbed.told)]
    return [
        {
            "key": step.key(rung.item),
            "item": rung.item.id,
            "episode": rung.episode,
            **asdict(step),
            "outcome": outcome,
            "at": tx.now,
            "targets": [asdict(one) for one in told],
            "cause": tx.message_id,
        }
        for step, outcome, told in steps
    ]


def _tell(tx: Tx, rung: Rung, climbed: Climb) -> None:
    step, chain = climbed.step, rung.chain
    assert step is not None  # noqa: S101 - only steps that were taken are told
    assert chain is not None  # noqa: S101 - and those are of a chain
    levels = len(chain.levels)
    raised = EscalationRaised(
        key=step.key(rung.item),
        item=ItemAnswer.model_validate(rung.item, from_attributes=True),
        level=step.level,
        levels=levels,
        repeat=step.repeat,
        chain=chain.name,
        targets=[TargetTold.model_validate(asdict(one)) for one in climbed.told],
        why=why(rung.item, chain, step, tx.now),
    )
    tx.emit(escalation_raised, raised, subject=str(rung.item.id), site=rung.item.site)


def why(item: Item, chain: Chain, step: domain.Step, now: datetime) -> str:
    """A sentence for who is told: what is due since or until when, and the how-manieth level and telling this is."""
    assert item.due_at is not None  # noqa: S101 - else nobody is told
    late = now > item.due_at
    span = _span(abs(now - item.due_at))
    state = f"has been overdue for {span}" if late else f"is due in {span}"
    again = f", told again ({step.repeat})" if step.repeat else ""
    return f"{item.rule_id} {state}: level {step.level} of {len(chain.levels)} of the chain {chain.name}{again}."


def _span(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 else f"{minutes // 1440} days"


def _rung(row: asyncpg.Record, rules: Mapping[str, Rules]) -> Rung:
    """Where an escalation is. If its chain can't be read any more, it goes on by the one that is in force for it: on
    the same level, or on the last if that has fewer."""
    state, item = row["rung"], items.to_item(dict(row))
    position = Position(**{name: state[name] for name in ("level", "repeat", "level_at", "told_at", "reached")})
    chain = thaw(row["frozen"])
    if chain is None and (chain := rules[item.site].chain_of(item)) is not None:
        position = replace(position, level=min(position.level, len(chain.levels)))
    return Rung(item, state["episode"], chain, row["frozen"], position)


async def look_again(tx: Tx) -> None:
    """Have the site's escalations looked at with the next tick: its calendar has changed. `global`: all sites'."""
    await tx.connection.execute(LOOK_AGAIN, tx.site, tx.now)


async def climb_on(tx: Tx) -> JobDone | None:
    """The minute's job, for all sites: steps that have become due. A site with unreadable documents holds up none."""
    rules: dict[str, Rules] = {}
    unreadable: list[str] = []
    for row in await tx.connection.fetch(SELECT_DUE_SITES, tx.now):
        try:
            found = await rules_of(tx.connection, row["site"], tx.now)
        except Refusal as error:
            log.warning("escalation waits", site=row["site"], error=error.detail)
            unreadable.append(row["site"])
            continue
        if found.settings.enabled and found.settings.notify_enabled:
            rules[row["site"]] = found
    done = await advance(tx, rules) if rules else Advanced()
    if not done.raised_count and not done.skipped_count:
        return None
    return JobDone("warning" if unreadable else "success", {**done.counts(), "unreadable_sites": unreadable})
