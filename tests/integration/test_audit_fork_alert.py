"""A forked log, from the witness that refuses it to the alert that fires: a real Prometheus with the shipped rules.

`make outside` fetches Prometheus and runs this, too. Without one it is skipped; test_audit_witnesses.py shows the rest.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from typer.testing import CliRunner

from deploy.embedded import free_port
from libs.client.cli import app
from libs.common.contracts.audit.witnesses import fork_seen
from libs.tlog.notes import read_checkpoint
from libs.tlog.witnessing import SIZE_TYPE, write_request
from tests.http_edge import OWNER, Http
from tests.integration.audit_desk import record
from tests.integration.test_audit_fork import set_back
from tests.integration.test_audit_tree import SIGNER, state_of
from tests.integration.test_audit_witnesses import NAMES, Desk, desk, forget_outside
from tests.outside.tools import find

__all__ = ["desk"]
PROMETHEUS = find(["prometheus"])
pytestmark = [
    pytest.mark.integration,
    pytest.mark.whole,
    pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not on PATH"),
]
SHIPPED = Path(__file__).parents[2] / "deploy/prometheus"
ALERT = "HeadgateAuditForkSeen"


class Watch:
    """A Prometheus that looks at one process."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def value(self, expression: str) -> float | None:
        """Of an instant query; None: there is no such series."""
        body = (await self._http.get("/api/v1/query", params={"query": expression})).json()
        found = body["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    async def alert(self) -> dict[str, Any]:
        """The alert as it stands; {}: it does not."""
        body = (await self._http.get("/api/v1/alerts")).json()
        standing = [one for one in body["data"]["alerts"] if one["labels"]["alertname"] == ALERT]
        return standing[0] if standing else {}

    async def until(self, fits: Callable[[Any], bool], what: Callable[[], Any], within_s: float) -> Any:
        """Await a state of it."""
        found: Any = None
        try:
            async with asyncio.timeout(within_s):
                while not fits(found):
                    await asyncio.sleep(0.2)
                    found = await what()
        except TimeoutError:
            pytest.fail(f"after {within_s} s Prometheus says {found}")
        return found


def started(folder: Path, listens: str) -> subprocess.Popen[bytes]:
    """Prometheus, with what lies in the folder."""
    assert PROMETHEUS is not None
    command = [PROMETHEUS, "--config.file=prometheus.yml", "--storage.tsdb.path=series"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*command, f"--web.listen-address={listens}"], cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )


@asynccontextmanager
async def watching(folder: Path, address: str) -> AsyncIterator[Watch]:
    """The shipped configuration and rules; only whom it looks at, and how often, is changed."""
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [address], "labels": {"service": "audit"}}]
    for name in config["rule_files"]:
        (folder / name).write_text((SHIPPED / name).read_text())
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    listens = f"127.0.0.1:{free_port()}"
    process = started(folder, listens)
    try:
        async with httpx2.AsyncClient(base_url=f"http://{listens}", timeout=30, trust_env=False) as http:
            async with asyncio.timeout(30):
                while True:
                    try:
                        if (await http.get("/-/ready")).status_code == 200:
                            break
                    except httpx2.HTTPError:
                        assert process.poll() is None, (folder / "log").read_text()
                    await asyncio.sleep(0.1)
            yield Watch(http)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


async def refused_with_its_size(desk: Desk, checkpoint: str, size: int) -> None:
    """What the log was answered: shown to it once more, the witness says how much it saw, and cosigns nothing."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{desk.first.url}/add-checkpoint", content=write_request(0, [], checkpoint))
    assert (answer.status_code, answer.text) == (409, f"{size}\n")
    assert answer.headers["content-type"] == SIZE_TYPE


async def test_a_forked_log_is_refused_told_alarmed_and_named(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two witnesses: one saw what is lost, the other is shown the fork alone and can't know better."""
    stack, edge = desk.stack, await Http(desk.stack).open()
    await desk.start(desk.first)
    await record(stack, 20)
    size = await desk.settled()
    await desk.until(("cosigned", size))
    folder = tmp_path / "prometheus"
    folder.mkdir()
    async with watching(folder, edge.url.removeprefix("http://")) as watch:
        forks = "max(headgate_audit_witness_forks)"
        await watch.until(lambda value: value == 0, lambda: watch.value(forks), 30)
        assert await watch.alert() == {}
        await forget_outside(stack)
        await stack.stop("audit")
        await set_back(stack, 12)
        stack.clock.advance(minutes=2)
        await desk.start(desk.first, desk.second)
        await record(stack, 2)
        told = await stack.heard(fork_seen)
        assert (told.data["witness"], told.data["seen_size"]) == (NAMES[0], size)
        assert read_checkpoint(told.data["checkpoint"], [SIGNER.verifier]).size < size
        await refused_with_its_size(desk, told.data["checkpoint"], size)
        alert = await watch.until(lambda one: (one or {}).get("state") == "firing", watch.alert, 90)
    assert (alert["labels"]["severity"], float(alert["value"])) == ("critical", 1.0)
    assert alert["annotations"]["summary"].startswith("1 witnesses saw another history of the audit log")
    states = await desk.states()
    assert [one["state"] for one in states] == ["forked", "cosigned"]
    problem = states[0]["problem"]
    assert problem in (await state_of(stack))["fork"]
    for name, value in (("HEADGATE_URL", edge.url), ("HEADGATE_TOKEN", OWNER), ("COLUMNS", "400")):
        monkeypatch.setenv(name, value)
    verify = ["audit", "verify", "--key", SIGNER.verifier.text]
    result = await asyncio.to_thread(CliRunner().invoke, app, verify)
    assert (result.exit_code, f"the log was forked. {problem}" in result.stdout) == (1, True), result.output
    await edge.close()
