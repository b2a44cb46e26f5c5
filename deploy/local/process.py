"""One service as a child process of the supervisor: how it starts and ends, and where its lines go."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

_CHILD = Path(__file__).parents[1] / "embedded" / "child.py"
_ROOT = Path(__file__).resolve().parents[2]
LOG_LIMIT_BYTES = 16 * 1024 * 1024
_LINE_LIMIT_BYTES = 64 * 1024
_TOKEN = re.compile(r"hg_[A-Za-z0-9_-]{20,}")
Show = Callable[[str, str], None]


class Child(Protocol):
    """What the supervisor needs of a child: the embedded servers have the same."""

    @property
    def pid(self) -> int: ...
    @property
    def alive(self) -> bool: ...
    @property
    def process(self) -> subprocess.Popen[bytes]: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class BoundedLog:
    """A log file of mode 0600 that never grows past 16 MiB: then it becomes ``<name>.1``, and a new one begins."""

    def __init__(self, path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, self._limit = path, limit_bytes
        self._file = self._open()

    def _open(self) -> IO[bytes]:
        return os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab", 0)

    def write(self, line: str) -> None:
        """Append a line. A full disk costs the line, never the service."""
        with contextlib.suppress(OSError):
            if self._file.tell() > self._limit:
                self._file.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._file = self._open()
            self._file.write(line.encode(errors="replace") + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def bound_log(path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Keep a server's log, which the server itself appends to, under the limit: copy it to ``<name>.1``, empty it."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > limit_bytes:
            older = path.with_name(path.name + ".1")
            older.unlink(missing_ok=True)
            with os.fdopen(os.open(older, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
                copy.write(path.read_bytes())
            os.truncate(path, 0)


class ServiceProcess:
    """A running ``python -m services.<name>``. Start it from a thread that outlives it (see `deploy.embedded.child`).

    `program` are other arguments for Python, for tests that run a service with a fault planted in it.
    """

    def __init__(
        self, name: str, environment: Mapping[str, str], log: Path, show: Show, program: Sequence[str] = ()
    ) -> None:
        self.name, self._show = name, show
        self.last_lines: deque[str] = deque(maxlen=3)
        self._log = BoundedLog(log)
        command = [sys.executable, *(program or ("-m", f"services.{name}"))]
        # SIGKILL when the supervisor is gone: a clean stop would need the servers, which end at the same moment.
        guard = [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), str(int(signal.SIGKILL)), "--"]
        self.process = subprocess.Popen(
            guard + command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=_ROOT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the service itself."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def terminate(self) -> None:
        """Ask it to finish what it has in hand and end."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout_seconds: float = 40.0) -> None:
        """End it cleanly; kill -9 if it does not follow in time."""
        self.terminate()
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._show(self.name, f"did not end within {timeout_seconds:.0f} s and is killed")
            self.process.kill()
            self.process.wait(10)
        self._reader.join(5)

    def kill(self) -> None:
        """Kill -9 and return when it is gone."""
        if self.alive:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(5)

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101  a pipe, as asked for above
        with self.process.stdout as output:
            while raw := output.readline(_LINE_LIMIT_BYTES):
                line = raw.decode(errors="replace").rstrip()
                if not line:
                    continue
                # The first owner's token is shown once, on the terminal; it does not belong into a log.
                kept = _TOKEN.sub("hg_…", line)
                self.last_lines.append(kept)
                self._log.write(kept)
                self._show(self.name, line)
        self._log.close()
