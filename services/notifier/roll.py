"""The roll: who wants which events, compiled once and kept until a subscription or a person changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from libs.common.cloudevents import CloudEvent, format_time
from libs.common.contracts.notifier.subscriptions import subscription_tested
from libs.common.contracts.roles import may_see
from libs.common.service import Connection
from libs.judge.cel import Condition, compile_condition
from services.notifier.domain.matching import Filters, type_pattern
from services.notifier.domain.quiet import Pace
from services.notifier.paces import pace_of

# What a condition may name: the event's attributes, and its data.
VARIABLES: Mapping[str, str] = {"event": "map", "data": "map"}

SELECT_NUMBER = "SELECT number FROM roll"
# Its lock also puts changes of subscriptions in order.
RAISE_NUMBER = "UPDATE roll SET number = number + 1"
# Whose owner has left, or may not see the site any more, gets nothing.
SELECT_WANTING = """
SELECT subscription_id, subscription.site, event_types, gates, rules, priorities, roles, condition,
    person.role AS owner_role, person.own_permissions,
    coalesce(subscription.zone, own.zone, everywhere.zone) AS zone, quiet_hours,
    digest_minutes, urgent_priorities, urgent_event_types
FROM subscription JOIN person ON username = owner LEFT JOIN site_zone AS own ON own.site = subscription.site
LEFT JOIN site_zone AS everywhere ON everywhere.site = 'global'
WHERE status = 'active' AND active AND sites && ARRAY['*', subscription.site]
ORDER BY subscription_id
"""
SELECT_SITES = "SELECT DISTINCT site FROM subscription WHERE status <> 'removed'"


@dataclass(frozen=True, slots=True)
class Entry:
    """One subscription that may be sent something."""

    subscription_id: int
    types: re.Pattern[str]
    filters: Filters
    condition: Condition | None
    owner_role: str
    pace: Pace | None = None  # None: whatever comes is sent at once
    urgent_priorities: frozenset[int] = frozenset()
    urgent_types: re.Pattern[str] | None = None
    own_permissions: tuple[str, ...] | None = None  # of an owner whose role is one of the installation's own

    def when(self, event: CloudEvent, now: datetime) -> tuple[datetime, str]:
        """When the event is to be sent, and what it waits for: as `delivery.pace`."""
        if self.pace is None or event.name == subscription_tested.name or self._is_urgent(event):
            return now, "now"
        return self.pace.due_at(now), "digest" if self.pace.digest_minutes else "quiet"

    def _is_urgent(self, event: CloudEvent) -> bool:
        if self.urgent_types is not None and self.urgent_types.fullmatch(event.name):
            return True
        data = event.data if isinstance(event.data, Mapping) else {}
        item = data.get("item")
        return (item if isinstance(item, Mapping) else data).get("priority") in self.urgent_priorities


@dataclass(frozen=True)
class Roll:
    """All subscriptions as of one number. ``sites`` are those whose events are kept."""

    number: int
    sites: frozenset[str]
    entries: Mapping[str, tuple[Entry, ...]]
    _by_name: dict[tuple[str, str], tuple[Entry, ...]] = field(default_factory=dict)

    def only(self, subscription_id: int) -> Roll:
        """The roll with this subscription alone, or with none if it may be sent nothing."""
        found = {
            site: tuple(one for one in entries if one.subscription_id == subscription_id)
            for site, entries in self.entries.items()
        }
        return Roll(self.number, self.sites, found)

    def takers(self, event: CloudEvent) -> list[Entry]:
        """The subscriptions that get the event, in the order of their numbers."""
        data = event.data if isinstance(event.data, Mapping) else {}
        if event.name == subscription_tested.name:  # a sample is for one alone, whatever it asks for
            wanted = data.get("subscription_id")
            return [one for one in self.entries.get(event.site, ()) if one.subscription_id == wanted]
        told: dict[str, bool] = {}  # conditions that have been judged: many subscriptions may share one
        return [
            one
            for one in self._named(event.site, event.name)
            if one.filters.match(data) and _holds(one.condition, event, data, told)
        ]

    def _named(self, site: str, name: str) -> tuple[Entry, ...]:
        found = self._by_name.get((site, name))
        if found is None:
            found = self._by_name[site, name] = tuple(
                one
                for one in self.entries.get(site, ())
                if one.types.fullmatch(name) and may_see(one.owner_role, name, one.own_permissions)
            )
        return found


def _holds(condition: Condition | None, event: CloudEvent, data: Mapping[str, Any], told: dict[str, bool]) -> bool:
    if condition is None:
        return True
    if condition.expression not in told:
        about = {
            "id": event.id,
            "type": event.name,
            "source": event.source,
            "subject": event.subject,
            "time": format_time(event.time),
            "site": event.site,
            "actor": event.actor,
        }
        told[condition.expression] = condition.evaluate({"event": about, "data": data}).passed
    return told[condition.expression]


class Rolls:
    """Holds the roll of a process, and reads it anew when its number has been raised."""

    def __init__(self) -> None:
        self._roll: Roll | None = None

    async def current(self, connection: Connection) -> Roll:
        """The roll as this transaction sees it, or a newer one."""
        number = await connection.fetchval(SELECT_NUMBER)
        if self._roll is None or self._roll.number != number:
            self._roll = await _read(connection, number)
        return self._roll


async def _read(connection: Connection, number: int) -> Roll:
    compiled: dict[str, Condition] = {}
    entries: dict[str, list[Entry]] = {}
    for row in await connection.fetch(SELECT_WANTING):
        text = row["condition"]
        if text and text not in compiled:
            compiled[text] = compile_condition(text, VARIABLES)
        filters = Filters(
            *(frozenset(row[name]) for name in ("gates", "rules", "priorities", "roles")),
        )
        paced = row["quiet_hours"] or row["digest_minutes"]
        entry = Entry(
            row["subscription_id"],
            type_pattern(row["event_types"]),
            filters,
            compiled.get(text),
            row["owner_role"],
            pace_of(row["zone"], row["quiet_hours"], row["digest_minutes"]) if paced else None,
            frozenset(row["urgent_priorities"]),
            type_pattern(row["urgent_event_types"]) if row["urgent_event_types"] else None,
            None if row["own_permissions"] is None else tuple(row["own_permissions"]),
        )
        entries.setdefault(row["site"], []).append(entry)
    sites = frozenset(row["site"] for row in await connection.fetch(SELECT_SITES))
    return Roll(number, sites, {site: tuple(found) for site, found in entries.items()})
