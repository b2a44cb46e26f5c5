"""What the embedded Postgres and NATS have in common: a child process with a locked data folder, a log, stop and kill.

Call it from the main thread: the kernel's "parent is gone" signal follows the thread that started a server.
"""

import atexit
import contextlib
import errno
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

_CHILD = Path(__file__).with_name("child.py")
_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_KILL_TIMEOUT_SECONDS = 10.0
# Below the range from which Linux (32768-60999) and macOS (49152-65535) take ports for outgoing connections.
_FREE_PORTS = range(20000, 32000)
_reserved_ports: dict[int, IO[bytes]] = {}


class EmbeddedError(RuntimeError):
    """An embedded server could not be started or stopped; the message says why and what to do."""


@dataclass
class Server:
    """A running server. ``url`` holds the password of the user it was started with: never log it."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signals: tuple[signal.Signals, ...]

    @property
    def pid(self) -> int:
        """Process id of the server itself."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs. A dead one is reaped here; its exit code is in ``process.returncode``."""
        return self.process.poll() is None

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait for the end and return the exit code (negative: the signal). Raises subprocess.TimeoutExpired."""
        return self.process.wait(timeout_seconds)

    def stop(self, timeout_seconds: float = 20.0) -> None:
        """Stop cleanly. When the server does not follow in time, a stronger signal is sent, in the end SIGKILL."""
        for stop_signal in self.stop_signals:
            if not self.alive:
                return
            self.process.send_signal(stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_seconds)
                return
        self.kill()

    def kill(self) -> None:
        """Kill -9 the server and then its children, and return when all are gone. For tests and as the last resort."""
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True)
        if self.alive:
            # The parent goes first: Postgres would answer the death of a child with a clean restart of its own.
            self.process.kill()
        self.process.wait(_KILL_TIMEOUT_SECONDS)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        deadline = time.monotonic() + _KILL_TIMEOUT_SECONDS
        while left := [child.pid for child in children if not is_dead(child)]:
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name}: processes {left} do not die; end them before a restart.")
            time.sleep(0.01)


def is_dead(process: psutil.Process) -> bool:
    """Whether a process has ended. A zombie has: some containers' first process never collects orphans."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@atexit.register
def _let_go() -> None:
    for handle in _reserved_ports.values():
        handle.close()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that is free now and reserved for this process; raises like `free_ports`."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of `count` TCP ports in a row on 127.0.0.1 that are free now and reserved for this process.

    Parallel runs by the same user never get the same ones: each holds a lock file per port until it ends.
    Raises EmbeddedError when none are left.
    """
    folder = Path(tempfile.gettempdir()) / f"headgate-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for first in random.sample(_FREE_PORTS, len(_FREE_PORTS)):
        if first + count > _FREE_PORTS.stop:
            continue
        held: dict[int, IO[bytes]] = {}
        for port in range(first, first + count):
            if (handle := _reserve(folder, port)) is None:
                break
            held[port] = handle
        if len(held) == count:
            _reserved_ports.update(held)
            return first
        for handle in held.values():
            handle.close()
    raise EmbeddedError("No free port between 20000 and 32000 on 127.0.0.1: end other test runs first.")


def _reserve(folder: Path, port: int) -> IO[bytes] | None:
    if port in _reserved_ports:
        return None
    handle = (folder / str(port)).open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        handle.close()
        return None
    return handle


def lock_data(lock_path: Path, *, timeout_seconds: float = 20.0) -> IO[bytes]:
    """Lock a data folder and return the open lock file; pass it to `launch`, which hands it to the server.

    The server and all its children inherit the lock, so it is free only when the last of them is gone: after a kill -9
    of Postgres's first process the others need a moment, and starting on their data would harm it.
    Raises EmbeddedError when the folder is still in use after the time-out.
    """
    handle = os.fdopen(os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > deadline:
                owner = handle.read(20).decode(errors="replace").strip() or "unknown"
                handle.close()
                raise EmbeddedError(
                    f"The data beside {lock_path} is still in use by another server (process {owner}). "
                    "Stop that one first, or set HEADGATE_DATA_DIR to another folder."
                ) from error
        time.sleep(0.1)


def launch(command: list[str], *, log: Path, lock: IO[bytes], death_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a server as a direct child in a session of its own (a Ctrl-C in the terminal does not reach it).

    `log` gets its output (mode 0600; kept under 16 MiB by one older copy). The caller's hold on `lock` ends here.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    child = [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), str(int(death_signal)), "--"]
    # `unshare …` comes before the child: it keeps the process id, and a new user namespace forgets the death signal.
    split = command.index("--") + 1 if "--" in command else 0
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            command[:split] + child + command[split:],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=clean_environment(),
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
        lock.seek(0)
        lock.truncate()
        lock.write(str(process.pid).encode())
    finally:
        os.close(output)
        lock.close()
    return process


def clean_environment(**extra: str) -> dict[str, str]:
    """Our environment without what would steer Postgres's programs (PGPORT, PGHOST, locale), plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"} | extra


def log_size(log: Path) -> int:
    """Bytes in the log now: where the lines of the next start begin."""
    return log.stat().st_size if log.exists() else 0


def log_tail(log: Path, since: int, lines: int = 8) -> str:
    """The last lines that were written after position `since`, for an error message."""
    if not log.exists():
        return ""
    with log.open("rb") as handle:
        handle.seek(max(since, log.stat().st_size - 16_384))
        text = handle.read().decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-lines:])


def fail_start(name: str, process: subprocess.Popen[bytes], log: Path, since: int, reason: str) -> EmbeddedError:
    """End a server that did not start, and build the error that says why."""
    Server(name, "", process, log, (signal.SIGTERM,)).kill()
    tail = log_tail(log, since)
    return EmbeddedError(f"{name} did not start: {reason}" + (f"\nLast lines of {log}:\n{tail}" if tail else ""))
