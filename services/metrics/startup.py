"""Reads the SLOs at start. One that can't be used stops the process with a sentence that names its place; one
that asks only for what is never counted does not: it is told, and has no data.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from libs.common.contracts import CONTRACTS
from libs.common.contracts.gateway.latency import BOUNDS_MS
from libs.common.runtime import StartError
from libs.common.series import DURATION_BUCKETS_S
from libs.common.telemetry import log
from libs.slo.errors import SloError
from libs.slo.model import Objective, why_never
from libs.slo.openslo import read_folder
from services.metrics.domain.watched import Watched, watched

# A threshold must be a bound of both histograms, ours and that of Prometheus: else the two would count differently.
COMMON_BOUNDS_MS = tuple(bound for bound in BOUNDS_MS if bound / 1000 in DURATION_BUCKETS_S)


def packaged_slos() -> tuple[Objective, ...]:
    """Those that come with Headgate."""
    with resources.as_file(resources.files("services.metrics") / "slos") as folder:
        return read_folder(folder, COMMON_BOUNDS_MS)


def read_slos(folder: Path | None) -> tuple[Objective, ...]:
    """Those of ``folder``, else the packaged ones. Raises `StartError`."""
    if folder is None:
        return packaged_slos()
    if not folder.is_dir():
        raise StartError(f"HEADGATE_SLO_DIR: there is no folder {folder}")
    try:
        found = read_folder(folder, COMMON_BOUNDS_MS)
    except SloError as error:
        raise StartError(f"HEADGATE_SLO_DIR: {error}") from error
    for one in unmeasured(found):
        why = why_never(one.indicator.never_counted)
        log.warning("an SLO is never measured", reason=f"{one.name} ({one.file}, line {one.line}): {why}")
    return found


def unmeasured(objectives: Sequence[Objective]) -> list[Objective]:
    """Those that ask for nothing but what is never counted, as far as contracts say which routes there are."""
    operations = [one for contract in CONTRACTS.values() for one in contract.operations()]
    routes = [(one.http.method, one.http.path) for one in operations if one.http is not None]
    return [
        one
        for one in objectives
        if one.indicator.never_counted and not any(one.indicator.counts(method, path) for method, path in routes)
    ]


def read_watched(texts: Sequence[str]) -> Watched:
    """The routes that are watched. Raises `StartError`."""
    try:
        return watched(texts)
    except ValueError as error:
        raise StartError(f"HEADGATE_WATCHED_ROUTES: {error}") from error
