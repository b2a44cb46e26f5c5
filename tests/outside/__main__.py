"""``make outside``: proof with clients and tools that aren't ours. See docs/outside.md.

Exit code 0 if all was proven, 1 with a sentence for what was not, 2 if a tool is missing.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local import LocalError
from tests.otlp import Receiver
from tests.outside import (
    alerts,
    audit_log,
    audit_log_tiles,
    bus,
    documents,
    fuzz,
    prometheus,
    providers,
    queries,
    subscribers,
    traces,
    webhooks,
)
from tests.outside.tools import ToolMissing, Tools, fetch
from tests.outside.world import open_world, tell


def main() -> int:
    """Fetch the tools, start a stack, take every step, show the figures."""
    console = Console(highlight=False)
    began = time.monotonic()
    try:
        with console.status("Fetching the tools (a minute or two the first time)"):
            tools = fetch()
        versions = ", ".join(f"{name} {version}" for name, version in tools.versions().items())
        console.print(f"Tools: {versions}")
    except ToolMissing as error:
        console.print(f"make outside: {error}", style="red", markup=False)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="headgate-outside-"))
    failed: list[str] = []
    figures: list[tuple[str, str, str]] = []
    try:
        with Receiver() as receiver:
            _prove(console, folder, tools, receiver, figures, failed)
    except LocalError as error:
        failed.append(f"the stack: {error}")
    table = Table("proven", "with", "figure", title=f"{time.monotonic() - began:.0f} s, tools included")
    for row in figures:
        table.add_row(*row)
    console.print(table)
    for sentence in failed:
        console.print(f"FAILED {sentence}", style="red", markup=False)
    if failed:
        console.print(f"The logs are in {folder}", markup=False)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _prove(
    console: Console,
    folder: Path,
    tools: Tools,
    receiver: Receiver,
    figures: list[tuple[str, str, str]],
    failed: list[str],
) -> None:
    world = open_world(folder, tools, receiver)
    world.figures = figures

    def take(name: str, step: Callable[[], None]) -> None:
        started = time.monotonic()
        try:
            step()
        except Exception as error:  # each step is told, and the others are taken all the same
            failed.append(f"{name}: {type(error).__name__}: {error}")
        good = "failed" if failed and failed[-1].startswith(f"{name}:") else "done"
        console.print(f"{name}: {good} ({time.monotonic() - started:.1f} s)", markup=False)

    try:
        take("rules", lambda: prometheus.check_files(world))
        take("queries", lambda: queries.step(world))
        take("documents", lambda: documents.step(world))
        with prometheus.Monitoring(world) as monitoring:
            take("monitoring", lambda: prometheus.wait_up(monitoring))
            take("story", lambda: tell(world))
            take("bus", lambda: bus.step(world))
            take("webhooks", lambda: webhooks.step(world))
            take("audit log", lambda: audit_log.step(world))
            take("audit log's tiles", lambda: audit_log_tiles.step(world))
            take("subscribers", lambda: subscribers.step(world))
            take("providers", lambda: providers.step(world))
            take("series", lambda: prometheus.check_series(monitoring))
            take("gate", lambda: prometheus.check_gate(monitoring))
            take("probes", lambda: prometheus.check_probes(monitoring))
        take("SLOs", lambda: prometheus.check_slos(world))
        take("fork of the audit log", lambda: prometheus.check_fork(world))
        take("alerts", lambda: alerts.step(world))
        take("traces", lambda: traces.step(world))
        take("fuzz", lambda: fuzz.step(world))
    finally:
        world.http.close()
        world.stack.stop()


if __name__ == "__main__":
    sys.exit(main())
