"""Tells the gates of every site what the witnesses of the audit log saw, so that a rule can want a fresh cosignature.

Each minute it is looked whom to tell: every site each quarter of an hour, a site whose rules want it fresher the more
often, and everybody at once when something else is so than they were told. To tell all of them each minute would fill
the log with what it says of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from libs.common.contracts.audit.witnesses import ForkSeen, WitnessView, fork_seen, list_witnesses
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.governance.kinds import KindName, KindWanted, wanted_kinds
from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx
from libs.common.versions import EVERYWHERE

KIND = "audit.witnessed"
SOURCE = "/headgate/operations"
SELDOM, OFTEN = timedelta(minutes=15), timedelta(minutes=1)
# A fifth of what a rule allows: the rest is for the witnesses, which are asked each five minutes while it is quiet.
OF_LIMIT = 5
JITTER = timedelta(seconds=10)  # a job is not run at the same second of each minute

SELECT_TOLD = "SELECT site, told_at, state FROM witness_told"
UPSERT_TOLD = """
INSERT INTO witness_told (site, told_at, state) SELECT site, $2, $3 FROM unnest($1::text[]) AS sites (site)
ON CONFLICT (site) DO UPDATE SET told_at = EXCLUDED.told_at, state = EXCLUDED.state
"""


async def tell(tx: Tx) -> JobDone | None:
    """Send what is so now to the sites that are due; None: none is, or no witness is named, which was told once."""
    found: list[WitnessView] = await tx.ask(list_witnesses, Nothing())
    data = _data(found, forked=any(one.state == "forked" for one in found))
    told = {row["site"]: row for row in await tx.connection.fetch(SELECT_TOLD)}
    if not found and all(row["state"] == _state(data) for row in told.values()):
        return None
    wanted: list[KindWanted] = await tx.ask(wanted_kinds, KindName(kind=KIND))

    def due(site: str) -> bool:
        row = told.get(site)
        if row is None or row["state"] != _state(data):
            # Without witnesses: only that there are none any more, so that what was said of them is not in force.
            return row is not None or bool(found)
        return bool(found) and row["told_at"] + period(wanted, site) - JITTER <= tx.now

    return await _send_to(tx, [site for site in await tx.ask(every_site, Nothing()) if due(site)], data)


async def _send_to(tx: Tx, sites: Sequence[str], data: dict[str, Any]) -> JobDone | None:
    if not sites:
        return None
    await _send(tx, sites, data)
    return JobDone(detail={**data, "site_count": len(sites)})


def period(wanted: Sequence[KindWanted], site: str) -> timedelta:
    """How often a site is told, though nothing but times changed: a fifth of its least patient rule's limit, between a
    minute and a quarter of an hour.
    """
    limits = [one.max_age_s for one in wanted if one.site in (site, EVERYWHERE) and one.max_age_s is not None]
    share = timedelta(seconds=min(limits) / OF_LIMIT) if limits else SELDOM
    return max(OFTEN, min(SELDOM, share))


async def tell_fork(tx: Tx, _seen: ForkSeen) -> None:
    """At once: no gate that wants witnesses may go by what was so a moment ago."""
    data = _data(await tx.ask(list_witnesses, Nothing()), forked=True)
    await _send(tx, await tx.ask(every_site, Nothing()), data)


async def _send(tx: Tx, sites: Sequence[str], data: dict[str, Any]) -> None:
    told = OutsideEvent(id=f"{tx.message_id}-{KIND}", source=SOURCE, type=KIND, time=tx.now, data=data)
    signal = SignalRecord(signals=[told])
    for site in sites:
        tx.send(record_signals, signal, site=site)
    await tx.connection.execute(UPSERT_TOLD, list(sites), tx.now, _state(data))


def _data(found: Sequence[WitnessView], *, forked: bool) -> dict[str, Any]:
    cosigning = [one for one in found if one.state == "cosigned" and one.cosigned_at is not None]
    times = [one.cosigned_at for one in cosigning if one.cosigned_at is not None]
    return {
        "witness_count": len(found),
        "cosigned_count": len(cosigning),
        "forked": forked,
        "size": max((one.size for one in cosigning), default=0),
        "witnessed_at": max(times).isoformat() if times else None,
    }


def _state(data: dict[str, Any]) -> str:
    """What must be told at once when it changes: not sizes and times, which change all the time."""
    return f"{data['cosigned_count']} of {data['witness_count']} cosign{', forked' if data['forked'] else ''}"


TABLE = Table(events={fork_seen: tell_fork}, jobs=(Job("witness_check", Schedule("* * * * *"), tell, looks=True),))
