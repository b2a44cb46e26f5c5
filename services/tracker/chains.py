"""Chains as documents, and what a site escalates by: its chains, its calendar, and who is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from libs.common import versions
from libs.common.contracts.tracker import chains as contract
from libs.common.contracts.tracker.chains import CHAINS, Chains
from libs.common.contracts.versions import Published
from libs.common.listing import Source
from libs.common.telemetry import log
from services.tracker.domain import escalation as domain
from services.tracker.domain.calendars import Calendar
from services.tracker.domain.duty import Duty
from services.tracker.domain.escalation import Chain
from services.tracker.domain.item import Item
from services.tracker.people import duty_of
from services.tracker.terms import with_calendar


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site escalates by, now. ``chains`` and ``frozen`` (their canonical JSON, by name) are those in force.

    ``calendar_problem``: see `services.tracker.terms.Reading`.
    """

    published: Published[Chains]
    chains: tuple[Chain, ...]
    frozen: Mapping[str, str]
    calendar: Calendar
    calendar_problem: str | None
    duty: Duty

    @property
    def settings(self) -> Chains:
        """The document."""
        return self.published.content

    @property
    def fitting(self) -> list[dict[str, Any]]:
        """Which items the chains are for, as `escalation.SELECT_NOT_BEGUN` wants it."""
        return [chain.model_dump(include={"rules", "priorities", "gates"}) for chain in self.settings.chains]

    def chain_of(self, item: Item) -> Chain | None:
        """The chain that an item's escalation begins with."""
        return domain.chain_of(self.chains, item)


async def rules_of(source: Source, site: str, now: datetime) -> Rules:
    """What a site escalates by. Raises `Conflict` if the chains that were published do not fit this Headgate."""
    published, reading = await with_calendar(source, site, CHAINS)
    chains = published.content.chains
    return Rules(
        published=published,
        chains=tuple(to_chain(chain) for chain in chains),
        frozen={chain.name: versions.canonical(chain) for chain in chains},
        calendar=reading.calendar,
        calendar_problem=reading.problem,
        duty=await duty_of(source, site, now),
    )


@lru_cache(maxsize=256)
def thaw(frozen: str) -> Chain | None:
    """A chain from its canonical JSON; None for one of an older Headgate that this one can't read."""
    try:
        return to_chain(contract.Chain.model_validate_json(frozen))
    except ValidationError as error:
        log.warning("a frozen chain can't be read", errors=error.error_count())
        return None


def to_chain(chain: contract.Chain) -> Chain:
    """The chain as the domain has it."""
    return Chain(
        name=chain.name,
        rules=frozenset(chain.rules),
        priorities=frozenset(chain.priorities),
        gates=frozenset(chain.gates),
        business=chain.calendar == "business",
        levels=tuple(_to_level(level) for level in chain.levels),
    )


def _to_level(level: contract.Level) -> domain.Level:
    repeat = level.repeat_minutes
    return domain.Level(
        wait=timedelta(minutes=level.wait_minutes),
        targets=tuple(domain.Target(*given) for target in level.targets for given in target.given.items()),
        repeat=None if repeat is None else timedelta(minutes=repeat),
        max_repeats=level.max_repeats,
        on_empty=level.on_empty,
    )


TABLE = versions.table(CHAINS)
