"""What is measured, and what one measurement found; kept as JSON, so that `simulate` can be asked again."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import RESULTS

KEPT = RESULTS / "scale.json"
CONNECTIONS = 16
OTHERS_AT_MOST = 0.2  # processors that strangers may use while something is measured


@dataclass(frozen=True, slots=True)
class Point:
    """So many processes of each service, so many connections that each send one request at a time, of these kinds."""

    processes: int
    connections: int
    kinds: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people."""
        kind = self.kinds[0] if len(set(self.kinds)) == 1 else "mixed"
        return f"{kind}, {self.processes} of each, {self.connections} at once"


@dataclass(frozen=True, slots=True)
class Found:
    """One measurement.

    ``done`` requests by kind in ``seconds``, until all their consequences were applied; ``cpu_s`` processor seconds by
    part, without what the same parts use when nobody asks, of which ``idle`` has the seconds a second; what each
    durable's consumers applied, as messages and transactions; ``answer_ms`` the mean time of an answer; ``others`` how
    many processors strangers used meanwhile.
    """

    done: dict[str, int]
    seconds: float
    cpu_s: dict[str, float]
    idle: dict[str, float]
    applied: dict[str, tuple[float, float]]
    answer_ms: float
    others: float

    @property
    def rate(self) -> float:
        """Requests a second that the installation keeps up with: consequences and all."""
        return self.count / self.seconds

    @property
    def count(self) -> int:
        """Requests of all kinds."""
        return sum(self.done.values())


@dataclass
class Measured:
    """All rounds of all points."""

    machine: dict[str, Any]
    rounds: dict[str, list[Found]] = field(default_factory=dict)
    points: dict[str, Point] = field(default_factory=dict)

    def add(self, point: Point, found: Found) -> None:
        """One more round."""
        self.points[point.name] = point
        self.rounds.setdefault(point.name, []).append(found)

    def append(self, others: Measured) -> None:
        """The rounds of another run of the same points, on a machine of as many cores."""
        for name, point in others.points.items():
            for found in others.rounds[name]:
                self.add(point, found)

    def middle(self, point: Point) -> Found:
        """The round with the median rate."""
        ordered = sorted(self.rounds[point.name], key=lambda one: one.rate)
        return ordered[len(ordered) // 2]

    def spread(self, point: Point) -> float:
        """The largest distance of a round from the median, as a share of it."""
        rates = [one.rate for one in self.rounds[point.name]]
        middle = statistics.median(rates)
        return max(abs(rate - middle) for rate in rates) / middle

    def disturbed(self, point: Point) -> bool:
        """Whether somebody else used the machine in the round that counts."""
        return self.middle(point).others > OTHERS_AT_MOST

    def save(self, path: Path = KEPT) -> None:
        """Write it."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load(path: Path = KEPT) -> Measured:
    """Read what `save` wrote. Raises `FileNotFoundError` if nothing was measured yet."""
    kept = json.loads(path.read_text())
    measured = Measured(kept["machine"])
    for name, point in kept["points"].items():
        measured.points[name] = Point(point["processes"], point["connections"], tuple(point["kinds"]))
        measured.rounds[name] = [Found(**one) for one in kept["rounds"][name]]
    return measured
