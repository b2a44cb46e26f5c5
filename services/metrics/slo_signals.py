"""Tells the gates how the SLOs stand (``ops.slo``): those of every site, and of the subjects that SLOs name.

At once when one stands otherwise, and every hour, so that the fact stays young as long as somebody looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.problems import Refusal
from libs.common.service import Tx
from libs.common.telemetry import log
from libs.slo.burn import PAIRS, Standing, worst
from libs.slo.model import Objective

SOURCE = "/headgate/metrics"
EVERY = timedelta(hours=1)
Stands = Sequence[tuple[Objective, Standing]]

SELECT_TOLD = "SELECT told_at, content FROM slo_told"
STORE_TOLD = """
INSERT INTO slo_told (told_at, content) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET told_at = excluded.told_at, content = excluded.content
"""


def data_of(stands: Stands) -> dict[str, Any]:
    """What a gate judges. An SLO may count twice: it pages, and its budget is spent."""
    lefts = [one.left_percent for _, one in stands if one.left_percent is not None]
    firing = [{pair.severity for pair, fire in zip(PAIRS, one.firing, strict=True) if fire} for _, one in stands]
    return {
        "status": worst([one.status for _, one in stands]),
        "slo_count": len(stands),
        "page_count": sum("page" in fired for fired in firing),
        "spent_count": sum(left <= 0 for left in lefts),
        "ticket_count": sum("ticket" in fired for fired in firing),
        "no_data_count": sum(one.status == "no_data" for _, one in stands),
        "lowest_budget_left_percent": min(lefts, default=None),
        "slos": [
            {"name": objective.name, "status": one.status, "budget_left_percent": one.left_percent}
            for objective, one in stands
        ],
    }


async def tell(tx: Tx, stands: Stands) -> None:
    """Send the signal if its time has come. While nobody can say which sites there are, it waits for the next look."""
    content = orjson.dumps({objective.name: one.status for objective, one in stands}).decode()
    before = await tx.connection.fetchrow(SELECT_TOLD)
    if before is not None and before["content"] == content and timedelta() <= tx.now - before["told_at"] < EVERY:
        return
    try:
        sites = await tx.ask(every_site, Nothing())
    except Refusal as refusal:
        log.warning("gates are not told of the SLOs", reason=refusal.detail)
        return
    record = SignalRecord(signals=_signals(stands, tx.now))
    for site in sites:
        tx.send(record_signals, record, site=site)
    await tx.connection.execute(STORE_TOLD, tx.now, content)


def _signals(stands: Stands, now: datetime) -> list[OutsideEvent]:
    subjects = sorted({subject for objective, _ in stands for subject in objective.subjects})
    stamp = f"{now:%Y%m%dT%H%M%S.%fZ}"
    told = [OutsideEvent(id=f"slo-{stamp}", source=SOURCE, type="ops.slo", time=now, data=data_of(stands))]
    for number, subject in enumerate(subjects):
        mine = [(objective, one) for objective, one in stands if subject in objective.subjects]
        told.append(
            OutsideEvent(
                id=f"slo-{stamp}-{number}", source=SOURCE, type="ops.slo", subject=subject, time=now, data=data_of(mine)
            )
        )
    return told
