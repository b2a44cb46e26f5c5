"""`headgate deploy smoke` against a whole Headgate as `make up` runs it, as a person and as a pipeline would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.local.stack import LocalStack
from tests.local_traffic import await_that, client, started

pytestmark = [pytest.mark.integration, pytest.mark.whole]


@pytest.fixture(scope="module")
def fresh_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """An installation of its own: what others leave behind in theirs, such as an escalation, is a finding."""
    made = LocalStack(tmp_path_factory.mktemp("fresh") / "data")
    with started(made):
        yield made


SMOKE_SH = Path(__file__).parents[2] / "deploy" / "ci" / "smoke.sh"
BIN = Path(sys.executable).parent


def run(stack: LocalStack, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the installation, from a folder that has nothing to do with it."""
    environment = {
        **os.environ, "HEADGATE_URL": stack.gateway_url, "HEADGATE_TOKEN": stack.token, "COLUMNS": "250",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **more,
    }  # fmt: skip
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=90, check=False)


def rule(api: httpx2.Client) -> Any:
    ran = api.post("/api/ops/governance/gate/run", json={})
    assert ran.status_code == 200, ran.text
    return next(one for one in ran.json()["rules"] if one["id"] == "deploy_smoke_binding_recent")


def rehearsed(api: httpx2.Client) -> None:
    """A rehearsal that went well, as its process reports it."""
    now = datetime.now(UTC).isoformat()
    body = {"backup_id": "20260501T120000Z-abcdef", "started_at": now, "finished_at": now, "restore_valid": True}
    assert api.post("/api/ops/dr/rehearsal/report", json=body).status_code == 201


def test_a_fresh_installation_is_tested_told_and_bound(fresh_stack: LocalStack, tmp_path: Path) -> None:
    with client(fresh_stack) as api:
        before = run(fresh_stack, "headgate", "deploy", "smoke", "--deploy-id", "build-1")
        assert before.returncode == 1, before
        assert "headgate dr rehearse" in before.stdout  # the only thing that is missing
        assert " critical " not in before.stdout
        assert not rule(api)["passed"]

        rehearsed(api)
        good = run(fresh_stack, "headgate", "deploy", "smoke", "--deploy-id", "build-2", "--commit", "abc")
        assert good.returncode == 0, good
        assert good.stdout.endswith("SMOKE_OK\n")
        await_that("the rule", lambda: rule(api)["passed"])

        # The guide is replaced: the binding of the test does not hold any more, and the tool's own is another.
        content = "# Our way back\n"
        uploaded = api.post("/api/ops/deploy/guides", json={"content": content})
        assert uploaded.status_code == 201, uploaded.text
        await_that("the rule to be red", lambda: not rule(api)["passed"])
        stale = run(fresh_stack, "headgate", "deploy", "smoke", "--deploy-id", "build-3")
        assert stale.returncode == 1, stale
        assert "another version of rollback.md" in stale.stdout
        assert "--rollback-guide FILE" in stale.stderr

        # As a pipeline does it, with the guide that it has at hand.
        guide, summary = tmp_path / "rollback.md", tmp_path / "summary.md"
        guide.write_text(content)
        told = {"DEPLOY_ID": "build-4", "ROLLBACK_GUIDE": str(guide), "SUMMARY": str(summary), "WAIT": "10s"}
        script = run(fresh_stack, "sh", str(SMOKE_SH), **told)
        assert script.returncode == 0, script
        assert summary.read_text().startswith("## deployed and well\n")
        await_that("the rule to be green", lambda: rule(api)["passed"])

        for name in ("DEPLOY_ID", "HEADGATE_TOKEN"):
            assert run(fresh_stack, "sh", str(SMOKE_SH), **{**told, name: ""}).returncode == 2
        away = run(fresh_stack, "sh", str(SMOKE_SH), **{**told, "HEADGATE_URL": "http://127.0.0.1:9", "WAIT": "1s"})
        assert (away.returncode, summary.read_text().startswith("## could not be judged")) == (2, True)
