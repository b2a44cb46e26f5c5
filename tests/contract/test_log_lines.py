"""What services really log: each line is as the schema says, holds no secret, and reaches a collector word for word."""

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from deploy.local import LocalStack
from libs.common.log_export import OF_THE_EXPORT
from tests.local_traffic import started, story
from tests.otlp import Receiver

pytestmark = pytest.mark.integration
SCHEMA = Path(__file__).parents[2] / "docs" / "ops" / "log-line.schema.json"


def written(folder: Path) -> dict[str, list[str]]:
    """The JSON lines of each service's log."""
    return {
        path.stem: [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        for path in folder.glob("*.log")
    }


def test_lines_of_real_services(tmp_path: Path) -> None:
    judge = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    with Receiver() as receiver:
        environment = {
            "HEADGATE_LOG_FORMAT": "json",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{receiver.url}/v1/logs",
        }
        with started(LocalStack(tmp_path / "data", env=environment)) as stack:
            story(stack)
            stack.halt("metrics")  # somebody has to complain
            stack.resume("metrics")
            stack.wait_ready()
            token = stack.token
        lines = written(tmp_path / "data" / "logs")
        services = {name for name, found in lines.items() if found}
        assert {"gateway", "metrics"} <= services
        every = [(name, line) for name in services for line in lines[name]]
        assert len(every) > 10, "else little is judged"
        wrong = [(name, line, fault.message) for name, line in every for fault in judge.iter_errors(json.loads(line))]
        assert wrong == []
        sent = {name: [line.body for line in receiver.lines if line.service == name] for name in services}
        for name, line in every:
            said = json.loads(line)
            if not said.get("logger", "").startswith(OF_THE_EXPORT):
                assert line in sent[name]
    assert any(json.loads(line)["event"] == "request" for line in lines["gateway"])
    assert token not in "".join(line for _, line in every)
