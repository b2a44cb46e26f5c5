"""Run by the Python of an environment of its own, which has Helm's engine. Reads one task as JSON, answers as JSON.

``{"chart", "values", "name", "namespace", "upgrade"}`` is rendered: ``{"files": {path: text}}``, or ``{"error"}``.
With ``"lint": true``: ``{"problems": [sentence]}``.
"""

import json
import sys

import helm_python as helm  # type: ignore[import-not-found]


def main() -> None:
    """One task."""
    task = json.load(sys.stdin)
    if task.get("lint"):
        report = helm.lint(task["chart"], task["values"], strict=True, namespace=task["namespace"])
        problems = [f"{one['path']}: {one['error']}" for one in report["messages"] if one["severity"] >= 2]
        answer: dict[str, object] = {"problems": [*problems, *report["errors"]]}
    else:
        try:
            with helm.Chart.load(task["chart"]) as chart:
                chart.validate_schema(task["values"])
                upgrade = bool(task.get("upgrade"))
                files = chart.render(
                    task["values"],
                    name=task["name"],
                    namespace=task["namespace"],
                    is_install=not upgrade,
                    is_upgrade=upgrade,
                    revision=2 if upgrade else 1,
                )
            answer = {"files": files}
        except helm.HelmError as error:
            answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
