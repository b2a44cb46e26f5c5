"""Real reports for the demo: the tools that check this repository, run on it and on copies of it."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element  # only the type; parsing is defusedxml's

from defusedxml.ElementTree import parse

ROOT = Path(__file__).parents[2]
CODE = ("libs", "services", "deploy")
TOOL_TIMEOUT_S = 240.0
# Not part of a release: data, environments, caches, and rules about the repository's own files.
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "htmlcov", "coverage.xml")
JUNIT, COBERTURA, RUFF, BANDIT = "unit-tests.xml", "coverage.xml", "ruff.sarif", "bandit.sarif"


class DemoFailed(RuntimeError):
    """A step did not go as it should; the message is a sentence that says what and where to look."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one place in a room of services/: ``before`` stands in the file exactly once."""

    path: str
    function: str
    before: str
    after: str

    @property
    def room(self) -> str:
        """The service whose file this is."""
        return Path(self.path).parts[1]

    def apply(self, tree: Path, *, undo: bool = False) -> None:
        """Make the change, or take it back. Raises `DemoFailed` when the source no longer reads so."""
        old, new = (self.after, self.before) if undo else (self.before, self.after)
        file = tree / self.path
        text = file.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise DemoFailed(f"{self.path} no longer reads {old!r} once; give the demo another line to break.")
        file.write_text(text.replace(old, new), encoding="utf-8")

    def diff(self) -> Iterator[str]:
        """The change as lines of a unified diff."""
        whole = (ROOT / self.path).read_text(encoding="utf-8")
        changed = whole.replace(self.before, self.after)
        return difflib.unified_diff(whole.splitlines(), changed.splitlines(), self.path, self.path, "", "", 2, "")


# A claim of "done" must fall by a run that was decided after it; the broken function lets it fall by an older run.
BREAK = Edit(
    "services/tracker/domain/episodes.py",
    "claim_is_refuted",
    "decided_at > item.completed_at",
    "decided_at < item.completed_at",
)


@dataclass(frozen=True, slots=True)
class Reports:
    """What the tools wrote about one version into ``folder``: `JUNIT`, `COBERTURA`, `RUFF` and `BANDIT`."""

    folder: Path
    tests: int
    failed: int
    ruff_findings: int


class Processes:
    """The children of the demo: every one is known, so that none is left behind."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self, command: Sequence[str], cwd: Path, output: Path | None, **more: str) -> subprocess.Popen[bytes]:
        """Start a child in a group of its own; its output goes to the file, or to a pipe."""
        with self._lock:
            if self._closed:
                raise DemoFailed("The demo was stopped.")
            if output is None:
                process = subprocess.Popen(
                    command, cwd=cwd, env=self.environment | more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            else:
                with output.open("wb") as file:
                    process = subprocess.Popen(
                        command, cwd=cwd, env=self.environment | more, stdin=subprocess.DEVNULL, stdout=file,
                        stderr=subprocess.STDOUT, start_new_session=True,
                    )  # fmt: skip
            self._running.add(process)
        return process

    def run(self, command: Sequence[str], cwd: Path, log: Path, **more: str) -> int:
        """Run a child to its end; returns its exit code. Raises `DemoFailed` when it takes too long."""
        process = self.start(command, cwd, log, **more)
        try:
            return process.wait(TOOL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"{command[2]} took longer than {TOOL_TIMEOUT_S:.0f} s; see {log}") from None
        finally:
            self.end(process)

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        """End a child and its group, and forget it."""
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        with self._lock:
            self._running.discard(process)

    def close(self) -> None:
        """End all of them; from now on none is started."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            self.end(process)


def copy_tree(target: Path, *edits: tuple[Edit, bool]) -> Path:
    """A copy of this repository's sources with changes made (False) or taken back (True), in order."""
    target.mkdir(parents=True)
    for name in (*CODE, "tests"):
        shutil.copytree(ROOT / name, target / name, ignore=LEFT_OUT)
    shutil.copy2(ROOT / "pyproject.toml", target)
    for edit, undo in edits:
        edit.apply(target, undo=undo)
    return target


def make_reports(processes: Processes, tree: Path, folder: Path) -> Reports:
    """Run the unit tests of one room with coverage, ruff and bandit on a tree, all at once. Raises `DemoFailed`."""
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(max_workers=3) as pool:
        waiting: list[Future[None]] = [
            pool.submit(_run_tests, processes, tree, folder),
            pool.submit(_run_ruff, processes, tree, folder),
            pool.submit(_run_bandit, processes, tree, folder),
        ]
        for one in waiting:
            one.result()
    tests, failed = _counts(folder / JUNIT)
    [ruff_run] = json.loads((folder / RUFF).read_bytes())["runs"]
    return Reports(folder, tests, failed, len(ruff_run["results"]))


def _run_tests(processes: Processes, tree: Path, folder: Path) -> None:
    """The unit tests of one room, with the coverage of its domain modules, which is what these tests are for.

    One source folder only: coverage.py names files relative to it, and two folders may hold files of one name.
    """
    room = f"services/{BREAK.room}"
    config = folder / "coverage.ini"
    config.write_text(f"[run]\nbranch = false\n[report]\ninclude = {room}/domain/*\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "pytest", f"tests/unit/{BREAK.room}", "-q", "-p", "no:cacheprovider",
        f"--junitxml={folder / JUNIT}", f"--cov={room}", f"--cov-config={config}",
        f"--cov-report=xml:{folder / COBERTURA}",
    ]  # fmt: skip
    log = folder / "pytest.log"
    code = processes.run(
        command,
        tree,
        log,
        COVERAGE_FILE=str(folder / ".coverage"),
        HYPOTHESIS_STORAGE_DIRECTORY=str(folder / "examples"),
    )
    if code not in (0, 1):  # 1: tests failed, which is a result
        raise DemoFailed(f"pytest could not run the tests (exit code {code}); see {log}")


def _run_ruff(processes: Processes, tree: Path, folder: Path) -> None:
    log = folder / "ruff.log"
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--exit-zero", "--output-format=sarif",
               f"--output-file={folder / RUFF}", *CODE]  # fmt: skip
    if code := processes.run(command, tree, log):
        raise DemoFailed(f"ruff could not check the code (exit code {code}); see {log}")


def _run_bandit(processes: Processes, tree: Path, folder: Path) -> None:
    log = folder / "bandit.log"
    command = [sys.executable, "-m", "bandit", "-q", "-r", *CODE, "--exit-zero", "-f", "sarif", "-o",
               str(folder / BANDIT)]  # fmt: skip
    if code := processes.run(command, tree, log):
        raise DemoFailed(f"bandit could not scan the code (exit code {code}); see {log}")


def _counts(junit: Path) -> tuple[int, int]:
    """How many tests ran and how many did not pass, for the words of the demo; the gate counts by itself."""
    root: Element | None = parse(junit).getroot()
    suites = [] if root is None else [root, *root.iter("testsuite")]
    cases = [suite for suite in suites if suite.get("tests") is not None]
    if not cases:
        raise DemoFailed(f"{junit} holds no test suite")
    suite = cases[-1]
    return int(suite.get("tests", 0)), int(suite.get("failures", 0)) + int(suite.get("errors", 0))


def watchdog(now: datetime) -> bytes:
    """The body that Alertmanager (v4) posts for its Watchdog: an alert that always fires, to prove the line alive."""
    labels = {"alertname": "Watchdog", "severity": "none"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "An alert that always fires: if it stops, the alert line is broken."},
        "startsAt": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=vector%281%29",
        "fingerprint": "e25963d69425c836",
    }
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="Watchdog"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "headgate",
        "groupLabels": {"alertname": "Watchdog"},
        "commonLabels": labels,
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://alertmanager.example",
        "alerts": [alert],
    }
    return json.dumps(body, indent=2).encode()
