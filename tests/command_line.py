"""The command line in a test: run in this process, as an owner whose settings are of this test only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from libs.client.cli import app
from tests.http_edge import OWNER

Tool = Callable[..., Awaitable[Result]]


def tool_at(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Tool:
    """``headgate …`` against this address, in a thread: the gateway runs in the test's own loop."""
    monkeypatch.setenv("HEADGATE_URL", url)
    monkeypatch.setenv("HEADGATE_TOKEN", OWNER)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("COLUMNS", "250")

    async def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), input=stdin)

    return run
