"""DORA's four keys: how often is deployed, how long a change takes, how many fail, how long until it is well again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Csv, Json, Model, Open, Query, Time

BANDS_SOURCE = "DORA, Accelerate State of DevOps Report 2023 (DORA gave such bands up in 2025: read them as history)"
KEY_NAMES = ("deployment_frequency", "lead_time", "change_failure_rate", "time_to_restore")

KeyName = Literal["deployment_frequency", "lead_time", "change_failure_rate", "time_to_restore"]
Band = Literal["elite", "high", "medium", "low"]


class DoraWindow(Model):
    days: int = Field(30, ge=1, le=365, description="How many days up to now")


class DoraKey(Open):
    """``value`` in ``unit``, of ``sample_count`` things that were counted; null (``no_data``) is never a good figure.

    ``few_data``: too few for a band. ``band`` goes by `bands_source`; null where nothing can be said.
    """

    key: KeyName
    state: Literal["ok", "few_data", "no_data"]
    value: float | None
    unit: Literal["per_day", "hours", "percent"]
    sample_count: int
    band: Band | None
    note: str


class DoraEnvironment(Open):
    """An environment, or all of them together (``environment`` empty).

    ``deployment_count``: those that went well; ``change_count``: what was deployed that was no rollback, well or not;
    ``failed_count``: of these the failed ones; ``rollback_count``; ``without_commit_time_count``: good changes that say
    nothing of their commit, and so are in no lead time. ``restored_count`` failures were over in the window, and
    ``open_failure_count`` last: these are in no time to restore.
    """

    environment: str
    deployment_count: int
    change_count: int
    failed_count: int
    rollback_count: int
    without_commit_time_count: int
    restored_count: int
    open_failure_count: int
    open_since: Time | None
    keys: list[DoraKey]


class Dora(Open):
    """``truncated``: there were more deployments than are read (20,000), so that the oldest are not counted."""

    generated_at: Time
    days: int
    since: Time
    bands_source: str
    truncated: bool
    overall: DoraEnvironment
    environments: list[DoraEnvironment]


def _rows(document: Json) -> list[Json]:
    places = [document["overall"], *document["environments"]]
    return [{**key, "environment": one["environment"] or "all"} for one in places for key in one["keys"]]


show_dora = Query(
    "operations.dora.get",
    params=DoraWindow,
    result=Dora,
    permission="operations:read",
    http=GET(
        "/api/ops/dora",
        csv=Csv(_rows, ("environment", "key", "state", "value", "unit", "sample_count", "band", "note"), "ops-dora"),
        csv_path="/api/ops/dora/csv",
    ),
    summary="DORA's four keys from recorded deployments, by environment and over all",
    sited=False,
)
