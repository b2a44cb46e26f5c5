"""PromQL as the tests of boards and alerts look at it: which series an expression names, and how it uses them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql

ROOT = Path(__file__).parents[1]
KINDS = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}
# What only a number that falls to zero at a start, and else grows, is for.
OF_COUNTERS = {"rate", "irate", "increase", "resets"}
# What says nothing of a number that only grows.
OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear", "avg_over_time", "min_over_time", "max_over_time",
             "sum_over_time", "quantile_over_time", "stddev_over_time", "stdvar_over_time", "holt_winters"}  # fmt: skip
# Prometheus and its client's own: of each target, and of each process.
OUTSIDE = {
    "up": ("Gauge", ()),
    "process_resident_memory_bytes": ("Gauge", ()),
    "process_cpu_seconds_total": ("Counter", ()),
    "process_open_fds": ("Gauge", ()),
    "process_max_fds": ("Gauge", ()),
    "process_start_time_seconds": ("Gauge", ()),
}
# Gauges that tell of a process. All others are read from a database that the replicas of a service share.
OF_PROCESS = {"headgate_dependency_up"}
ONCE = {"max", "min"}
OF_TARGETS = frozenset({"job", "instance", "service"})
_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Series:
    """One name that can be asked for. ``kind`` is Counter or Gauge; parts of histograms are counters."""

    family: str
    kind: str
    labels: frozenset[str]
    shared: bool = False  # each replica shows the same number


@dataclass(slots=True)
class Use:
    """How an expression uses one series: the functions around it, innermost first, and labels that it names."""

    name: str
    within: tuple[str, ...]
    matched: frozenset[str]


@dataclass(slots=True)
class Looked:
    """An expression: its uses of series, and the labels that aggregations group by."""

    uses: list[Use] = field(default_factory=list)
    grouped: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)  # labels, names below

    @property
    def names(self) -> set[str]:
        """The series that it names."""
        return {use.name for use in self.uses}


def look(expression: str) -> Looked:
    """Parse it. Raises ValueError for what is no PromQL."""
    looked = Looked()
    _walk(promql.parse(expression), (), looked)
    return looked


def names_in(expression: str) -> set[str]:
    """The series that an expression names."""
    return look(expression).names


def variables_in(text: str) -> set[str]:
    """Grafana's variables in a text, without those that Grafana itself sets."""
    return {name for name in (one or other for one, other in _VARIABLE.findall(text)) if not name.startswith("__")}


def _walk(node: Any, within: tuple[str, ...], looked: Looked) -> set[str]:
    """Look at a node; the names below it."""
    if isinstance(node, promql.VectorSelector):
        matchers = [*node.matchers.matchers, *(one for some in node.matchers.or_matchers for one in some)]
        if not node.name:
            raise ValueError(f"a selector without a name: {node}")
        looked.uses.append(Use(node.name, within, frozenset(one.name for one in matchers)))
        return {node.name}
    if isinstance(node, promql.MatrixSelector):
        return _walk(node.vector_selector, within, looked)
    if isinstance(node, promql.Call):
        return _each(node.args, (node.func.name, *within), looked)
    if isinstance(node, promql.AggregateExpr):
        below = _walk(node.expr, (str(node.op), *within), looked)
        if node.modifier is not None:
            looked.grouped.append((frozenset(node.modifier.labels), frozenset(below)))
        return below
    if isinstance(node, promql.BinaryExpr):
        return _each((node.lhs, node.rhs), within, looked)
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        return _walk(node.expr, within, looked)
    if isinstance(node, promql.NumberLiteral | promql.StringLiteral):
        return set()
    raise ValueError(f"{type(node).__name__} is not known here")


def _each(nodes: Any, within: tuple[str, ...], looked: Looked) -> set[str]:
    return set().union(*(_walk(one, within, looked) for one in nodes)) if nodes else set()


def faults(expression: str, known: Mapping[str, Series]) -> Iterator[str]:
    """What is wrong with an expression, a sentence each; ``known`` are the series that exist."""
    try:
        looked = look(expression)
    except ValueError as error:
        yield f"is no PromQL: {error}"
        return
    for use in looked.uses:
        series = known.get(use.name)
        if series is None:
            yield f"names {use.name}, which nobody exports"
            continue
        if strange := use.matched - series.labels - OF_TARGETS - _le(use.name):
            yield f"asks {use.name} for the labels {sorted(strange)}, which it has not"
        inner = use.within[0] if use.within else ""
        if series.kind == "Gauge" and inner in OF_COUNTERS:
            yield f"takes {inner} of {use.name}, which is a gauge"
        if series.shared and inner not in ONCE:
            yield f"counts {use.name} once for each replica: take its max first"
        if series.kind == "Counter" and inner in OF_GAUGES:
            yield f"takes {inner} of {use.name}, which is a counter"
        if series.kind == "Counter" and not set(use.within) & (OF_COUNTERS | OF_GAUGES):
            yield f"shows {use.name} as it is: a counter says something by its rate or increase"
        if "histogram_quantile" in use.within and not use.name.endswith("_bucket"):
            yield f"takes a quantile of {use.name}, which has no buckets"
    for labels, names in looked.grouped:
        had = set().union(*(known[name].labels | _le(name) for name in names if name in known))
        if names <= set(known) and (strange := labels - had - OF_TARGETS):
            yield f"groups by {sorted(strange)}, which none of {sorted(names)} has"


def _le(name: str) -> frozenset[str]:
    return frozenset({"le"}) if name.endswith("_bucket") else frozenset()


@cache
def declared() -> dict[str, Series]:
    """Every series that libs and services declare, read from the source: their names and labels are literals."""
    found: dict[str, Series] = {}
    for path in sorted([*(ROOT / "libs").rglob("*.py"), *(ROOT / "services").rglob("*.py")]):
        text = path.read_text(encoding="utf-8")
        if "prometheus_client" in text:
            for kind, family, labels in _declarations(ast.parse(text), path):
                for ending in KINDS[kind]:
                    shown = "Gauge" if kind == "Gauge" else "Counter"
                    name = family if family.endswith("_total") and ending == "_total" else family + ending
                    shared = kind == "Gauge" and name not in OF_PROCESS
                    found[name] = Series(family, shown, frozenset(labels), shared)
    return found


def _declarations(tree: ast.Module, path: Path) -> Iterator[tuple[str, str, list[str]]]:
    taken = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in taken & set(KINDS):
            labels = next((word.value for word in node.keywords if word.arg == "labelnames"), None)
            labels = labels or (node.args[2] if len(node.args) > 2 else None)
            try:
                yield node.func.id, ast.literal_eval(node.args[0]), list(ast.literal_eval(labels)) if labels else []
            except (ValueError, IndexError) as error:
                raise AssertionError(f"{path}:{node.lineno}: name and labels of a series are literals") from error


def outside() -> dict[str, Series]:
    """The series of Prometheus and its client."""
    return {name: Series(name, kind, frozenset(labels)) for name, (kind, labels) in OUTSIDE.items()}
