"""Totals over runs of pipelines, deployments, what became of artifacts, and measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from libs.judge.facts import Fact
from libs.judge.states import DELETED, SUCCEEDED, UNFINISHED

RUN_KEYS = ("succeeded", "succeeded_count", "failed", "not_succeeded_count", "unfinished", "unfinished_count")
STEP_KEYS = ("steps", "artifacts", "artifact_count")
NAMED = 5  # how many names a sentence lists
MAX_NAME_CHARS = 200

Run = Mapping[str, Any]


def of_pipelines(current: Sequence[Fact], baseline: Sequence[Fact], _: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``RUN_KEYS``, and ``missing_parts``: names of pipelines that ran for the last GO and don't now."""
    now, before = list(map(_data, current)), list(map(_data, baseline))
    missing = {str(run["name"]) for run in before} - {str(run["name"]) for run in now}
    return {**_counted((_pipeline_name(run), run) for run in now), "missing_parts": sorted(missing)}


def of_deployments(current: Sequence[Fact], _baseline: Sequence[Fact], _: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``RUN_KEYS``; the names are those of environments."""
    return _counted((str(run["environment"]), run) for run in map(_data, current))


def of_artifacts(current: Sequence[Fact], _baseline: Sequence[Fact], _: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``STEP_KEYS``. ``steps``: those that every artifact has taken; one that was deleted has taken none.

    Of the same artifact with two digests, each is one.
    """
    taken: dict[tuple[str, str], set[str]] = {}
    for one in map(_data, current):
        taken.setdefault((one["artifact"], one["digest"]), set()).add(one["step"])
    every = [set[str]() if DELETED in steps else steps for steps in taken.values()]
    return {
        "steps": sorted(set[str].intersection(*every)) if every else [],
        "artifacts": _names(sorted({artifact for artifact, _ in taken})),
        "artifact_count": len(taken),
    }


def of_samples(current: Sequence[Fact], _baseline: Sequence[Fact], _: Mapping[str, Any]) -> dict[str, Any]:
    """``values``: the number of each part, under its name."""
    return {"values": {fact.part: float(_data(fact)["value"]) for fact in current}}


def _data(fact: Fact) -> Run:
    if not isinstance(fact.data, Mapping):
        raise TypeError(f"signal {fact.signal_id}: facts are checked before anything is derived of them")
    return fact.data


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
        "failed": _names([f"{name} ({run['status']})" for name, run in bad]),
        "not_succeeded_count": len(bad) + len(open_ones),
        "unfinished": _names([f"{name} ({run['status']})" for name, run in open_ones]),
        "unfinished_count": len(open_ones),
    }


def _names(names: Sequence[str]) -> list[str]:
    return [name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…" for name in names[:NAMED]]
