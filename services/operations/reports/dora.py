"""DORA's four keys, read from what was recorded of deployments."""

from __future__ import annotations

from datetime import timedelta

from libs.common.contracts.operations import dora as contract
from libs.common.contracts.operations.dora import (
    BANDS_SOURCE,
    KEY_NAMES,
    Dora,
    DoraEnvironment,
    DoraKey,
    DoraWindow,
)
from libs.common.service import Read, Table
from services.operations.domain.dora import Counted, Deployed, Key, count, keys_of

MAX_READ = 20_000
LOOKED_BACK = timedelta(days=180)  # before the window: what failed then and still lasts must not be lost

# Of a deployment that was tested several times the newest word counts.
SELECT_DEPLOYED = """
SELECT DISTINCT ON (environment, deploy_id) environment, deploy_id, status, rollback, committed_at, started_at,
    finished_at
FROM (
    SELECT * FROM deployment WHERE finished_at >= $1 AND finished_at <= $2
    ORDER BY finished_at DESC, run_id DESC LIMIT $3
) AS newest ORDER BY environment, deploy_id, finished_at DESC, run_id DESC
"""
COUNT_DEPLOYED = """
SELECT count(*) FROM (
    SELECT FROM deployment WHERE finished_at >= $1 AND finished_at <= $2 LIMIT $3
) AS found
"""
UNITS = {
    "deployment_frequency": "per_day", "lead_time": "hours", "change_failure_rate": "percent",
    "time_to_restore": "hours",
}  # fmt: skip


async def show(read: Read, wanted: DoraWindow) -> Dora:
    """The four keys of the last days, by environment and over all."""
    since = read.now - timedelta(days=wanted.days)
    bounds = since - LOOKED_BACK, read.now
    rows = await read.pool.fetch(SELECT_DEPLOYED, *bounds, MAX_READ)
    read_count = await read.pool.fetchval(COUNT_DEPLOYED, *bounds, MAX_READ + 1)
    by_environment: dict[str, list[Deployed]] = {}
    for row in rows:
        by_environment.setdefault(row["environment"], []).append(Deployed(**dict(row)))
    counted = {name: count(deployed, since) for name, deployed in sorted(by_environment.items())}
    overall = sum(counted.values(), Counted())
    return Dora(
        generated_at=read.now,
        days=wanted.days,
        since=since,
        bands_source=BANDS_SOURCE,
        truncated=read_count > MAX_READ,
        overall=_shown("", overall, wanted.days),
        environments=[_shown(name, found, wanted.days) for name, found in counted.items()],
    )


def _shown(name: str, found: Counted, days: int) -> DoraEnvironment:
    keys = keys_of(found, days)
    return DoraEnvironment(
        environment=name,
        deployment_count=found.good,
        change_count=found.changes,
        failed_count=found.failed,
        rollback_count=found.rollbacks,
        without_commit_time_count=found.without_commit,
        restored_count=len(found.restore),
        open_failure_count=len(found.open_since),
        open_since=min(found.open_since, default=None),
        keys=[_key(one, keys[one], found) for one in KEY_NAMES],
    )


def _key(name: str, key: Key, found: Counted) -> DoraKey:
    values = {"key": name, "state": key.state, "value": key.value, "unit": UNITS[name], "band": key.band}
    return DoraKey.model_validate({**values, "sample_count": key.sample_count, "note": _note(name, key, found)})


def _note(name: str, key: Key, found: Counted) -> str:
    """What to know before the figure is believed."""
    if name == "time_to_restore" and found.open_since:
        return f"{len(found.open_since)} failures last and are in no figure; the oldest since {min(found.open_since)}"
    if name == "time_to_restore" and key.state == "no_data":
        return "no failure was over in these days"
    if name == "lead_time" and found.without_commit:
        return f"{found.without_commit} of {found.good} good changes do not say when they were committed"
    if key.state == "no_data":
        return "nothing was deployed"
    return "too few for a band" if key.state == "few_data" else ""


TABLE = Table(queries={contract.show_dora: show})
