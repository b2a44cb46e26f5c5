"""Tutorials are followed literally: each block of commands runs on a private stack, and what it promises must come."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import LocalStack
from deploy.local.__main__ import summary
from tests.local_traffic import WAIT_S, started

pytestmark = [pytest.mark.integration, pytest.mark.whole]

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
PAGE_URL = "http://127.0.0.1:8080"  # where `make up` listens; a private stack takes a free port
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Step:
    """Commands, and what the page says that they print."""

    commands: str
    promised: str


def steps_of(page: str) -> Iterator[Step]:
    """The blocks of commands (``sh``), each with the output (``text``) that stands right below it."""
    fences = FENCE.findall(page)
    for (language, content), (next_language, next_content) in zip(fences, [*fences[1:], ("", "")], strict=True):
        if language == "sh":
            assert next_language == "text", f"nothing is promised of: {content}"
            yield Step(content, next_content)


def missing(promised: str, output: str) -> str | None:
    """The first promised line that the output does not hold below those before it; None if all are there.

    ``…`` stands for anything in its line, and alone for any lines. How wide the gaps of a table are does not count.
    """
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in promised.splitlines():
        if line == "…":
            continue
        pattern = ".*".join(re.escape(" ".join(part.split())) for part in line.split("…"))
        if not any(re.match(pattern, one) for one in lines):
            return line
    return None


class Terminal:
    """One bash, as a newcomer has it open: what a block sets, the next one sees."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, commands: str) -> tuple[int, str]:
        """The exit code of the last command, and what all of them printed."""
        end = f"end-{uuid.uuid4().hex}"
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{commands}\nprintf '%s %d\\n' {end} $?\n")
        self.process.stdin.flush()
        said: list[str] = []
        for line in self.process.stdout:
            before, found, code = line.partition(end)
            said.append(before)
            if found:
                return int(code), "".join(said)
        raise AssertionError(f"the shell ended: {''.join(said)}")

    def close(self) -> None:
        """End the shell."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder that looks like the repository to somebody who starts Headgate in it."""
    folder = tmp_path / "headgate"
    (folder / ".venv").mkdir(parents=True, mode=0o700)
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "home").mkdir()
    return folder


@pytest.fixture
def stack(repository: Path) -> Iterator[LocalStack]:
    """What `make up` starts."""
    made = LocalStack(repository / ".headgate")
    with started(made):
        yield made


@pytest.fixture
def terminal(stack: LocalStack, repository: Path) -> Iterator[Terminal]:
    """The newcomer's second terminal. Only the address differs from what the page says."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HEADGATE_", "XDG_"))}
    home = {"HOME": str(repository.parent / "home"), "HEADGATE_URL": stack.gateway_url}
    made = Terminal(repository, kept | home | {"COLUMNS": "1000"})  # the page shows no folded lines
    yield made
    made.close()


def test_the_first_gate(
    stack: LocalStack, terminal: Terminal, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (TUTORIALS / "first-gate.md").read_text(encoding="utf-8")
    shown = next(content for language, content in FENCE.findall(page) if language == "console")
    assert shown.startswith("$ make up\n")
    monkeypatch.chdir(repository)
    assert missing(shown.partition("\n")[2], summary(stack).replace(stack.gateway_url, PAGE_URL)) is None

    steps = list(steps_of(page))
    assert len(steps) >= 9
    for step in steps:
        if step.commands.startswith("headgate verify"):
            stack.stop()  # as the page says: the proof needs no server
        deadline = time.monotonic() + (WAIT_S if step.commands.startswith("headgate items list") else 0)
        while True:
            code, output = terminal.run(step.commands)
            lacks = missing(step.promised, output.replace(stack.gateway_url, PAGE_URL))
            if lacks is None or time.monotonic() > deadline:
                break
        assert (code, lacks) == (0, None), f"{step.commands}\n{output}"
    assert "verify" in steps[-1].commands
    capsule, altered = ((repository.parent / "home/first-gate" / name).read_bytes() for name in
                        ("capsule.json", "altered.json"))  # fmt: skip
    assert sum(one != other for one, other in zip(capsule, altered, strict=True)) == 1


def test_a_promise_that_is_not_kept_is_seen() -> None:
    output = "NO-GO  first gate, run 7\n\nfail  tests\nexit code 1\n"
    assert missing("NO-GO  first gate, run …\n…\nfail tests\nexit code 1\n", output) is None
    assert missing("fail tests\nNO-GO …\n", output) == "NO-GO …"  # in another order
    assert missing("NO-GO … run …\nexit code 0\n", output) == "exit code 0"
