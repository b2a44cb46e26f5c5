"""Figures: what was measured, beside the floor that was measured in the same run, and how they are shown and kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
_FSYNC_TRIES = 50


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value in ``unit`` with its floor.

    ``value`` and ``floor`` are medians of ``rounds`` and ``floor_rounds``, which were measured in turns. ``aim`` is the
    wanted ratio of value to floor: at least it for rates, at most it for durations (``lower_is_better``).
    """

    bench: str
    name: str
    unit: str
    rounds: tuple[float, ...]
    floor_name: str = ""
    floor_rounds: tuple[float, ...] = ()
    aim: float | None = None
    lower_is_better: bool = False

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def floor(self) -> float | None:
        """The median of the floor's rounds; None where there is none."""
        return statistics.median(self.floor_rounds) if self.floor_rounds else None

    @property
    def ratio(self) -> float | None:
        """Value to floor: the median over rounds of each round's own ratio, so that a slow minute hits both sides."""
        if not self.floor_rounds:
            return None
        if len(self.rounds) != len(self.floor_rounds):
            return self.value / statistics.median(self.floor_rounds)
        return statistics.median(a / b for a, b in zip(self.rounds, self.floor_rounds, strict=True))

    @property
    def reached(self) -> bool | None:
        """Whether the aim was reached; None where there is none."""
        if self.aim is None or self.ratio is None:
            return None
        return self.ratio <= self.aim if self.lower_is_better else self.ratio >= self.aim

    def line(self) -> str:
        """One line for people."""
        text = f"  {self.name:<44}{shown(self.value):>9} {self.unit:<9}"
        if self.floor is None or self.ratio is None:
            return text.rstrip()
        text += f"{shown(self.floor):>9}  {self.floor_name:<38}{self.ratio:>6.2f}"
        if self.aim is not None:
            sign = "≤" if self.lower_is_better else "≥"
            text += f"  aim {sign} {self.aim:g}: {'reached' if self.reached else 'missed'}"
        return text

    def document(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**asdict(self), "value": self.value, "floor": self.floor, "ratio": self.ratio, "reached": self.reached}


@dataclass
class Report:
    """The figures of one run, and notes such as a peer that is not installed."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _shown: int = 0

    def show(self) -> None:
        """Print the figures that were not printed yet: a benchmark of an hour tells what it has."""
        for figure in self.figures[self._shown :]:
            print(figure.line(), flush=True)
        self._shown = len(self.figures)


def shown(value: float) -> str:
    """A number for people: whole from 100 on, else with two decimals."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def heading() -> str:
    """The head of the table."""
    return f"  {'figure':<44}{'value':>9} {'unit':<9}{'beside':>9}  {'what it is measured beside':<38}{'ratio':>6}"


def median_rate(count: int, seconds: Sequence[float]) -> tuple[float, ...]:
    """Rates per second of rounds that each did ``count`` things."""
    return tuple(count / one for one in seconds)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie; the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def machine(folder: Path) -> dict[str, Any]:
    """What the figures depend on: cores, versions, and the median time of one 4 KiB write and fsync in ``folder``."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "fsync_ms": round(_fsync_ms(folder), 3),
    }


def _fsync_ms(folder: Path) -> float:
    path, took = folder / "fsync-probe", []
    with path.open("wb", 0) as file:
        for _ in range(_FSYNC_TRIES):
            started = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno()) if sys.platform == "linux" else os.fsync(file.fileno())
            took.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return statistics.median(took)


def keep(report: Report, facts: dict[str, Any]) -> list[Path]:
    """Append each figure as a JSON line to ``bench/results/<bench>.jsonl``."""
    RESULTS.mkdir(exist_ok=True)
    head = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), **facts}
    paths = []
    for figure in report.figures:
        path = RESULTS / f"{figure.bench}.jsonl"
        with path.open("a") as file:
            file.write(json.dumps({**head, **figure.document()}) + "\n")
        if path not in paths:
            paths.append(path)
    return paths


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
