"""What a hook waits for must be there before it, and what others look for must be where they look."""

from __future__ import annotations

from typing import Any

import yaml

from tests.chart.judges import CHART, NAMESPACE, Resource

_HOOK, _WEIGHT = "helm.sh/hook", "helm.sh/hook-weight"


def problems(resources: list[Resource]) -> list[str]:
    """What would wait for ever: Helm makes what is no hook only when all hooks are done.

    A hook's Secrets and those of NATS, to which the admin step speaks, come before it where an operator brings them.
    """
    made = {
        one["spec"]["target"]["name"]: one["metadata"].get("annotations", {})
        for one in resources
        if one["kind"] == "ExternalSecret"
    }
    found = []
    for one in resources:
        at = one["metadata"].get("annotations", {})
        if one["kind"] != "Job" or _HOOK not in at:
            continue
        for name in sorted({*_secrets(one["spec"]["template"]["spec"]), *_of_nats()} & set(made)):
            theirs = made[name]
            if theirs.get(_HOOK) != at[_HOOK] or int(theirs.get(_WEIGHT, 0)) >= int(at.get(_WEIGHT, 0)):
                found.append(f"{one['metadata']['name']} waits for the Secret {name}, which is made after it")
    return [*found, *_far(resources)]


def _secrets(pod: dict[str, Any]) -> set[str]:
    return {one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one}


def _of_nats() -> set[str]:
    values = yaml.safe_load((CHART / "nats-values.yaml").read_text())
    added = [one["value"] for one in values["podTemplate"]["patch"] if one["path"].startswith("/spec/volumes")]
    return _secrets({"volumes": added})


def _far(resources: list[Resource]) -> list[str]:
    """KEDA asks from its own namespace, where a name without one is another service, or none."""
    asked = {
        trigger["metadata"]["natsServerMonitoringEndpoint"]
        for one in resources
        if one["kind"] == "ScaledObject"
        for trigger in one["spec"]["triggers"]
        if trigger["type"] == "nats-jetstream"
    }
    return [f"KEDA asks {one}, which is not in {NAMESPACE}" for one in sorted(asked) if f".{NAMESPACE}.svc:" not in one]
