"""Headgate on one machine: ``python -m deploy.local up`` (``make up``), ``migrate`` and ``nats-config``.

``halt`` and ``resume`` do it for one service of a stack that runs.

``up`` runs Postgres, NATS and the services in the foreground until Ctrl-C or SIGTERM. `LocalStack` is the same for
programs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from pydantic import ValidationError

from deploy.embedded import EmbeddedError
from deploy.installation import InstallationError, bus_config
from deploy.local.control import Control, ask
from deploy.local.options import Options
from deploy.local.servers import running_servers
from deploy.local.stack import KEEPER, SERVERS, LocalError, LocalStack
from libs.common.admin import AdminError, passwords, prepare
from libs.common.contracts import SERVICES
from libs.common.settings import Settings
from libs.common.topology import Topology

__all__ = ["LocalError", "LocalStack", "main"]

_COLOURS = dict(
    zip(("headgate", "postgres", "nats", *SERVICES, KEEPER), cycle((1, 34, 36, 35, 32, 33, 31, 94)), strict=False)
)
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """Lines on standard output, each with the name of who said it, coloured on a terminal (not with NO_COLOR)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def show(self, name: str, line: str) -> None:
        """Print one line."""
        shown = f"{name:<10} "
        if self._colours:
            shown = f"\033[{_COLOURS.get(name, 0)}m{shown}\033[0m"
        self.write(shown + line)

    def write(self, text: str) -> None:
        """Print text as it is. A reader that went away (`make up | head`) ends the printing, never the stack."""
        with self._lock:
            try:
                sys.stdout.write(text + "\n")
                sys.stdout.flush()
            except (OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, or 1 with one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description="Headgate on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up", help="run everything here until Ctrl-C")
    up_parser.add_argument("--quiet", action="store_true", help="the services' logs go to files only")
    up_parser.add_argument("--servers-only", action="store_true", help="no services: for backup and restore")
    for name, what in (("halt", "stop one part of the running stack"), ("resume", "start it again")):
        commands.add_parser(name, help=what).add_argument("service", choices=(*SERVICES, *SERVERS, KEEPER))
    migrate_parser = commands.add_parser("migrate", help="bring schemas, roles and streams to this version")
    migrate_parser.add_argument("--narrow", action="store_true", help="take away what services of other versions hear")
    commands.add_parser("nats-config", help="print a nats-server configuration with Headgate's users (secret!)")
    chosen = parser.parse_args(arguments)
    try:
        settings = Settings()
        if chosen.command == "up":
            return up(settings, quiet=chosen.quiet, services=() if chosen.servers_only else SERVICES)
        if chosen.command in ("halt", "resume"):
            return set_service(settings, chosen.service, halt=chosen.command == "halt")
        if chosen.command == "migrate":
            return migrate(settings, narrow=chosen.narrow)
        return show_nats_config(settings)
    except ValidationError as error:
        for problem in error.errors():
            where = "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"headgate: HEADGATE_{where}: {problem['msg']}\n")
    except (LocalError, InstallationError, AdminError, EmbeddedError) as error:
        sys.stderr.write(f"headgate: {error}\n")
    return 1


def up(settings: Settings, *, quiet: bool = False, services: Sequence[str] = SERVICES) -> int:
    """Run until a stop signal. Raises `LocalError` if it can't start; nothing is left running then."""
    terminal = Terminal()
    options = Options.from_settings(settings)
    stack = LocalStack(
        settings.data_dir,
        quiet=quiet,
        options=options,
        show=terminal.show,
        services=services,
        keeper=bool(services),
    )
    asked = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        stack.ask_to_stop()
        asked.set()

    # A second Ctrl-C changes nothing: the handler stays until all has stopped.
    for number in _STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup asks to ignore it
            signal.signal(number, on_signal)
    terminal.show("headgate", f"starting on {_short(stack.data_dir)}")
    try:
        stack.start()
        control = Control(stack, terminal.show)
        try:
            stack.wait_ready()
        except LocalError as error:
            if asked.is_set():
                raise
            terminal.show("headgate", f"{error} It goes on trying.")
        terminal.write(summary(stack))
        stack.wait(control.apply)
    except LocalError:
        if not asked.is_set():
            raise
    finally:
        stack.stop()
    terminal.show("headgate", "stopped; the data stays")
    return 0


def set_service(settings: Settings, service: str, *, halt: bool) -> int:
    """Ask the stack that runs on the data folder to halt or resume a service."""
    options = Options.from_settings(settings)
    if not all(running_servers(options.data_dir)):
        raise LocalError(f"Nothing runs on {_short(options.data_dir)}; start it with `make up`.")
    ask(options.data_dir, service, halt=halt)
    sys.stdout.write(f"{service} {'stops' if halt else 'starts again'}; the supervisor's terminal says when.\n")
    return 0


def summary(stack: LocalStack) -> str:
    """What a person needs to know when all is up."""
    options = stack.options
    if not stack.services:
        return f"\nOnly the servers are up: {', '.join(stack.servers.places())}. Stop with Ctrl-C.\n"
    token = (
        "the one in HEADGATE_BOOTSTRAP_TOKEN"
        if options.bootstrap_token
        else f"in {_short(stack.token_file)}"
        if stack.token_file.exists()
        else "as it was given at the first start"
    )
    metrics = ", ".join(f"{name} {options.port_of(name)}" for name in SERVICES)
    rows = {
        "gateway": stack.gateway_url,
        "API pages": f"{stack.gateway_url}/docs",
        "first token": token,
        "metrics": f"/metrics on the ports {metrics}",
        "servers": ", ".join(stack.servers.places()),
        "logs": f"{_short(stack.data_dir / 'logs')}/",
        "stop with": "Ctrl-C",
    }
    return "\nHeadgate is up.\n" + "".join(f"  {name:<12} {value}\n" for name, value in rows.items())


def migrate(settings: Settings, *, narrow: bool = False) -> int:
    """The admin step alone, on the given servers or on those of the stack that runs on the data folder.

    ``narrow``: services of other versions are gone, so what only they hear or keep goes, too.
    """
    options = Options.from_settings(settings)
    running_database, running_nats = running_servers(options.data_dir)
    database_url = options.admin_database_url or running_database
    nats_url = options.admin_nats_url or running_nats
    if not database_url or not nats_url:
        raise LocalError(
            "No servers to prepare: set HEADGATE_ADMIN_DATABASE_URL and HEADGATE_ADMIN_NATS_URL, or start Headgate "
            f"first (nothing runs on {_short(options.data_dir)})."
        )
    database_passwords = passwords(options.secret(), "postgres")
    replicas = options.nats_replicas
    done = asyncio.run(
        prepare(database_url, nats_url, options.namespace, database_passwords, replicas=replicas, narrow=narrow)
    )
    sys.stdout.write("".join(f"{line}\n" for line in done) or "nothing to do: schemas and streams are up to date\n")
    return 0


def show_nats_config(settings: Settings) -> int:
    """Print a configuration for a nats-server of your own, with the users of this installation."""
    options = Options.from_settings(settings)
    everywhere = "0.0.0.0"  # noqa: S104  a server of its own, that other machines reach
    config = bus_config(
        options.secret(),
        Topology(options.namespace),
        port=4222,
        monitor_port=8222,
        store_dir="/data",
        host=everywhere,
    )
    sys.stdout.write(config)
    return 0


def _short(path: Path) -> str:
    """The path as seen from here, if that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
