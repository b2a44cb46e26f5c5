"""The tracker's table of contents: each module's own table says what it answers."""

from __future__ import annotations

from libs.common.contracts.tracker import CONTRACT
from libs.common.service import Service
from services.tracker import (
    acknowledgement,
    assignment,
    bulk,
    calendars,
    chains,
    clocks,
    comments,
    completion,
    escalation,
    feed,
    gauges,
    hands,
    history,
    item_lists,
    items,
    kpi,
    links,
    people,
    retirement,
    runs,
    sla,
    sync,
)

SERVICE = Service.of(
    CONTRACT,
    items.TABLE,
    item_lists.TABLE,
    feed.TABLE,
    bulk.TABLE,
    history.TABLE,
    comments.TABLE,
    links.TABLE,
    clocks.TABLE,
    retirement.TABLE,
    sync.TABLE,
    completion.TABLE,
    kpi.TABLE,
    sla.TABLE,
    sla.RULES,
    calendars.TABLE,
    calendars.DOCUMENT,
    runs.TABLE,
    chains.TABLE,
    escalation.TABLE,
    acknowledgement.TABLE,
    people.TABLE,
    hands.TABLE,
    assignment.POLICY,
    assignment.TABLE,
    gauges=gauges.refresh,
)
