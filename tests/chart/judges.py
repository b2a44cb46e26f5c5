"""Helm, kubernetes-validate, checkov, and the schemas of custom resources: each says what it finds wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

TOP = Path(__file__).parents[2]
CHART = TOP / "deploy" / "helm" / "headgate"
LOCK = Path(__file__).with_name("requirements.lock")
_VENV = TOP / ".outside" / "chart"
_PROGRAMS = _VENV / "bin"
WITHIN_S = 600
NAMESPACE = "headgate-production"

Resource = dict[str, Any]


class ToolMissing(RuntimeError):
    """A tool can't be fetched or does not work; the message says why."""


def fetch() -> None:
    """The environment with what the lock names. Raises `ToolMissing`."""
    stamp = _VENV / ".headgate-lock"
    wanted = sha256(LOCK.read_bytes()).hexdigest() + sys.version
    if stamp.exists() and stamp.read_text() == wanted:
        return
    venv.create(_VENV, clear=True, with_pip=True)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--require-hashes", "-r")
    code, said = _run([str(_PROGRAMS / "python"), *pip, str(LOCK)])
    if code:
        raise ToolMissing(f"the tools can't be installed: {said[-1500:]}")
    stamp.write_text(wanted)


def _run(command: Sequence[str], given: str = "") -> tuple[int, str]:
    """Exit code and standard output, with standard error where there is no output."""
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=WITHIN_S, check=False, cwd=_VENV
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(f"{command[0]}: {error}") from error
    return done.returncode, done.stdout or done.stderr


@dataclass(frozen=True)
class Rendered:
    """What Helm made: resources in the order of the files, or the sentence in which it refused."""

    resources: list[Resource]
    notes: str = ""
    refused: str = ""


def render(values: Mapping[str, Any], chart: Path = CHART, *, upgrade: bool = False) -> Rendered:
    """By Helm's engine, after its check of the values against their schema."""
    task = {"chart": str(chart), "values": values, "name": "headgate", "namespace": NAMESPACE, "upgrade": upgrade}
    answer = _engine(task)
    if "error" in answer:
        return Rendered([], refused=str(answer["error"]))
    files: dict[str, str] = answer["files"]
    notes = next((text for path, text in files.items() if path.endswith("NOTES.txt")), "")
    texts = [text for path, text in sorted(files.items()) if not path.endswith("NOTES.txt")]
    return Rendered([one for text in texts for one in yaml.safe_load_all(text) if one], notes)


def lint(values: Mapping[str, Any], chart: Path = CHART) -> list[str]:
    """What ``helm lint --strict`` says."""
    problems: list[str] = _engine({"chart": str(chart), "values": values, "namespace": NAMESPACE, "lint": True})[
        "problems"
    ]
    return problems


def _engine(task: Mapping[str, Any]) -> dict[str, Any]:
    code, said = _run([str(_PROGRAMS / "python"), str(Path(__file__).with_name("engine.py"))], json.dumps(task))
    if code:
        raise ToolMissing(f"Helm's engine: {said[-1500:]}")
    answer: dict[str, Any] = json.loads(said)
    return answer


def validate(resources: Sequence[Resource], folder: Path) -> tuple[list[str], list[str]]:
    """What kubernetes-validate refuses of Kubernetes' own kinds, and the kinds that it does not know."""
    file = folder / "validate.yaml"
    file.write_text(yaml.safe_dump_all(resources))
    code, said = _run([str(_PROGRAMS / "kubernetes-validate"), "--strict", str(file)])
    lines = [line for line in said.splitlines() if line.strip()]
    unknown = [line for line in lines if "Couldn't find schema" in line]
    problems = [line for line in lines if not line.startswith("INFO") and line not in unknown]
    if code and not problems:
        problems = [f"kubernetes-validate ended with {code}: {said[-500:]}"]
    passed = sum(1 for line in lines if line.startswith("INFO"))
    if passed + len(unknown) + len(problems) < len(resources):
        problems.append(f"kubernetes-validate looked at {passed + len(unknown)} of {len(resources)} resources")
    return problems, unknown


@dataclass(frozen=True)
class Finding:
    """A check of checkov that a resource fails."""

    check: str
    resource: str
    text: str


def checkov(resources: Sequence[Resource], folder: Path) -> tuple[list[Finding], int]:
    """What checkov finds, and how many checks were passed."""
    file = folder / "checkov.yaml"
    file.write_text(yaml.safe_dump_all(resources))
    command = ["--framework", "kubernetes", "--file", str(file), "--compact", "--output", "json", "--skip-download"]
    _, said = _run([str(_PROGRAMS / "checkov"), *command])
    try:
        answer = json.loads(said)
        results, summary = answer["results"], answer["summary"]
    except (ValueError, KeyError, TypeError) as error:
        raise ToolMissing(f"checkov: {said[-500:]}") from error
    found = [Finding(one["check_id"], one["resource"], one["check_name"]) for one in results["failed_checks"]]
    if summary["parsing_errors"]:
        found.append(Finding("parsing", str(file), f"{summary['parsing_errors']} documents can't be read"))
    return found, int(summary["passed"])


Schemas = dict[tuple[str, str], dict[str, Any]]


def read_schemas(folder: Path) -> Schemas:
    """Schemas by apiVersion and kind, of the CustomResourceDefinitions in a folder (`kubectl get crd -o yaml`)."""
    schemas: Schemas = {}
    for path in sorted(folder.glob("*.y*ml")):
        for one in yaml.safe_load_all(path.read_text()):
            for definition in one["items"] if one and one.get("kind", "").endswith("List") else [one]:
                if definition and definition.get("kind") == "CustomResourceDefinition":
                    spec = definition["spec"]
                    for version in spec["versions"]:
                        key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                        schemas[key] = _strict(version["schema"]["openAPIV3Schema"])
    return schemas


def _strict(schema: Any) -> Any:
    """As an API server reads it: a field that is not declared is an error, and so that a number may be a string."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    left = ("format", "default", "example", "properties")
    made = {key: _strict(value) for key, value in schema.items() if key not in left}
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict):
        # Of a field that is itself named like a keyword only the schema below it is meant.
        made["properties"] = {key: _strict(value) for key, value in schema["properties"].items()}
        if schema.get("type") == "object" and not open_ended:
            made["additionalProperties"] = False
    return made


def custom(resources: Sequence[Resource], schemas: Schemas) -> tuple[list[str], list[str]]:
    """What the schemas refuse, and the kinds of which there is none."""
    problems, unknown = [], []
    for one in resources:
        schema = schemas.get((one["apiVersion"], one["kind"]))
        if schema is None:
            unknown.append(one["kind"])
            continue
        schema = {**schema, "properties": {**schema.get("properties", {}), "metadata": {"type": "object"}}}
        problems += [
            f"{one['kind']} {one['metadata']['name']}: {error.json_path}: {error.message[:300]}"
            for error in Draft202012Validator(schema).iter_errors(one)
        ]
    return problems, unknown
