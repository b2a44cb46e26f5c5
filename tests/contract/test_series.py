"""Every series that an alert rule or a board names is one that a running service exports."""

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
from tests.promql import OF_TARGETS, look, names_in

pytestmark = pytest.mark.integration
DEPLOY = Path(__file__).parents[2] / "deploy"
# Made by Prometheus itself for each target.
PROMETHEUS_OWN = {"up"}
VARIABLE = re.compile(r"\$\w+")


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def slo_rules() -> list[dict[str, Any]]:
    """The rules that are made of the SLOs: recorded series, and alerts over them."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "slo-rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[tuple[str, dict[str, Any]]]:
    """(board, panel) of all boards, without the headings and what shows the log."""
    found = [json.loads(path.read_text()) for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))]
    every = [(board["title"], panel) for board in found for panel in board["panels"]]
    return [(board, panel) for board, panel in every if panel.get("datasource", {}).get("type") == "prometheus"]


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every rule and panel, with all that a variable may be."""
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]
    for board, panel in panels():
        for target in panel["targets"]:
            yield f"{board}, panel {panel['title']}", VARIABLE.sub(".*", target["expr"])
    # Those of the API itself: nobody may have asked a gate anything yet.
    for rule in slo_rules():
        if rule["labels"]["slo"].startswith("api-"):
            yield f"SLO {rule['labels']['slo']} {rule.get('record') or rule['alert']}", rule["expr"]


def exported(page: str) -> dict[str, set[str]]:
    """What a /metrics page offers: the series of each family, also of one without a sample yet, and its labels."""
    offered: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
        for suffix in suffixes.get(family.type, ("",)):
            offered[family.name + suffix] = {label for sample in family.samples for label in sample.labels}
    return offered


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
    offered |= {rule["record"]: set() for rule in slo_rules() if "record" in rule}  # made by the rules themselves
    offered |= {name: set() for name in PROMETHEUS_OWN}
    missing = [f"{where}: {name}" for where, text in expressions() for name in names_in(text) - set(offered)]
    assert missing == []
    # Labels, where there are samples to compare with.
    for where, text in expressions():
        for use in look(text).uses:
            known = offered[use.name]
            assert not known or use.matched <= known | OF_TARGETS, f"{where}: {use.name} has not all of {use.matched}"


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
