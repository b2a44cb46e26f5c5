"""``make demo``: the whole story on a private stack, in about a minute, on real reports of this very repository.

Every step reads the answers that it gets and ends the demo with exit code 1 if one is not as it should be. Nothing is
left running; the folder of the demo stays only after a failure, for its logs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from deploy.demo import looking, notified
from deploy.demo.clocked import program
from deploy.demo.reports import (
    BANDIT,
    BREAK,
    COBERTURA,
    JUNIT,
    RUFF,
    DemoFailed,
    Processes,
    Reports,
    copy_tree,
    make_reports,
    watchdog,
)
from deploy.demo.screen import PICTURE_COLUMNS, Screen
from deploy.local import LocalError, LocalStack

SUBJECT = "headgate"
GOOD, BROKEN, MENDED = "1.0.0", "1.1.0", "1.1.1"
TOOL_TIMEOUT_S = 120.0
SETTLE_S = 20.0  # the tracker hears of a verdict within milliseconds; this is for slow machines
LATER_HOURS = 26
STEPS = 9


class Demo:
    """One run: the stack, the producers of reports, and the story told with the ``headgate`` tool."""

    def __init__(self, folder: Path, console: Console, picture: Path | None = None) -> None:
        self.folder, self.console = folder, console
        self.screen = Screen(console, picture=picture is not None)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("HEADGATE_", "GOVERNANCE_GATE_"))
        }
        columns = console.width if picture is None else PICTURE_COLUMNS
        self.processes = Processes(kept | {"COLUMNS": str(columns - 2), "XDG_CONFIG_HOME": str(folder / "config")})
        if picture is not None or (console.is_terminal and not os.environ.get("NO_COLOR")):
            self.processes.environment["FORCE_COLOR"] = "1"
        self.clock = folder / "hours-ahead"
        self.stack = LocalStack(
            folder / "data",
            # Its jobs rest: what the autopilot does is shown step by step.
            env={"HEADGATE_SCHEDULES": json.dumps({"tracker.*": "off"}), "HEADGATE_OUTBOUND_NETWORKS": notified.HERE},
            programs={"tracker": program(self.clock, "tracker")},
        )
        self.pool = ThreadPoolExecutor(max_workers=4)
        self.reports: dict[str, Future[Reports]] = {}
        self.tail: subprocess.Popen[bytes] | None = None
        self.step_number = 0

    def close(self) -> None:
        """Stop everything that was started."""
        self.processes.close()
        self.stack.stop()
        self.pool.shutdown(wait=True, cancel_futures=True)

    # --- the story -------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """All steps in order. Raises `DemoFailed` at the first that is not as it should be."""
        self.begin()
        self.release_good()
        self.release_broken()
        self.work_on_items()
        self.fly()
        self.release_mended()
        self.prove()
        notified.tell(self, SUBJECT, MENDED)
        self.look_further()

    def begin(self) -> None:
        """Start the stack, and meanwhile the tools on three trees: this one, a broken copy, and a mended one."""
        self.step("Start a private Headgate, and run the real tools on this repository meanwhile")
        self.screen.say("PostgreSQL, NATS and all services, on free ports of this machine only.")
        self.screen.say(
            f"ruff and bandit read everything, pytest runs the unit tests of the {BREAK.room} with coverage, for three"
        )
        self.screen.say(
            f"versions: {GOOD} is this tree, {BROKEN} a copy in which a function is broken, {MENDED} a mended copy."
        )
        stack = self.pool.submit(self._start_stack)
        trees = self.folder / "trees"
        edits = {GOOD: (), BROKEN: ((BREAK, False),), MENDED: ((BREAK, False), (BREAK, True))}
        made = {version: copy_tree(trees / version, *changes) for version, changes in edits.items()}
        for version, tree in made.items():
            folder = self.folder / "reports" / version
            self.reports[version] = self.pool.submit(make_reports, self.processes, tree, folder)
        took_s = self.wait_for(stack, "the stack starts")
        self.screen.done(f"The stack is ready after {took_s:.1f} s at {self.stack.gateway_url}")
        self.processes.environment |= {"HEADGATE_URL": self.stack.gateway_url, "HEADGATE_TOKEN": self.stack.token}
        self.screen.say("Its address and the first owner's token are in HEADGATE_URL and HEADGATE_TOKEN.")
        self.tool("status")
        self.tail = self.processes.start(
            [*_headgate(), "events", "tail", "--from-start"], self.folder, self.folder / "events.log"
        )
        reports = self.wait_for(self.reports[GOOD], "pytest, ruff and bandit run")
        self.screen.done(
            f"{reports.tests} unit tests ran, {reports.failed} of them failed; ruff and bandit wrote SARIF"
        )
        if reports.ruff_findings:
            # Ruff names files by their whole path, so an old finding would look new in the copies of later versions.
            self.fail(f"Ruff finds {reports.ruff_findings} problems in this tree; mend them first (make lint)")

    def release_good(self) -> None:
        """Version 1.0.0: the tree as it is."""
        self.step(f"May version {GOOD} be released? Send what the tools wrote and ask the gate")
        self.send(GOOD)
        self.screen.say(
            "Alertmanager is silent when all is well, so the gate also wants a Watchdog: an alert that always"
        )
        self.screen.say(
            "fires and proves that the line is alive. The demo has no Alertmanager and posts that one in its place."
        )
        (self.folder / "reports" / "watchdog.json").write_bytes(watchdog(datetime.now(UTC)))
        self.tool("report", "send", "alertmanager", "watchdog.json", "--subject", SUBJECT, cwd=self.folder / "reports")
        self.judge(GOOD, go=True)

    def release_broken(self) -> None:
        """Version 1.1.0: one function is broken, and its tests find out."""
        with self.screen.drawn():
            self.step(f"Version {BROKEN} breaks a function: a real failure")
            self.show_edit()
        reports = self.wait_for(self.reports[BROKEN], "the tests of the broken copy run")
        if reports.failed == 0:
            self.fail(f"The broken function {BREAK.function} failed no test of {reports.tests}")
        with self.screen.drawn():
            self.screen.done(f"{reports.failed} of {reports.tests} tests failed in the copy")
        self.send(BROKEN)
        with self.screen.drawn():
            self.judge(BROKEN, go=False)

    def work_on_items(self) -> None:
        """The plan, and the items that the tracker made of it."""
        with self.screen.drawn():
            self.step("NO-GO becomes a plan, and the plan becomes items that are tracked")
        target = ("--gate", "release", "--subject", SUBJECT)
        self.tool("plan", "show", *target, "--version", BROKEN)
        self.tool("plan", "show", *target, "--version", BROKEN, "--csv")
        planned = {item["rule_id"] for item in self.ask("plan", "show", *target, "--version", BROKEN)["items"]}
        if "tests_passed" not in planned:
            self.fail("The plan does not name the failing tests")
        items = self.await_items(lambda found: planned <= {item["rule_id"] for item in found if item["is_active"]})
        with self.screen.drawn():
            self.tool("items", "list", *target)
        number = next(item["id"] for item in items if item["rule_id"] == "tests_passed")
        self.tool("items", "patch", str(number), "--assignee", "ann", "--status", "in_progress")
        self.tool("gate", "explain", "release", "--subject", SUBJECT, expect=1)

    def fly(self) -> None:
        """A day passes, nobody has mended anything, and the autopilot says what it would do; its plan is approved."""
        with self.screen.drawn():
            self.step("A day later nothing is mended: the autopilot makes a plan, and escalates")
            self.screen.say(f"The demo sets the tracker's clock {LATER_HOURS} hours on.")
        self.write_clock(LATER_HOURS)
        with self.screen.drawn():
            self.tool("autopilot", "preview")
        seen = self.ask("autopilot", "preview")
        late = [step for step in seen["plan"]["steps"] if step["action"] == "escalation"]
        if not late:
            self.fail("The autopilot's plan escalates nothing, though items are overdue")
        self.tool("autopilot", "run", "--plan-hash", seen["plan_hash"])
        with self.screen.drawn():
            self.tool("items", "escalation", str(late[0]["item_id"]))
        run = self.ask("autopilot", "latest")
        if run["escalation"]["raised_count"] != len(late):
            self.fail("The autopilot did not do what its plan said")

    def write_clock(self, hours: int) -> None:
        """Set the tracker's clock on, at once for whoever reads the file."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(hours), encoding="utf-8")
        new.replace(self.clock)

    def release_mended(self) -> None:
        """Version 1.1.1: the function is mended; the same tests run and pass."""
        with self.screen.drawn():
            self.step(f"Version {MENDED} mends the function")
        reports = self.wait_for(self.reports[MENDED], "the tests of the mended copy run")
        self.screen.done(f"{reports.tests} tests ran in the mended copy, {reports.failed} of them failed")
        self.send(MENDED)
        with self.screen.drawn():
            self.judge(MENDED, go=True)
        self.await_items(lambda found: bool(found) and not any(item["is_active"] for item in found))
        with self.screen.drawn():
            self.tool("items", "list", "--gate", "release", "--subject", SUBJECT, "--all")
        self.tool("gate", "history", "release", "--subject", SUBJECT)

    def prove(self) -> None:
        """The audit log: verified by the server, and recomputed here by other code."""
        with self.screen.drawn():
            self.step("Prove it: the audit log is a hash chain")
            self.tool("audit", "verify")
        self.tool("audit", "export", "audit.jsonl")
        self.tool("audit", "verify", "--offline", "audit.jsonl")
        self.screen.say("What happened, as `headgate events tail` heard it live (the last ten):")
        log = self.folder / "events.log"
        deadline = time.monotonic() + SETTLE_S
        while b"tracker.item.resolved" not in log.read_bytes():
            if time.monotonic() > deadline:
                self.fail("The live events did not show the resolved item")
            time.sleep(0.1)
        if self.tail is not None:
            self.processes.end(self.tail, signal.SIGINT)
        self.screen.answer("\n".join(log.read_text(errors="replace").splitlines()[-10:]), cut=True)

    def look_further(self) -> None:
        """The console of what was told, as long as a person looks at it, and where to go from here."""
        self.step("Look at it in the console, stop everything, and look further")
        looking.show(self)
        with self.console.status("  stopping"):
            self.close()
        self.screen.done("All stopped; nothing is left running.")
        self.screen.say(
            "make up                 run Headgate here and keep its data; then open http://127.0.0.1:8080/console"
        )
        self.screen.say("headgate login          with the token that `make up` shows; then `headgate --help`")
        self.screen.say(
            "docs/cli.md             the tool;  docs/architecture.md: how it works;  docs/audit-log.md: the proof"
        )

    # --- parts of steps --------------------------------------------------------------------------------------------

    def send(self, version: str) -> None:
        """Send the four reports of a version."""
        reports = self.reports[version].result()
        about = ("--subject", SUBJECT, "--version", version)
        self.tool("report", "send", "junit", JUNIT, *about, "--part", "unit", cwd=reports.folder)
        self.tool("report", "send", "cobertura", COBERTURA, *about, "--part", "unit", cwd=reports.folder)
        self.tool("report", "send", "sarif", RUFF, BANDIT, *about, cwd=reports.folder)

    def judge(self, version: str, *, go: bool) -> None:
        """Run the gate; the verdict must be the one that the real reports deserve."""
        code, _ = self.run_tool("gate", "run", "release", "--subject", SUBJECT, "--version", version)
        if code == 2:
            self.fail(f"The gate could not judge version {version}")
        if code == (0 if go else 1):
            self.screen.done(f"{'GO' if go else 'NO-GO'}, and exit code {code} tells a pipeline so")
        elif go:
            self.fail(f"Version {version} should be a GO, but the gate's reasons above say otherwise; mend them")
        else:
            self.fail(f"Version {version} is broken, but the gate let it pass")

    def await_items(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The board's items, once the tracker has heard of the verdict."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            items: list[dict[str, Any]] = self.ask("items", "list", "--gate", "release", "--subject", SUBJECT, "--all")
            if enough(items):
                return items
            if time.monotonic() > deadline:
                self.fail("The tracker's items do not follow the verdict")
            time.sleep(0.2)

    def show_edit(self) -> None:
        """The change, as a diff."""
        for line in BREAK.diff():
            style = {"+": "green", "-": "red"}.get(line[:1], "dim")
            self.screen.print(Text(f"    {line}", style=style))

    # --- the tool --------------------------------------------------------------------------------------------------

    def tool(self, *arguments: str, expect: int = 0, cwd: Path | None = None) -> None:
        """Run the tool for the reader; its exit code must be the expected one."""
        code, _ = self.run_tool(*arguments, cwd=cwd)
        if code != expect:
            self.fail(f"`headgate {' '.join(arguments[:2])}` ended with exit code {code} instead of {expect}")

    def ask(self, *arguments: str) -> Any:
        """Run the tool for the demo itself: without showing it, with its answer as JSON."""
        code, output = self.run_tool(*arguments, "--json", shown=False)
        if code != 0:
            self.fail(f"`headgate {' '.join(arguments[:2])}` ended with exit code {code}: {output.strip()}")
        return json.loads(output)

    def run_tool(self, *arguments: str, cwd: Path | None = None, shown: bool = True) -> tuple[int, str]:
        """The tool's exit code and output."""
        if shown:
            self.screen.prompt(arguments)
        process = self.processes.start([*_headgate(), *arguments], cwd or self.folder, None)
        try:
            output = process.communicate(timeout=TOOL_TIMEOUT_S)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            self.fail(f"`headgate {' '.join(arguments[:2])}` did not end within {TOOL_TIMEOUT_S:.0f} s")
        finally:
            self.processes.end(process)
        if shown:
            self.screen.answer(output)
        return process.returncode, output

    # --- words -----------------------------------------------------------------------------------------------------

    def step(self, title: str) -> None:
        """Begin a step."""
        self.step_number += 1
        self.screen.step(f"{self.step_number}/{STEPS}  {title}")

    def fail(self, text: str) -> NoReturn:
        """End the demo."""
        raise DemoFailed(f"{text}.")

    def wait_for(self, future: Future[Any], what: str) -> Any:
        """Await a part that runs beside, with a sign of life."""
        with self.console.status(f"  {what} …"):
            while not future.done():
                for other in self.reports.values():
                    if other.done() and other.exception() is not None:
                        other.result()
                time.sleep(0.05)
        return future.result()

    def _start_stack(self) -> float:
        began = time.monotonic()
        self.stack.start()
        self.stack.wait_ready()
        return time.monotonic() - began


def _headgate() -> list[str]:
    """The installed tool, else its module: the same code."""
    installed = Path(sys.executable).with_name("headgate")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "libs.client.cli"]


def _on_signal(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; 0 if every step was as it should be. With ``--picture FILE`` a part of it becomes an SVG."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="The whole story on a private stack.")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the main part as SVG")
    picture: Path | None = parser.parse_args(arguments).picture
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="headgate-demo-"))
    demo = Demo(folder, console, picture)
    problem: str | None = None
    stopped = False
    try:
        demo.tell()
    except KeyboardInterrupt:
        stopped = True
    except (DemoFailed, LocalError) as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or 'The system'}: {error.strerror}."
    finally:
        with suppress(KeyboardInterrupt):
            demo.close()
    if problem is not None:
        console.print(Text(f"\nThe demo ended early: {problem}", style="bold red"))
        console.print(Text(f"Logs: {folder / 'data' / 'logs'}, reports: {folder / 'reports'} (delete them when done)."))
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    if stopped:
        console.print(Text("\nStopped; nothing is left running."))
        return 1
    if picture is not None:
        demo.screen.save(picture)
    console.print(Text(f"\nDone in {time.monotonic() - began:.0f} s.", style="bold green"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
