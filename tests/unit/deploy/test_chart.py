"""The Helm chart without Helm: it knows what the contracts and settings say, and names nothing that does not exist.

`make chart` renders it and lets others judge the result.
"""

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from deploy import chart
from deploy.backup.__main__ import COMMANDS
from deploy.chart import CHART, OUTWARD, PROMETHEUS, RULES
from deploy.container.files import MADE_HERE
from deploy.installation import nats_config
from libs.common.roster import SERVICES
from libs.common.settings import Settings

TOP = Path(__file__).parents[3]
PROFILES = sorted(CHART.glob("values-*.yaml"))
# What is told to a process and is no setting: which service it is, and where the keeper finds the gateway.
NO_SETTINGS = {"HEADGATE_SERVICE", "HEADGATE_URL"}
# Whoever imports one of these speaks to what lies outside.
WAYS = {"libs.common.outbound": "world", "aiosmtplib": "mail", "httpx2": "prometheus", "valkey": "counters"}


def _yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _templates() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((CHART / "templates").iterdir()))


def _schema() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return content


def test_what_the_chart_knows_of_the_services_is_what_make_docs_writes() -> None:
    assert chart.KNOWN.read_text(encoding="utf-8") == chart.text(), "run `make docs` and commit"
    assert list(chart.known()["services"]) == list(SERVICES)


def test_the_chart_is_of_the_version_of_the_project() -> None:
    version = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]
    described = _yaml(CHART / "Chart.yaml")
    assert (described["version"], described["appVersion"]) == (version, version)


def test_every_service_stands_in_the_values() -> None:
    assert list(_yaml(CHART / "values.yaml")["services"]) == list(SERVICES)


def test_the_chart_tells_a_service_of_the_ways_out_that_its_code_takes() -> None:
    for service in SERVICES:
        taken = set()
        for path in (TOP / "services" / service).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)) if any(module in text for module in WAYS) else ():
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
                taken |= {way for name in names for module, way in WAYS.items() if f"{name}.".startswith(f"{module}.")}
        assert taken == set(OUTWARD.get(service, ())), service


def test_every_setting_can_be_said_in_the_chart_or_is_made_there() -> None:
    known = chart.known()
    said = {*known["settings"], *known["keeper"]["settings"]}
    said |= {name for facts in known["services"].values() for name in facts["settings"]}
    made = {f"HEADGATE_{name.upper()}" for name in MADE_HERE | chart.MADE_BY_CHART | {"bootstrap_token"}}
    fields = {f"HEADGATE_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in said if name.startswith("HEADGATE_")} | made | {"HEADGATE_CLUSTER_SECRET"} == fields
    assert said & made == set()


def test_the_gateway_is_told_what_compose_tells_it() -> None:
    compose = _yaml(TOP / "deploy" / "compose.yml")["services"]["gateway"]["environment"]
    common = compose.pop("<<", {})
    own = set(compose) - set(common) - {"HEADGATE_SERVICE", "HEADGATE_BOOTSTRAP_TOKEN"}
    assert own - set(_yaml(TOP / "deploy" / "compose.yml")["x-environment"]) == set(chart.GATEWAY)


def test_traces_and_lines_of_the_log_can_go_where_compose_sends_them() -> None:
    told = set(re.findall(r"\bOTEL_[A-Z_]+\b", (TOP / "deploy" / "compose.yml").read_text()))
    assert told == set(re.findall(r"\bOTEL_[A-Z_]+\b", _templates())) != set()


def test_templates_and_profiles_name_settings_that_exist() -> None:
    fields = {f"HEADGATE_{name.upper()}" for name in Settings.model_fields}
    texts = {"templates": _templates()} | {path.name: path.read_text() for path in PROFILES}
    for where, text in texts.items():
        named = set(re.findall(r"\bHEADGATE_[A-Z0-9_]+\b", text))
        assert named - fields - NO_SETTINGS == set(), where


def test_templates_start_what_the_image_can_do() -> None:
    text = _templates()
    assert set(re.findall(r"args: \[(\w+)", text)) == {"run", "admin"}
    lists = re.findall(r'list "(dr|backup)" "(\w+)"', text)
    assert {command for _, command in lists} <= set(COMMANDS)
    assert lists.count(("dr", "work")) == 1


@pytest.mark.parametrize("path", [CHART / "values.yaml", *PROFILES], ids=lambda path: path.name)
def test_values_fit_their_schema(path: Path) -> None:
    Draft7Validator.check_schema(_schema())
    assert [error.message for error in Draft7Validator(_schema()).iter_errors(_yaml(path))] == []


def test_the_schema_names_each_value_and_no_other() -> None:
    schema = _schema()

    def compare(values: dict[str, Any], node: dict[str, Any], where: str) -> None:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        if "properties" not in node or not values:
            return
        assert node["additionalProperties"] is False, where
        open_ended = set(node["properties"]) if where.endswith((".requests", ".limits")) else set()
        assert set(values) | open_ended | ({"global"} if not where else set()) == set(node["properties"]), where
        for name, value in values.items():
            if isinstance(value, dict):
                compare(value, node["properties"][name], f"{where}.{name}")

    compare(_yaml(CHART / "values.yaml"), schema, "")


def test_the_readme_tells_of_each_value() -> None:
    told = re.findall(r"^\| `(\w+)` ", (CHART / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert told == list(_yaml(CHART / "values.yaml"))


def test_the_rules_are_those_of_deploy_prometheus() -> None:
    for name in RULES:
        ours = (CHART / "files" / name).read_bytes()
        assert ours == (PROMETHEUS / name).read_bytes(), f"make docs writes {name} anew"
        assert f'"files/{name}"' in _templates()


def test_nats_is_configured_as_everywhere_else() -> None:
    values = _yaml(CHART / "nats-values.yaml")["config"]
    ours = nats_config(port=1, monitor_port=2, store_dir="/data", server_name="x", users=[], durable=True)
    assert f"sync_interval: {values['jetstream']['merge']['sync_interval']}" in ours
    for name in ("max_payload", "max_pending", "max_control_line"):
        assert f"{name}: {values['merge'][name].strip('<> ')}\n" in ours
    assert f'write_deadline: "{values["merge"]["write_deadline"]}"' in ours
    assert values["merge"]["feature_flags"] == {"js_ack_fc_v2": True}
    assert "js_ack_fc_v2: true" in ours


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_no_profile_scales_the_audit_log(path: Path) -> None:
    """It has one head, held by one replica at a time: more of them carry no more (docs/scale.md)."""
    own = _yaml(path).get("services", {}).get("audit", {})
    assert not own.get("lag", {}).get("enabled")
    assert not own.get("autoscaling", {}).get("enabled")
