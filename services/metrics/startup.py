"""Reads the SLOs at start. One that can't be used stops the process with a sentence that names its place."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from libs.common.contracts.gateway.latency import BOUNDS_MS
from libs.common.runtime import StartError
from libs.common.series import DURATION_BUCKETS_S
from libs.slo.errors import SloError
from libs.slo.model import Objective
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
        return read_folder(folder, COMMON_BOUNDS_MS)
    except SloError as error:
        raise StartError(f"HEADGATE_SLO_DIR: {error}") from error


def read_watched(texts: Sequence[str]) -> Watched:
    """The routes that are watched. Raises `StartError`."""
    try:
        return watched(texts)
    except ValueError as error:
        raise StartError(f"HEADGATE_WATCHED_ROUTES: {error}") from error
