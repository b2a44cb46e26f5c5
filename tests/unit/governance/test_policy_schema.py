"""The JSON Schema of policies says what the parser reads: no key more, none less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from libs.judge import policy_yaml
from libs.judge.policy import parse_policy
from libs.judge.policy_schema import policy_schema
from tests.unit.governance.samples import tiny_policy

# Every mapping that a policy may hold, so that the parser asks each for its keys.
FULL = b"""
name: full
title: Full
description: Everything that may stand in a policy
subject_mode: version
allow_warnings: true
min_score_percent: 50
parameters: {max_errors: 0}
settings: {MAX_ERRORS: {name: max_errors, target: parameters.max_errors, minimum: 0}}
valid_for_hours: 48
subjects: ["app-*"]
freeze_calendars: [holidays]
waivers: {max_days: 10, issue_required: true}
overrides: {allowed: true, max_hours: 12, issue_required: true}
exceptions_per_quarter: 5
publish_approvals: {count: 1, roles: [owner], groups: [qa], max_age_hours: 8}
approvals: {count: 2, roles: [manager], groups: [qa], max_age_hours: 8}
rules:
  - id: one
    title: One
    severity: required
    weight: 1
    kind: ops.preflight
    scope: version
    when: fact.error_count <= params.max_errors
    observed: "{fact.error_count} errors"
    wanted: "{params.max_errors}"
    reasons: [{when: "fact.error_count > 3", observed: many, wanted: none}]
    detail: {errors: fact.error_count}
    max_age_hours: 24
    owner_role: Ops Lead
    sla_hours: 4
    action: Mend it
    runbook: https://example.com/mend
    mode: enforce
    effective_on: 2026-01-01
    tags: [ops]
    sources: ["/ci/*"]
    actors: ["ci-*"]
    needs: [ops.dr, {kind: ops.runbook, max_age_hours: 2}]
  - {id: two, title: Two, severity: advisory, weight: 0, kind: ops.dr, scope: subject, when: fact.enabled,
     observed: a, wanted: b, ageless_reason: It never changes}
tests:
  - name: nothing
    now: 2026-01-01T12:00:00Z
    version: "2"
    facts:
      - {kind: ops.preflight, part: a, age_minutes: 1, actor: ci-1, source: /ci/a,
         data: {overall_status: ok, error_count: 0, warning_count: 0}}
    expect: {decision: no_go, rules: {one: fail}}
"""
PACKAGED = sorted((Path(__file__).parents[3] / "services" / "governance" / "policies").glob("*.yaml"))
SCHEMA = policy_schema()


class Asked(policy_yaml.LinedDict):
    """A mapping that notes which keys it was asked for."""

    def __init__(self, line: int = 0) -> None:
        super().__init__(line)
        self.asked: set[object] = set()

    def __contains__(self, key: object) -> bool:
        self.asked.add(key)
        return super().__contains__(key)


class Textual(yaml.SafeLoader):
    """Reads no times."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the class that it replaces has it
        first: [(tag, found) for tag, found in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read(content: bytes) -> Any:
    """The YAML as an editor's checker has it: times and days as text."""
    return yaml.load(content, Textual)


def levels(schema: dict[str, Any], value: Any, where: str = "policy") -> Iterator[tuple[str, dict[str, Any], Asked]]:
    """Each mapping of a policy with fixed keys, with the schema that it must fit."""
    if isinstance(value, list):
        for one in value:
            yield from levels(schema.get("items", {}), one, where)
    if not isinstance(value, Asked):
        return
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") == "object"), schema)
    if "properties" in schema:
        yield where, schema, value
    for key, inner in value.items():
        below = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if isinstance(below, dict):
            yield from levels(below, inner, f"{where}: {key}")


def test_it_has_the_keys_that_the_parser_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_yaml, "LinedDict", Asked)
    found: dict[str, Any] = {}
    read_yaml = policy_yaml.read_yaml

    def keep(content: bytes, file: str) -> Any:
        found["root"] = read_yaml(content, file)
        return found["root"]

    monkeypatch.setattr("libs.judge.policy.read_yaml", keep)
    parse_policy(FULL, "full.yaml")
    seen = list(levels(SCHEMA, found["root"]))
    assert len(seen) >= 9, [where for where, _, _ in seen]
    for level, schema, _ in seen:
        asked = set().union(*(mapping.asked for where, _, mapping in seen if where == level))
        assert set(schema["properties"]) == asked, level


@pytest.mark.parametrize("content", [FULL, tiny_policy(), *(file.read_bytes() for file in PACKAGED)])
def test_what_can_be_parsed_fits(content: bytes) -> None:
    assert len(PACKAGED) >= 2
    parse_policy(content, "any.yaml")
    jsonschema.Draft202012Validator(SCHEMA).validate(read(content))


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"severity: required", b"severity: must"),
        (b"weight: 1", b"wieght: 1"),
        (b"    when: fact.error_count <=", b"    condition: x\n    when: fact.error_count <="),
        (b"kind: ops.preflight\n", b"kind: ops.prefligth\n"),
        (b"effective_on: 2026-01-01", b"effective_on: soon"),
        (b"max_days: 10", b"max_days: 0"),
    ],
)
def test_mistakes_are_seen_in_the_editor(old: bytes, new: bytes) -> None:
    assert FULL.count(old) >= 1
    checker = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    assert list(checker.iter_errors(read(FULL.replace(old, new))))
