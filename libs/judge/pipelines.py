"""Runs of pipelines and deployments: how one stands in one word, whatever the system calls it.

Only ``succeeded`` is success. A word that nobody knows is ``unknown``, which passes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PIPELINES, DEPLOYMENTS = "ci.pipeline", "deploy.status"
SUCCEEDED, RUNNING, FAILED = "succeeded", "running", "failed"
UNFINISHED = ("waiting", RUNNING)
STATUSES = (*UNFINISHED, SUCCEEDED, FAILED, "cancelled", "skipped", "rolled_back", "removed", "unknown")
RUN_KEYS = ("succeeded", "succeeded_count", "failed", "not_succeeded_count", "unfinished", "unfinished_count")

Run = Mapping[str, Any]


def of_pipelines(current: Sequence[Run], baseline: Sequence[Run]) -> dict[str, Any]:
    """The keys of ``RUN_KEYS``, and ``missing_parts``: names of pipelines that ran for the last GO and don't now."""
    missing = {str(run["name"]) for run in baseline} - {str(run["name"]) for run in current}
    return {**_counted((_pipeline_name(run), run) for run in current), "missing_parts": sorted(missing)}


def of_deployments(current: Sequence[Run]) -> dict[str, Any]:
    """The keys of ``RUN_KEYS``; the names are those of environments."""
    return _counted((str(run["environment"]), run) for run in current)


def _pipeline_name(run: Run) -> str:
    return " ".join(word for word in (str(run["name"]), run["event"], run["ref"]) if word)


def _counted(runs: Iterable[tuple[str, Run]]) -> dict[str, Any]:
    """``succeeded`` has all names, since conditions look for one of them; the others say how it stands beside it.

    A name under which one run succeeded and another did not has not succeeded.
    """
    named = sorted(runs, key=lambda one: one[0])
    ended = [(name, run) for name, run in named if run["status"] not in UNFINISHED]
    bad = [(name, run) for name, run in ended if run["status"] != SUCCEEDED]
    open_ones = [(name, run) for name, run in named if run["status"] in UNFINISHED]
    not_well = {name for name, _ in (*bad, *open_ones)}
    return {
        "succeeded": sorted({name for name, _ in named} - not_well),
        "succeeded_count": len(ended) - len(bad),
        "failed": [f"{name} ({run['status']})" for name, run in bad],
        "not_succeeded_count": len(bad) + len(open_ones),
        "unfinished": [f"{name} ({run['status']})" for name, run in open_ones],
        "unfinished_count": len(open_ones),
    }
