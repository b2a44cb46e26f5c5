"""Loki, Tempo and Grafana in compose: what one part says of another is what that one says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from libs.common.log_export import ENDPOINT

DEPLOY = Path(__file__).parents[3] / "deploy"


def _yaml(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def sources() -> dict[str, Any]:
    """Grafana's data sources by their uid."""
    files = sorted((DEPLOY / "grafana/provisioning/datasources").glob("*.yml"))
    return {one["uid"]: one for file in files for one in yaml.safe_load(file.read_text())["datasources"]}


def listens(service: str) -> set[int]:
    """The ports that a server of ours is told to listen on."""
    if service == "prometheus":
        return {9090}
    config = _yaml(f"{service}/{service}.yml")
    ports = {config["server"]["http_listen_port"]}
    if service == "tempo":
        ports.add(int(config["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]))
    return ports


def default_of(variable: str) -> str:
    """Where compose sends it unless told otherwise."""
    text: str = _yaml("compose.yml")["x-environment"][variable]
    assert text.startswith(f"${{{variable}-"), "an empty one must switch it off"
    return text.removeprefix(f"${{{variable}-").removesuffix("}")


@pytest.mark.parametrize("uid", ["headgate-prometheus", "headgate-loki", "headgate-tempo"])
def test_grafana_asks_servers_that_are_there(uid: str) -> None:
    url = urlsplit(sources()[uid]["url"])
    assert url.hostname in _yaml("compose.yml")["services"]
    assert url.port in listens(str(url.hostname))


def test_what_services_send_arrives_where_somebody_listens() -> None:
    spans, lines = urlsplit(default_of("OTEL_EXPORTER_OTLP_ENDPOINT")), urlsplit(default_of(ENDPOINT))
    assert (spans.hostname, lines.hostname) == ("tempo", "loki")
    assert spans.port in listens("tempo") - {_yaml("tempo/tempo.yml")["server"]["http_listen_port"]}
    assert lines.port in listens("loki")
    # Spans get the path of the signal appended; the address of the lines is taken as it stands, and Loki's own is this.
    assert (spans.path, lines.path) == ("", "/otlp/v1/logs")


def test_points_spans_and_lines_lead_to_each_other() -> None:
    every = sources()
    exemplar = every["headgate-prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]
    assert (exemplar["name"], every[exemplar["datasourceUid"]]["type"]) == ("trace_id", "tempo")
    field = every["headgate-loki"]["jsonData"]["derivedFields"][0]
    assert (field["matcherType"], field["matcherRegex"]) == ("label", "trace_id")
    assert every[field["datasourceUid"]]["type"] == "tempo"
    to_lines = every["headgate-tempo"]["jsonData"]["tracesToLogsV2"]
    assert every[to_lines["datasourceUid"]]["type"] == "loki"
    assert 'trace_id="$${__span.traceId}"' in to_lines["query"]  # provisioning takes $ for its own variables


@pytest.mark.parametrize(("server", "folder"), [("loki", "/loki"), ("tempo", "/var/tempo")])
def test_what_they_keep_lies_in_a_volume_and_ends(server: str, folder: str) -> None:
    compose = _yaml("compose.yml")
    service = compose["services"][server]
    assert f"{server}-data:{folder}" in service["volumes"]
    assert f"{server}-data" in compose["volumes"]
    assert f"./{server}:/etc/{server}:ro" in service["volumes"]
    assert service["command"] == [f"-config.file=/etc/{server}/{server}.yml"]
    assert "ports" not in service  # neither asks who somebody is
    loki, tempo = _yaml("loki/loki.yml"), _yaml("tempo/tempo.yml")
    assert loki["limits_config"]["retention_period"] == "744h"
    assert loki["compactor"]["retention_enabled"]  # without it the period does nothing
    assert tempo["compactor"]["compaction"]["block_retention"] == "168h"
    kept = [loki["common"]["path_prefix"], tempo["storage"]["trace"]["local"]["path"]]
    assert all(any(path.startswith(one) for one in ("/loki", "/var/tempo")) for path in kept)
