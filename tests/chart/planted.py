"""Errors that are planted on purpose: a judge that does not find its own proves nothing by finding no other."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.chart import judges, network, order, told
from tests.chart.judges import CHART, Resource, Schemas

Planted = tuple[str, str, bool]
Values = dict[str, Any]


def _with(values: Values, path: str, value: object) -> Values:
    made = copy.deepcopy(values)
    *folders, last = path.split("/")
    at = made
    for name in folders:
        at = at.setdefault(name, {})
    at[last] = value
    return made


# A value, and a word of the sentence in which the chart must refuse it.
REFUSED: tuple[tuple[str, str, object, str], ...] = (
    ("an unknown value", "defaults/replica", 2, "replica"),
    ("a number of replicas that is text", "defaults/replicas", "two", "replicas"),
    ("a setting that nobody reads", "settings/HEADGATE_LOGLEVEL", "debug", "HEADGATE_LOGLEVEL is no setting"),
    ("one service's setting for all", "settings/HEADGATE_SMTP_HOST", "mail", "HEADGATE_SMTP_HOST is no setting"),
    ("a password among the values", "services/notifier/settings/HEADGATE_SMTP_PASSWORD", "x", "is secret"),
    ("a cluster that acknowledges nothing", "postgres/cluster/synchronous", 3, "synchronous must be less"),
    ("fewer connections than the pods want", "postgres/cluster/maxConnections", 200, "as there may be want"),
    ("an image out of nowhere", "image/repository", "", "image.repository must name"),
    ("two scalers of one deployment", "services/tracker/autoscaling", {"enabled": True}, "both enabled"),
    ("an ingress without a name", "edge/ingress", {"enabled": True}, "edge.ingress.host"),
    ("an address that is none", "monitoring/rules/runbooks", "headgate.example", "runbooks"),
    ("a service that does not exist", "services/notary", {}, "notary"),
)


def _more(spec: Any, side: str, rule: Any) -> None:
    spec[side] = [*spec.get(side, []), rule]


# A hole in the NetworkPolicies, and who makes it.
HOLES: tuple[tuple[str, Callable[[Any], None]], ...] = (
    (
        "an ingress from anybody",
        lambda found: _more(found["headgate-tracker"], "ingress", {"ports": [{"protocol": "TCP", "port": 8082}]}),
    ),
    ("an ingress whose peers are gone", lambda found: found["headgate-gateway"]["ingress"][0].pop("from")),
    ("an ingress on every port", lambda found: found["headgate-audit"]["ingress"][0].pop("ports")),
    (
        "an egress to a port that nobody named",
        lambda found: found["headgate-audit"]["egress"][0]["ports"].append({"protocol": "TCP", "port": 25}),
    ),
    ("an egress to anybody", lambda found: _more(found["headgate-metrics"], "egress", {})),
    ("a policy that shuts others only", lambda found: found["headgate-deny"]["podSelector"].clear()),
)


def all_of(folder: Path, values_of: Callable[[str], Values], schemas: Schemas) -> Iterator[Planted]:
    """What was planted, the tool that had to see it, and whether it did."""
    ha = values_of("ha")
    for what, path, value, word in REFUSED:
        yield what, "the chart itself", word in judges.render(_with(ha, path, value)).refused
    odd = judges.render(_with(ha, "settings/HEADGATE_TRUSTED_PROXIES", ["no network"])).resources
    yield "a setting of another form", "the settings", len(told.misread(odd)) >= 7
    own = judges.render(_with(ha, "monitoring/rules/runbooks", "https://wiki.example/on-call")).resources
    led = [len(told.misled(own, f"https://{base}")) for base in ("wiki.example/on-call", "headgate.example/runbooks")]
    yield "alerts that lead elsewhere", "our own eyes", led[0] == 0 and led[1] >= 30
    yield "a template that can't be read", "Helm's lint", bool(_broken(folder, ha))
    late = judges.render(values_of("locked-down")).resources
    for one in late:
        if one["metadata"]["name"] == "headgate-nats":
            del one["metadata"]["annotations"]
    yield "a Secret that comes after who waits for it", "the order", len(order.problems(late)) == 1
    near = judges.render(_with(ha, "nats/monitor", "nats-headless:8222")).resources
    yield "a name that KEDA does not find", "the order", bool(order.problems(near))
    made = judges.render(ha)
    if made.refused:
        return  # is told already
    resources = made.resources
    wrong = copy.deepcopy(resources)
    _deployment(wrong)["spec"]["replicaz"] = 1
    yield "a field that does not exist", "kubernetes-validate", bool(judges.validate(wrong, folder)[0])
    known = yaml.safe_load((CHART / "files" / "known.yaml").read_text())
    open_to_all = judges.render(ha, _leaky(folder)).resources
    whole = network.whole(ha)
    yield "a policy that lets a service out", "its contracts", bool(network.policies(open_to_all, whole, known))
    for what, hole in HOLES:
        leaking = copy.deepcopy(resources)
        hole({one["metadata"]["name"]: one["spec"] for one in leaking if one["kind"] == "NetworkPolicy"})
        yield what, "its contracts", bool(network.policies(leaking, whole, known))
    lost = judges.render(_with(ha, "edge/route/enabled", False)).notes
    yield "notes that lead elsewhere", "the values", bool(told.misdirected(lost, ha))
    wrong = copy.deepcopy(resources)
    _container(wrong)["securityContext"] = {"privileged": True}
    seen = {one.check for one in judges.checkov(wrong, folder)[0]}
    yield "a privileged container", "checkov", "CKV_K8S_16" in seen
    if schemas:
        wrong = [copy.deepcopy(one) for one in resources if (one["apiVersion"], one["kind"]) in schemas]
        for one in wrong:
            one["spec"]["surprise"] = True
        found = judges.custom(wrong, schemas)[0]
        yield "a field of each custom resource that does not exist", "their schemas", len(found) >= len(wrong) > 0


def _broken(folder: Path, values: Values) -> list[str]:
    chart = folder / "broken"
    shutil.copytree(CHART, chart / "headgate")
    with (chart / "headgate" / "templates" / "admin.yaml").open("a") as file:
        file.write("{{ end }}\n")
    return judges.lint(values, chart / "headgate")


def _leaky(folder: Path) -> Path:
    chart = folder / "leaky" / "headgate"
    shutil.copytree(CHART, chart)
    known = yaml.safe_load((chart / "files" / "known.yaml").read_text())
    known["services"]["tracker"]["reaches"].append("world")
    (chart / "files" / "known.yaml").write_text(yaml.safe_dump(known))
    return chart


def _deployment(resources: list[Resource]) -> Resource:
    return next(one for one in resources if one["kind"] == "Deployment")


def _container(resources: list[Resource]) -> Resource:
    container: Resource = _deployment(resources)["spec"]["template"]["spec"]["containers"][0]
    return container
