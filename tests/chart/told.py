"""What the containers are told, read as the processes in them read it, and where alerts send people."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from unittest import mock

from pydantic import ValidationError
from pydantic_settings import SettingsError

from libs.common.settings import Settings
from tests.chart.judges import Resource


def misread(resources: list[Resource]) -> list[str]:
    """What the processes would not take of their environment, by the settings' own check."""
    problems = []
    for one in resources:
        spec = one["spec"].get("jobTemplate", one)["spec"].get("template", {}).get("spec", {})
        for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
            told = {entry["name"]: entry["value"] for entry in container.get("env", [])}
            with mock.patch.dict(os.environ, told, clear=True):
                try:
                    Settings()
                except (ValidationError, SettingsError) as error:
                    problems.append(f"{one['metadata']['name']} {container['name']}: {error}")
    return problems


def misled(resources: list[Resource], address: str) -> list[str]:
    """Alerts whose runbook is not under this address; and if there are rules, that there are alerts at all."""
    groups = [group for one in resources if one["kind"] == "PrometheusRule" for group in one["spec"]["groups"]]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    if groups and len(alerts) < 30:
        return [f"the rules hold only {len(alerts)} alerts"]
    right = [f"{address}#{rule['alert'].lower()}" for rule in alerts]
    return [
        f"{rule['alert']} sends people to {rule['annotations'].get('runbook_url')}"
        for rule, url in zip(alerts, right, strict=True)
        if rule["annotations"].get("runbook_url") != url
    ]


def misdirected(notes: str, values: Mapping[str, Any]) -> list[str]:
    """Whether the chart's last words lead people past the console, or not the way that the values open."""
    edge = values.get("edge", {})
    ingress, route = edge.get("ingress", {}), edge.get("route", {})
    names = [ingress["host"]] if ingress.get("enabled") else route.get("hostnames", []) if route.get("enabled") else []
    if names:
        wrong = f"open https://{names[0]}/console" not in notes or "port-forward" in notes
    else:
        wrong = "port-forward service/headgate-gateway 8080" not in notes or "127.0.0.1:8080/console" not in notes
    return [f"the notes do not lead to the console by {names or 'port-forward'}"] if wrong else []
