"""What the NetworkPolicies let through, held against what the contracts and the values say: each peer, each port."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tests.chart.judges import CHART, Resource

# Where each way leads, if a profile does not say otherwise. Written here, too: a default that opens more is seen.
PORTS: dict[str, tuple[int, ...]] = {
    "dns": (53,), "database": (5432,), "bus": (4222, 8222), "telemetry": (4318, 3100), "counters": (6379,),
    "prometheus": (9090,), "mail": (587, 465), "world": (80, 443), "bucket": (443,),
}  # fmt: skip
Rule = tuple[frozenset[str], str]  # "TCP 443" and the like, and the peers as JSON
ANY_PORT, ANYBODY = frozenset({"any port"}), "anybody"


def policies(resources: list[Resource], values: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """What is wrong with the NetworkPolicies: each pod speaks to whom the contracts say, and is reached by nobody else.

    ``values`` are the whole ones: a way that has nobody at its end is shut.
    """
    found = {one["metadata"]["name"]: one["spec"] for one in resources if one["kind"] == "NetworkPolicy"}
    if not found:
        return []
    parts = {**known["services"], "keeper": known["keeper"], "admin": known["admin"]}
    wanted_names = {"headgate-deny", *(f"headgate-{name}" for name in parts)}
    if found.keys() != wanted_names:
        return [f"there are policies {sorted(found)}, should be {sorted(wanted_names)}"]
    ours = {key: text for key, text in _labels("").items() if not key.endswith("component")}
    shut = {"podSelector": {"matchLabels": ours}, "policyTypes": ["Ingress", "Egress"]}
    closed = found["headgate-deny"] == shut
    problems = [] if closed else ["headgate-deny lets some through, or does not shut all of ours"]
    for name, facts in parts.items():
        spec = found[f"headgate-{name}"]
        if spec["podSelector"] != {"matchLabels": _labels(name)} or spec["policyTypes"] != shut["policyTypes"]:
            problems.append(f"the policy of {name} is about other pods, or not about both ways")
        out, comes = _wanted_out(facts["reaches"], values, known), _wanted_in(name, facts, values)
        problems += _unlike(f"{name} may speak to", _rules(spec.get("egress", []), "to"), out)
        problems += _unlike(f"{name} is reached by", _rules(spec.get("ingress", []), "from"), comes)
    return problems


def _labels(component: str) -> dict[str, str]:
    said = {"name": "headgate", "instance": "headgate", "component": component}
    return {f"app.kubernetes.io/{key}": text for key, text in said.items()}


def _rule(ports: Iterable[str], peers: list[Any]) -> Rule:
    said = json.dumps(sorted(peers, key=str), sort_keys=True) if peers else ANYBODY
    return frozenset(ports) or ANY_PORT, said


def _rules(rules: list[dict[str, Any]], side: str) -> set[Rule]:
    """As they are understood: without ports all are meant, without peers everybody."""
    found = set()
    for rule in rules:
        ports = set()
        for one in rule.get("ports") or []:
            last = f"-{one['endPort']}" if "endPort" in one else ""
            ports.add(f"{one.get('protocol', 'TCP')} {one.get('port', 'any')}{last}")
        found.add(_rule(ports, rule.get(side) or []))
    return found


def _wanted_out(reaches: list[str], values: Mapping[str, Any], known: Mapping[str, Any]) -> set[Rule]:
    network, wanted = values["network"], set()
    for way in ("dns", *reaches):
        if way == "gateway":
            peers = [{"podSelector": {"matchLabels": _labels("gateway")}}]
            wanted.add(_rule([f"TCP {known['services']['gateway']['port']}"], peers))
            continue
        if way == "telemetry" and not any(values["telemetry"].values()):
            continue
        peers = network[way]["to"]
        if way == "database" and values["postgres"]["cluster"]["enabled"]:
            peers = [{"podSelector": {"matchLabels": {"cnpg.io/cluster": "headgate-postgres"}}}]
        if peers:
            kinds = ("TCP", "UDP") if way == "dns" else ("TCP",)
            wanted.add(_rule([f"{kind} {port}" for kind in kinds for port in network[way]["ports"]], peers))
    return wanted


def _wanted_in(name: str, facts: Mapping[str, Any], values: Mapping[str, Any]) -> set[Rule]:
    peers = list(values["network"]["monitoring"])
    if name == "gateway":
        peers += [*values["network"]["edge"], {"podSelector": {"matchLabels": _labels("keeper")}}]
    return {_rule([f"TCP {facts['port']}"], peers)} if "port" in facts and peers else set()


def _unlike(what: str, found: set[Rule], wanted: set[Rule]) -> list[str]:
    more = [f"{what} {peers} on {', '.join(sorted(ports))}, which nobody said" for ports, peers in found - wanted]
    less = [f"not: {what} {peers} on {', '.join(sorted(ports))}" for ports, peers in wanted - found]
    return sorted(more + less)


def whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """The chart's own values with those of a profile, as far as the network goes, and the ports as they stand here."""
    whole: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    for way, ports in PORTS.items():
        whole["network"][way]["ports"] = list(ports)
    for way, said in values.get("network", {}).items():
        whole["network"][way] = whole["network"][way] | said if isinstance(said, dict) else said
    whole["telemetry"] |= values.get("telemetry", {})
    whole["postgres"]["cluster"] |= values.get("postgres", {}).get("cluster", {})
    return whole
