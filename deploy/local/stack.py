"""The local supervisor: Postgres, NATS and the services as children of one process, kept running until `stop`."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy.embedded import EmbeddedError
from deploy.installation import InstallationError
from deploy.local.options import Options
from deploy.local.process import Child, ServiceProcess, Show, bound_log
from deploy.local.servers import Servers, claim, close_claim, is_ready, port_taken
from libs.common.admin import AdminError
from libs.common.contracts import SERVICES

SERVERS = ("postgres", "nats")
KEEPER = "keeper"
READY_TIMEOUT_S = 120.0
FIRST_DELAY_S = 0.5
SLOW_DELAY_S = 30.0
QUICK_DEATHS = 5
HEALTHY_AFTER_S = 60.0
_TICK_S = 0.1
_LOGS_EVERY_S = 30.0


class LocalError(RuntimeError):
    """The stack can't start or do what was asked; the message is a sentence that says what to do."""


class _StopRequested(Exception):
    """Somebody asked to stop while the stack was still coming up."""


@dataclass
class Part:
    """A child and its fate: `failures` are deaths in a row, each of them less than a minute after the start."""

    name: str
    begin: Callable[[], Child]
    child: Child | None = None
    wanted: bool = True
    began: float = 0.0
    retry_at: float = 0.0
    failures: int = 0


def silent(_name: str, _line: str) -> None:
    """Show nothing."""


class LocalStack:
    """A whole Headgate on this machine. ``start`` and ``stop`` it; ``kill`` and ``restart`` parts by name.

    With only a folder it is private: free ports, and what the environment says of Headgate does not count. `env` adds
    settings for the services; `programs` runs a service with other arguments for Python; `services` may name fewer than
    all, also none: then only the servers run; `keeper` also makes backups and rehearses. One thread starts and watches
    all children, because the kernel ties their lives to the thread that started them (see `deploy.embedded.child`).
    """

    def __init__(
        self,
        data_dir: Path,
        http_port: int = 0,
        *,
        quiet: bool = True,
        env: Mapping[str, str] | None = None,
        options: Options | None = None,
        show: Show | None = None,
        programs: Mapping[str, Sequence[str]] | None = None,
        services: Sequence[str] = SERVICES,
        keeper: bool = False,
    ) -> None:
        self.options = options or Options.private(data_dir, http_port, env or {})
        self.data_dir = self.options.data_dir
        self._say: Show = show or silent
        self._show: Show = silent if quiet else self._say
        self._programs = dict(programs or {})
        self.services = tuple(services)
        self.keeper = keeper
        self.servers = Servers(self.options, lambda line: self._say("headgate", line))
        self._parts: dict[str, Part] = {}
        self._orders: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._stopping, self._up, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._claim: IO[bytes] | None = None
        self._thread: threading.Thread | None = None

    @property
    def gateway_url(self) -> str:
        """Where the gateway answers."""
        scheme = "https" if self.options.speaks_tls else "http"
        return f"{scheme}://{self.options.reach_host}:{self.options.http_port}"

    @property
    def token_file(self) -> Path:
        """Where the gateway keeps the first owner's token, unless one was given."""
        return self.data_dir / "bootstrap-token"

    @property
    def token(self) -> str:
        """The first owner's token. Raises `LocalError` before the gateway has made it."""
        if self.options.bootstrap_token:
            return self.options.bootstrap_token
        try:
            return self.token_file.read_text().strip()
        except OSError as error:
            raise LocalError(f"{self.token_file} can't be read: {error.strerror}.") from error

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the parts that run now."""
        return {part.name: part.child.pid for part in self._parts.values() if part.child and part.child.alive}

    def start(self) -> None:
        """Start everything and return when all processes run. Raises `LocalError`; then nothing is left running."""
        if self._thread is not None:
            raise LocalError("This stack was started before; make a new one.")
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()
        while not self._up.wait(0.1) and not self._ended.is_set():
            pass
        if self._error is not None:
            raise LocalError(str(self._error)) from self._error

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when every wanted service is ready. Raises `LocalError` that names those that are not."""
        deadline = time.monotonic() + timeout_s
        while waiting := [name for name in self.services if self._wanted(name) and not self.ready(name)]:
            if self._ended.is_set() or self._stopping.is_set():
                raise LocalError("The stack was stopped before it was ready.")
            if time.monotonic() > deadline:
                raise LocalError(
                    f"Not ready within {timeout_s:.0f} s: {', '.join(waiting)}; {self.data_dir / 'logs'} may say why."
                )
            time.sleep(0.1)

    def ready(self, service: str) -> bool:
        """Whether our own process of this service answers that it is ready."""
        part = self._parts.get(service)
        return bool(part and part.child and part.child.alive) and is_ready(
            self.options.reach_host,
            self.options.port_of(service),
            tls=service == "gateway" and self.options.speaks_tls,
        )

    def kill(self, name: str) -> None:
        """Kill -9 a service, ``nats`` or ``postgres`` and return when it is gone; the supervisor starts it again."""
        part = self._part(name)
        if part.child:
            part.child.kill()

    def restart(self, name: str) -> None:
        """Stop a part cleanly and start it again; returns when its process runs."""
        self.halt(name)
        self.resume(name)

    def halt(self, name: str) -> None:
        """Stop a part cleanly and keep it stopped."""

        def work() -> None:
            part.wanted = False
            if part.child:
                part.child.stop()
                part.child = None

        part = self._part(name)
        self._order(work)

    def resume(self, name: str) -> None:
        """Start a part that was halted."""

        def work() -> None:
            part.wanted, part.failures, part.retry_at = True, 0, 0.0
            if part.child is None or not part.child.alive:
                self._begin(part)

        part = self._part(name)
        self._order(work)

    def stop(self) -> None:
        """Stop everything in order: gateway, services, NATS, Postgres. Data stays. Safe to call twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def ask_to_stop(self) -> None:
        """Begin to stop and return at once: for signal handlers."""
        self._stopping.set()

    def wait(self, each: Callable[[], None] = lambda: None) -> None:
        """Return when the stack has stopped; calls ``each`` twice a second. Raises `LocalError` if it broke down."""
        while not self._ended.wait(0.5):
            each()
        if self._error is not None:
            raise LocalError(str(self._error)) from self._error

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            raise LocalError(f"There is no part {name!r} here; there are {', '.join(self._parts) or 'none yet'}.")
        return self._parts[name]

    def _wanted(self, name: str) -> bool:
        return name not in self._parts or self._parts[name].wanted

    def _order(self, work: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._orders.put((work, done))
        while not done.done():
            if self._ended.wait(0.02) and not done.done():
                raise LocalError("The stack has stopped.")
        done.result()

    # Everything below runs in the supervisor's own thread.

    def _run(self) -> None:
        try:
            self._bring_up()
            self._up.set()
            self._watch()
        except _StopRequested:
            self._error = LocalError("The stack was stopped before it was up.")
        except (EmbeddedError, InstallationError, AdminError, LocalError) as error:
            # A Ctrl-C in the terminal also ends helpers such as initdb: that is no failure of theirs.
            self._error = LocalError("The stack was stopped before it was up.") if self._stopping.is_set() else error
        except OSError as error:
            self._error = LocalError(f"{error.filename or self.data_dir}: {error.strerror}.")
        finally:
            self._take_down()
            self._ended.set()

    def _bring_up(self) -> None:
        self._claim = claim(self.data_dir)
        self._check_ports()
        for name, begin in self.servers.starters().items():
            self._go_on()
            self._parts[name] = part = Part(name, begin)
            self._begin(part)
        self._go_on()
        for line in self.servers.prepare():
            self._say("headgate", line)
        for name in self.services:
            self._go_on()
            self._parts[name] = part = Part(name, self._service(name))
            self._begin(part)
        if self.keeper:
            self._go_on()
            self._parts[KEEPER] = part = Part(KEEPER, self._keeper)
            self._begin(part)

    def _check_ports(self) -> None:
        for name in self.services:
            port = self.options.port_of(name)
            if port_taken(self.options.http_host, port):
                raise LocalError(
                    f"Port {port} (for {name}) is taken by another program, or {self.options.http_host} is no address "
                    f"of this machine. Stop that program, or set HEADGATE_HTTP_PORT to the first of {len(SERVICES)} "
                    "free ports in a row."
                )

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise _StopRequested

    def _service(self, name: str) -> Callable[[], Child]:
        def begin() -> Child:
            environment = self.servers.environment(name)
            log = self.data_dir / "logs" / f"{name}.log"
            return ServiceProcess(name, environment, log, self._show, self._programs.get(name, ()))

        return begin

    def _keeper(self) -> Child:
        log = self.data_dir / "logs" / f"{KEEPER}.log"
        program = ("-m", "deploy.backup", "work", "--url", self.gateway_url)
        return ServiceProcess(KEEPER, self.options.keeper_environment(), log, self._show, program)

    def _begin(self, part: Part) -> None:
        part.child = part.begin()
        part.began = time.monotonic()
        self._say(part.name, f"started (process {part.child.pid})")

    def _watch(self) -> None:
        logs_at = time.monotonic()
        while not self._stopping.wait(_TICK_S):
            with contextlib.suppress(queue.Empty):
                self._obey(*self._orders.get_nowait())
            for part in self._parts.values():
                self._look_after(part)
            if time.monotonic() - logs_at > _LOGS_EVERY_S:
                logs_at = time.monotonic()
                for name in SERVERS:
                    bound_log(self.data_dir / "logs" / f"{name}.log")

    def _obey(self, work: Callable[[], None], done: Future[None]) -> None:
        try:
            work()
        except Exception as error:
            done.set_exception(LocalError(str(error)))
        else:
            done.set_result(None)

    def _look_after(self, part: Part) -> None:
        if not part.wanted:
            return
        if part.child is not None:
            if part.child.alive:
                return
            self._died(part, part.child)
        if time.monotonic() < part.retry_at or (part.name not in SERVERS and not self._servers_run()):
            return
        try:
            self._begin(part)
        except (EmbeddedError, OSError) as error:
            part.failures += 1
            self._later(part, f"can't be started again: {error}")

    def _servers_run(self) -> bool:
        """A service that starts while a server is down would only end again."""
        return all(p.child is not None and p.child.alive for p in self._parts.values() if p.name in SERVERS)

    def _died(self, part: Part, child: Child) -> None:
        code = child.process.returncode
        if isinstance(child, ServiceProcess):
            child.kill()  # reads what it still said
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = (
            f"; its last words: {child.last_lines[-1]}"
            if isinstance(child, ServiceProcess) and child.last_lines
            else ""
        )
        part.child = None
        part.failures = 1 if time.monotonic() - part.began > HEALTHY_AFTER_S else part.failures + 1
        self._later(part, f"ended ({how}){said if code > 0 else ''}")

    def _later(self, part: Part, what: str) -> None:
        if part.failures >= QUICK_DEATHS:
            delay = SLOW_DELAY_S
            what += f"; that was {part.failures} times in a row: something is wrong, see {self.data_dir / 'logs'}"
        else:
            delay = FIRST_DELAY_S * 2 ** (part.failures - 1)
        part.retry_at = time.monotonic() + delay
        self._say(part.name, f"{what}; starting it again in {delay:g} s")

    def _take_down(self) -> None:
        self._stopping.set()
        if self._parts:
            self._say("headgate", "stopping: first the services, which finish what they have in hand, then the servers")
        gateway = self._parts.get("gateway")
        if gateway and isinstance(gateway.child, ServiceProcess):
            # First the edge, so that requests in hand still find the services.
            gateway.child.terminate()
            with contextlib.suppress(Exception):
                gateway.child.process.wait(3)
        services = [part for part in self._parts.values() if isinstance(part.child, ServiceProcess)]
        for part in services:
            assert isinstance(part.child, ServiceProcess)  # noqa: S101  just filtered
            part.child.terminate()
        for part in [*services, *(self._parts[name] for name in reversed(SERVERS) if name in self._parts)]:
            if part.child is not None:
                with contextlib.suppress(EmbeddedError, OSError):
                    part.child.stop()
                    self._say(part.name, "stopped")
                part.child = None
        while not self._orders.empty():
            self._orders.get_nowait()[1].set_exception(LocalError("The stack is stopping."))
        if self._claim is not None:  # a stack that was refused touches nothing of the one that runs
            self.servers.forget()
            close_claim(self.data_dir, self._claim)
