"""What the NetworkPolicies let through, beside what the contracts say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tests.chart.judges import CHART, Resource

PORTS = {"dns": 53, "database": 5432, "bus": 4222, "mail": 587, "counters": 6379, "prometheus": 9090}
WEB = 443  # of the world, and of a bucket


def policies(resources: list[Resource], values: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """What is wrong with the NetworkPolicies: each pod goes out where the contracts say, and nowhere else.

    ``values`` are the whole ones: a way that has nobody at its end is shut.
    """
    found = {one["metadata"]["name"]: one["spec"] for one in resources if one["kind"] == "NetworkPolicy"}
    if not found:
        return []
    problems = [] if found["headgate-deny"].keys() == {"podSelector", "policyTypes"} else ["headgate-deny lets some in"]
    for name in (*known["services"], "keeper", "admin"):
        reaches = {"dns", *(known["services"].get(name) or known[name])["reaches"]}
        wanted = {port for way, port in PORTS.items() if way in reaches and values["network"][way]["to"]}
        wanted |= {WEB} if reaches & {"world", "bucket"} else set()
        rules = found[f"headgate-{name}"]["egress"]
        out = {port["port"] for rule in rules for port in rule["ports"]} & {*PORTS.values(), WEB}
        problems += [f"{name} may speak to ports {out}, should be {wanted}"] if out != wanted else []
        problems += [f"{name} may speak to anybody on {rule['ports']}" for rule in rules if not rule.get("to")]
    return problems


def whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """The chart's own values with those of a profile, as far as the network goes."""
    whole: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    for way, said in values.get("network", {}).items():
        whole["network"][way] = whole["network"][way] | said if isinstance(said, dict) else said
    return whole
