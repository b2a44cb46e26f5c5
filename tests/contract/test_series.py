"""Every series that an alert rule or the dashboard names is one that a running service exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import LocalStack
from libs.common.contracts import SERVICES
from tests.local_traffic import await_that, story

pytestmark = pytest.mark.integration
DEPLOY = Path(__file__).parents[2] / "deploy"
# Made by Prometheus itself for each target.
PROMETHEUS_OWN = {"up"}
WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool"}
NOT_A_SERIES = re.compile(r'"(?:\\.|[^"\\])*"|\{[^{}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^()]*\)')
NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*(?!\s*\(|\w)")


def names_in(expression: str) -> set[str]:
    """The series that a PromQL expression names: what is left without labels, ranges, groupings and functions."""
    bare = NOT_A_SERIES.sub(" ", NOT_A_SERIES.sub(" ", expression))
    return {name for name in NAME.findall(bare) if name not in WORDS}


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels of the dashboard."""
    found: list[dict[str, Any]] = json.loads((DEPLOY / "grafana" / "dashboards" / "headgate.json").read_text())[
        "panels"
    ]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every rule and panel."""
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]


def exported(page: str) -> dict[str, set[str]]:
    """What a /metrics page offers: the series of each family, also of one without a sample yet, and its labels."""
    offered: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
        for suffix in suffixes.get(family.type, ("",)):
            offered[family.name + suffix] = {label for sample in family.samples for label in sample.labels}
    return offered


def test_names_are_found_in_promql() -> None:
    assert names_in('sum by (le) (rate(a_bucket{x!="/b"}[5m])) / b_total > 0.05 or vector(1)') == {
        "a_bucket",
        "b_total",
    }
    assert names_in('x unless x{a="b"} offset 10m') == {"x"}
    assert names_in("topk(5, histogram_quantile(0.95, sum by (le, r) (rate(q_bucket[5m]))))") == {"q_bucket"}


def test_every_series_of_rules_and_dashboard_is_exported(local_stack: LocalStack) -> None:
    story(local_stack)
    offered: dict[str, set[str]] = {}

    def scrape() -> bool:
        offered.clear()
        for service in SERVICES:
            page = httpx2.get(f"http://127.0.0.1:{local_stack.options.port_of(service)}/metrics", trust_env=False)
            assert page.status_code == 200
            for name, labels in exported(page.text).items():
                offered.setdefault(name, set()).update(labels)
        return bool(offered.get("headgate_open_items"))  # measured every few seconds

    await_that("the tracker's gauges", scrape)
    missing = [f"{where}: {name}" for where, text in expressions() for name in names_in(text) - set(offered)]
    assert [line for line in missing if line.rpartition(" ")[2] not in PROMETHEUS_OWN] == []
    # Labels, where there are samples to compare with.
    for where, text in expressions():
        for name, labels in re.findall(r"([a-z_]+)\{([^{}]*)\}", text):
            wanted = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)", labels))
            known = offered.get(name, set())
            assert not known or wanted <= known, f"{where}: {name} has no label {wanted - known}"


def test_a_watchdog_and_an_action_for_every_alert() -> None:
    watchdog, *others = rules()
    assert (watchdog["alert"], watchdog["expr"]) == ("Watchdog", "vector(1)")
    assert all({"summary", "action"} <= set(rule["annotations"]) and "for" in rule for rule in others)


def test_prometheus_scrapes_the_ports_that_compose_gives() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in scraped for group in job["static_configs"] for target in group["targets"]]
    assert targets == [f"{service}:{8080 + number}" for number, service in enumerate(SERVICES)]
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    assert set(SERVICES) <= set(compose)
    for service in SERVICES:
        assert compose[service]["environment"]["HEADGATE_SERVICE"] == service
        assert compose[service]["restart"] == "unless-stopped"
        assert any(volume.startswith(f"secrets-{service}:") for volume in compose[service]["volumes"])
        assert len([volume for volume in compose[service]["volumes"] if volume.startswith("secrets-")]) == 1
