"""The local supervisor: one story on a private stack, what it refuses, and what is left when it is killed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deploy.embedded import Server, free_ports
from deploy.embedded.server import is_dead
from deploy.local import LocalError, LocalStack
from deploy.local.options import Options
from libs.common.contracts import SERVICES
from tests.local_traffic import await_that, client, story

pytestmark = [pytest.mark.integration, pytest.mark.whole]
ROOT = Path(__file__).parents[2]
PARTS = {"postgres", "nats", *SERVICES}


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder that only its owner may enter."""
    tmp_path.chmod(0o700)
    return tmp_path / "data"


@pytest.fixture
def said() -> list[tuple[str, str]]:
    """What a stack with `show` told a person, as (name, line)."""
    return []


@pytest.fixture
def stack(private: Path, said: list[tuple[str, str]]) -> Iterator[LocalStack]:
    """A private stack, not yet started."""
    made = LocalStack(private, show=lambda name, line: said.append((name, line)))
    yield made
    made.stop()


def _me(stack: LocalStack) -> str:
    with client(stack) as http:
        answer = http.get("/api/me")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["username"])


def _command(data_dir: Path, *arguments: str, **changed: str) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
    environment |= {"HEADGATE_DATA_DIR": str(data_dir), "HEADGATE_HTTP_PORT": "0", **changed}
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local", *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _until_up(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "stop with" in line:
            return lines
    raise AssertionError("".join(lines))


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def _left(family: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in family if not is_dead(one)]


@pytest.mark.faults
def test_killed_parts_come_back_and_a_second_start_keeps_all(stack: LocalStack, said: list[tuple[str, str]]) -> None:
    stack.start()
    stack.wait_ready()
    assert set(stack.pids) == PARTS
    assert stack.data_dir.stat().st_mode & 0o777 == 0o700
    assert stack.token_file.stat().st_mode & 0o777 == 0o600
    story(stack)

    second = LocalStack(stack.data_dir)
    with pytest.raises(LocalError, match=r"Headgate runs on .* already \(process \d+\)"):
        second.start()

    before = stack.pids
    for name in ("tracker", "nats", "postgres"):
        stack.kill(name)
    await_that("other processes", lambda: set(stack.pids) == PARTS)
    stack.wait_ready()
    changed = {name for name, pid in stack.pids.items() if before[name] != pid}
    assert changed >= {"tracker", "nats", "postgres"}
    assert any(name == "tracker" and line.startswith("ended (signal 9)") for name, line in said)
    story(stack)

    stack.halt("audit")
    with client(stack) as http:
        assert http.get("/api/audit/entries").status_code == 503
    stack.resume("audit")
    stack.wait_ready()
    token, last = stack.token, [psutil.Process(pid) for pid in stack.pids.values()]
    stack.stop()
    assert _left(last) == []
    ends = [name for name, line in said if line == "stopped"]
    assert ends[-2:] == ["nats", "postgres"]
    assert not (stack.data_dir / "running.json").exists()
    assert token not in "".join(path.read_text() for path in (stack.data_dir / "logs").iterdir())

    again = LocalStack(stack.data_dir)
    again.start()
    try:
        again.wait_ready()
        assert again.token == token
        assert _me(again) == "owner"
    finally:
        again.stop()


@pytest.mark.faults
def test_a_killed_supervisor_leaves_nothing_and_the_next_one_starts(private: Path) -> None:
    first = _command(private, "up", "--quiet")
    _until_up(first)
    family = _family(first)
    assert len(family) >= len(PARTS)
    first.kill()
    first.communicate(timeout=30)
    await_that("the end of all children", lambda: not _left(family))

    second = _command(private, "up", "--quiet")
    shown = "".join(_until_up(second))
    assert "/docs" in shown
    assert "bootstrap-token" in shown
    migrated = _command(private, "migrate")
    assert migrated.communicate(timeout=60)[0] == "nothing to do: schemas and streams are up to date\n"
    family = _family(second)
    second.send_signal(signal.SIGINT)
    assert second.stdout is not None
    assert any("stopping" in line for line in second.stdout)
    second.send_signal(signal.SIGINT)
    rest, _ = second.communicate(timeout=60)
    assert second.returncode == 0, rest
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].endswith("stopped; the data stays")
    assert _left(family) == []


def test_a_taken_port_is_one_sentence(private: Path) -> None:
    base = free_ports(len(SERVICES))
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + 2))
        other.listen()
        stack = LocalStack(private, base)
        with pytest.raises(LocalError, match=rf"Port {base + 2} \(for tracker\) is taken by another program"):
            stack.start()
    assert stack.pids == {}


def test_bad_settings_are_one_sentence_each(private: Path) -> None:
    wrong = {
        ("up", "HEADGATE_HTTP_PORT", "many"): "HEADGATE_HTTP_PORT: ",
        ("up", "HEADGATE_CLUSTER_SECRET", "short"): "HEADGATE_CLUSTER_SECRET must hold at least 20 characters",
        ("up", "HEADGATE_DATA_DIR", "/proc/nowhere"): "can't be used as the data folder",
        ("migrate", "HEADGATE_NAMESPACE", "headgate"): "No servers to prepare: set HEADGATE_ADMIN_DATABASE_URL",
    }
    for (command, name, value), sentence in wrong.items():
        process = _command(private, command, **{name: value})
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1, output
        assert sentence in output
        assert "Traceback" not in output


def test_a_secret_that_others_can_read_is_refused(private: Path, stack: LocalStack) -> None:
    private.mkdir()
    secret = private / "cluster-secret"
    secret.write_text("x" * 40)
    secret.chmod(0o644)
    with pytest.raises(LocalError, match="can be read by other users; run: chmod 600"):
        stack.start()


def test_a_broken_service_is_named_and_retried_slowly(
    private: Path, said: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local.stack.FIRST_DELAY_S", 0.01)
    environment, two = {"HEADGATE_POOL_SIZE": "many"}, ("gateway", "governance")
    stack = LocalStack(private, env=environment, services=two, show=lambda name, line: said.append((name, line)))
    stack.start()
    try:
        line = await_that(
            "the fifth end", lambda: next((text for _, text in said if "that was 5 times in a row" in text), ""), 90
        )
        assert "exit code 1" in line
        assert line.endswith("starting it again in 30 s")
        with pytest.raises(LocalError, match="Not ready within 0 s: gateway, governance"):
            stack.wait_ready(0.2)
    finally:
        stack.stop()


def test_a_given_bus_without_our_users_is_used_with_a_warning(
    private: Path, said: list[tuple[str, str]], nats_server: Server
) -> None:
    options = replace(Options.private(private, 0, {}), admin_nats_url=nats_server.url, namespace="outside")
    stack = LocalStack(private, options=options, show=lambda name, line: said.append((name, line)))
    stack.start()
    try:
        stack.wait_ready()
        assert "nats" not in stack.pids
        assert any("does not know Headgate's users" in line for _, line in said)
        assert _me(stack) == "owner"
    finally:
        stack.stop()
    assert nats_server.alive
