"""The autopilot's policy, as its callers know it, and the switch that stops it at once."""

from __future__ import annotations

import asyncpg

from libs.common import versions
from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import stated
from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker import autopilot_policy as policies
from libs.common.contracts.tracker.autopilot import AutopilotSwitched, StopBody, Switch, autopilot_switched
from libs.common.contracts.tracker.autopilot_policy import (
    POLICY,
    AutopilotPolicy,
    PolicyBody,
    PolicyMeta,
    PolicyShown,
)
from libs.common.contracts.versions import Published
from libs.common.listing import Source
from libs.common.problems import Conflict
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE

_SWITCHES = "SELECT site, stopped_at, stopped_by, reason FROM autopilot_switch WHERE site = ANY (ARRAY[$1, 'global'])"
SELECT_SWITCHES = f"{_SWITCHES} ORDER BY site = 'global'"
# A run holds its site's switch, and shares that of all: so runs of a site go one after another, and a stop waits for
# the run that is under way, which is a matter of seconds. Own before global, always.
ADD_SWITCH = "INSERT INTO autopilot_switch (site) VALUES ($1) ON CONFLICT DO NOTHING"
HOLD_SWITCH = "SELECT site, stopped_at, stopped_by, reason FROM autopilot_switch WHERE site = $1 FOR UPDATE"
SHARE_SWITCH = "SELECT site, stopped_at, stopped_by, reason FROM autopilot_switch WHERE site = 'global' FOR SHARE"
STOP = """
INSERT INTO autopilot_switch (site, stopped_at, stopped_by, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (site) DO UPDATE SET stopped_at = excluded.stopped_at, stopped_by = excluded.stopped_by,
    reason = excluded.reason
WHERE autopilot_switch.stopped_at IS NULL RETURNING site
"""
RESUME = """
UPDATE autopilot_switch SET stopped_at = NULL, stopped_by = NULL, reason = $2
WHERE site = $1 AND stopped_at IS NOT NULL RETURNING site
"""


async def switch_of(source: Source, site: str) -> Switch:
    """The switch as it is now."""
    return _switch(await source.fetch(SELECT_SWITCHES, site), site)


async def hold_switch(tx: Tx) -> Switch:
    """The same, held until the transaction ends: what is stored in it is stored before any stop is."""
    await tx.connection.execute(ADD_SWITCH, tx.site)
    rows = await tx.connection.fetch(HOLD_SWITCH, tx.site)
    if tx.site != EVERYWHERE:
        rows += await tx.connection.fetch(SHARE_SWITCH)
    return _switch(rows, tx.site)


def _switch(rows: list[asyncpg.Record], site: str) -> Switch:
    for row in rows:
        if row["stopped_at"] is not None:
            return Switch(
                stopped=True,
                scope="own" if row["site"] == site else "global",
                stopped_at=row["stopped_at"],
                stopped_by=row["stopped_by"],
                reason=row["reason"],
            )
    return Switch(stopped=False)


async def stop(tx: Tx, body: StopBody) -> Switch:
    """Stop it: once this is answered nothing that it does is stored. Raises `Conflict` if it is stopped here."""
    if await tx.connection.fetchval(STOP, tx.site, tx.now, tx.actor, body.reason) is None:
        raise Conflict("The autopilot is stopped here already.")
    return await _switched(tx, body.reason, stopped=True)  # its condition saw that it was not


async def resume(tx: Tx, body: StopBody) -> Switch:
    """Let it act again. Raises `Conflict` if it is not stopped here; a stop in `global` can only end there."""
    if await tx.connection.fetchval(RESUME, tx.site, body.reason) is None:
        everywhere = (await switch_of(tx.connection, tx.site)).stopped
        hint = " It is stopped for every site; resume it in the site global." if everywhere else ""
        raise Conflict(f"The autopilot is not stopped at this site.{hint}")
    return await _switched(tx, body.reason, stopped=False)


async def _switched(tx: Tx, reason: str, *, stopped: bool) -> Switch:
    changes = stated({"stopped": not stopped}, {"stopped": stopped})
    told = AutopilotSwitched(site=tx.site, stopped=stopped, reason=reason, changes=changes)
    tx.emit(autopilot_switched, told, subject=tx.site)
    return await switch_of(tx.connection, tx.site)


async def get_policy(read: Read, _params: Nothing) -> PolicyShown:
    """The policy in force. Raises `Conflict` if it can't be read."""
    return _shown(await versions.current(read.pool, POLICY, read.site), read.site)


async def set_policy(tx: Tx, body: PolicyBody) -> PolicyShown:
    """Publish the policy in force with some settings changed. Raises as `versions.publish`."""
    now = await versions.current(tx.connection, POLICY, tx.site)
    # Of two changes at once each keeps what the other has set: who comes second is refused, and reads again.
    expected = now.own_version if body.expected_version is None else body.expected_version
    return _shown(await versions.publish(tx, POLICY, body.over(now.content), body.reason, expected), tx.site)


def _shown(published: Published[AutopilotPolicy], site: str) -> PolicyShown:
    applies_to = site if published.source == "own" else EVERYWHERE
    return PolicyShown(
        meta=PolicyMeta(applies_to=applies_to, updated_at=published.published_at),
        updated_at=published.published_at,
        source=published.source,
        version=published.version,
        own_version=published.own_version,
        policy=published.content,
    )


DOCUMENT = versions.table(POLICY)
TABLE = Table(
    commands={
        policies.set_policy: set_policy,
        contract.stop_autopilot: stop,
        contract.resume_autopilot: resume,
    },
    queries={policies.get_policy: get_policy},
)
