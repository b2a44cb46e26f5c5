"""Fixtures of the client's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from libs.client.cli import app
from libs.client.http import Client
from tests.unit.client.gateway import FakeGateway, running_gateway

Tool = Callable[..., Result]


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    """A server on a free port."""
    with running_gateway() as running:
        yield running


@pytest.fixture
def client(gateway: FakeGateway) -> Iterator[Client]:
    """A client of it that waits for nothing."""
    with Client(gateway.url, "hg_secret", timeout_s=5, sleep=lambda _: None) as made:
        yield made


@pytest.fixture
def tool(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tool:
    """Run the tool against it."""
    monkeypatch.setenv("HEADGATE_URL", gateway.url)
    monkeypatch.setenv("HEADGATE_TOKEN", "hg_secret")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run
