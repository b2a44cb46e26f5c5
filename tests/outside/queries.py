"""PromQL and LogQL of every panel, rule and link, read by the grammars that Grafana and Prometheus edit with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.outside.tools import HERE
from tests.outside.world import World, check

DEPLOY = HERE.parents[1] / "deploy"
WITHIN_S = 60
# What must be seen; the first of each language is right.
PLANTED = {
    "prometheus": ('sum by (le) (rate(a_bucket{x="y"}[5m])) > 0', "sum by (le (rate(a[5m]))", "rate(a[5m]) >", "a{x=}"),
    "loki": (
        'sum by (a) (count_over_time({x="y"} | b="c" | json d="e" [5m]))',
        '{x="y"} | b=', 'sum(count_over_time({x="y"}))', '{x="y"', 'x | json',
    ),
}  # fmt: skip


def step(world: World) -> None:
    """All are read, and what is planted is not."""
    planted = [
        {"where": f"{language} {number}", "language": language, "text": text}
        for language, texts in PLANTED.items()
        for number, text in enumerate(texts)
    ]
    seen = _faults(world.tools.node, planted)
    wanted = {one["where"] for one in planted if not one["where"].endswith(" 0")}
    check(set(seen) == wanted, f"of the planted ones {wanted ^ set(seen)} were judged wrongly: {seen}")
    every = list(queries())
    wrong = _faults(world.tools.node, every)
    check(not wrong, f"no sentences: {wrong}")
    for language, judge in (("prometheus", "@prometheus-io/lezer-promql"), ("loki", "@grafana/lezer-logql")):
        count = sum(one["language"] == language for one in every)
        check(count > 10, f"only {count} for {language}")
        world.figure(f"queries of panels, rules and links read, {len(PLANTED[language]) - 1} planted faults seen",
                     judge, f"{count} of {count}")  # fmt: skip


def queries() -> Iterator[dict[str, str]]:
    """Where each stands, its language and its text; variables stand within strings and so stay."""
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                where = f"{path.stem}: {panel['title']} {target['refId']}"
                yield {"where": where, "language": panel["datasource"]["type"], "text": target["expr"]}
    for path in (DEPLOY / "prometheus" / "rules.yml", DEPLOY / "prometheus" / "slo-rules.yml"):
        for number, rule in enumerate(_rules(path)):
            where = f"{path.name} {number}: {rule.get('alert') or rule['record']}"
            yield {"where": where, "language": "prometheus", "text": rule["expr"]}
    tempo = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/tempo.yml").read_text(encoding="utf-8"))
    link = tempo["datasources"][0]["jsonData"]["tracesToLogsV2"]["query"]
    yield {"where": "link of Tempo", "language": "loki", "text": link}


def _rules(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _faults(node: str, asked: Sequence[dict[str, str]]) -> dict[str, str]:
    done = subprocess.run(
        [node, HERE / "queries.mjs"], input=json.dumps(asked), capture_output=True, text=True, timeout=WITHIN_S,
        check=False,
    )  # fmt: skip
    check(done.returncode == 0, f"queries.mjs: {done.stderr[-1000:]}")
    found: dict[str, str] = json.loads(done.stdout)
    return found
