"""``make chart``: the chart's profiles rendered and judged, and errors planted that each judge must find.

``CRDS=folder`` has custom resources judged by the definitions in it, ``NATS_CHART=folder`` our values for that of NATS.
Exit code 0 if all was proven, 1 with a sentence for what was not, 2 if a tool is missing. Nothing speaks to a cluster.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from tests.chart import bus, judges, network, order, planted, told
from tests.chart.judges import CHART, Finding, Schemas, ToolMissing

PROFILES = ("small", "ha", "locked-down")
RUNBOOKS = "https://headgate.example/runbooks"  # by the names that the profiles give
# What checkov says and we know better: by check, the profiles in which it counts as known, and of which resources.
DIGEST, POLICY, READINESS, LIVENESS = "CKV_K8S_43", "CKV2_K8S_6", "CKV_K8S_9", "CKV_K8S_8"
KNOWN = {
    DIGEST: ("small", "ha"),  # the image is built by whoever installs: locked-down shows how a digest is said
    POLICY: ("small",),  # has none on purpose
    READINESS: ("small", "ha"),  # of the keeper, which nobody calls
    LIVENESS: ("small", "ha"),  # of the keeper, which ends when it can't go on
}


def values_of(profile: str) -> dict[str, Any]:
    """A profile's values, such as ``values-ha.yaml``, with what whoever installs must say."""
    values: dict[str, Any] = yaml.safe_load((CHART / f"values-{profile}.yaml").read_text())
    return {"image": {"repository": "registry.example/headgate"}} | values


def is_known(finding: Finding, profile: str) -> bool:
    """Whether a finding of checkov is one that stands in `KNOWN`."""
    if profile not in KNOWN.get(finding.check, ()):
        return False
    return finding.check not in (READINESS, LIVENESS) or finding.resource.endswith("-keeper")


def judge(profile: str, folder: Path, schemas: Schemas, figures: list[tuple[str, str, str]]) -> list[str]:
    """All that is wrong with one profile."""
    values, problems = values_of(profile), []
    known = yaml.safe_load((CHART / "files" / "known.yaml").read_text())
    problems += [f"lint: {one}" for one in judges.lint(values)]
    for upgrade in (False, True):
        made = judges.render(values, upgrade=upgrade)
        if made.refused:
            return [*problems, f"not rendered: {made.refused}"]
        refused, unknown = judges.validate(made.resources, folder)
        problems += [*refused, *order.problems(made.resources)]
    findings, passed = judges.checkov(made.resources, folder)
    problems += [f"{one.check} {one.resource}: {one.text}" for one in findings if not is_known(one, profile)]
    problems += [*told.misread(made.resources), *told.misdirected(made.notes, values)]
    problems += told.misled(made.resources, RUNBOOKS)
    problems += network.policies(made.resources, network.whole(values), known)
    own = [one for one in made.resources if (one["apiVersion"], one["kind"]) in schemas]
    others = judges.custom(own, schemas)[0]
    problems += others
    figures += [
        (f"{profile}: resources, as installed and as upgraded", "Helm", str(len(made.resources))),
        (
            f"{profile}: of Kubernetes' own kinds",
            "kubernetes-validate --strict",
            str(len(made.resources) - len(unknown)),
        ),
        (f"{profile}: checks passed, findings that are known", "checkov", f"{passed}, {len(findings)}"),
        (f"{profile}: custom resources judged, not judged", "their schemas", f"{len(own)}, {len(unknown) - len(own)}"),
    ]
    return problems


def main() -> int:
    """Fetch the tools, judge each profile, plant each error, show the figures."""
    console, began = Console(highlight=False), time.monotonic()
    crds = os.environ.get("CRDS")
    schemas: Schemas = {}
    if crds:
        schemas = judges.read_schemas(Path(crds)) if Path(crds).is_dir() else {}
        if not schemas:
            console.print(
                f"make chart: {crds} holds no CustomResourceDefinition (kubectl get crd -o yaml)", style="red"
            )
            return 2
    figures: list[tuple[str, str, str]] = []
    problems: list[str] = []
    try:
        with console.status("Fetching the tools (a minute or two the first time)"):
            judges.fetch()
        with tempfile.TemporaryDirectory(prefix="headgate-chart-") as name:
            folder = Path(name)
            for profile in PROFILES:
                problems += [f"{profile}: {one}" for one in judge(profile, folder, schemas, figures)]
            if nats_chart := os.environ.get("NATS_CHART"):
                wrong = bus.judge(Path(nats_chart), folder)
                figures.append(
                    ("the chart of NATS with our values and users", "nats-server", "no" if wrong else "taken")
                )
                problems += wrong
            for what, tool, caught in planted.all_of(folder, values_of, schemas):
                figures.append((what, tool, "caught" if caught else "MISSED"))
                problems += [] if caught else [f"{tool} did not see: {what}"]
    except ToolMissing as error:
        console.print(f"make chart: {error}", style="red", markup=False)
        return 2
    table = Table("proven", "with", "figure", title=f"{time.monotonic() - began:.0f} s")
    for row in figures:
        table.add_row(*row)
    console.print(table)
    for problem in problems:
        console.print(f"FAILED {problem}", style="red", markup=False)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
