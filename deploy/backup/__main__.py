"""``python -m deploy.backup create|list|verify|restore|prune|rehearse|work``: ``headgate backup`` and ``headgate dr``.

Exit codes: 0 done and good; 1 damaged, or a rehearsal that failed; 2 refused or could not be done.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from pydantic import ValidationError
from rich.text import Text

from deploy.backup import once, shown
from deploy.backup.create import create
from deploy.backup.files import Pace
from deploy.backup.installation import installation, keys_of, own_token, store_of
from deploy.backup.keeper import Keeper
from deploy.backup.manifest import BackupError
from deploy.backup.pruning import keep_of, prune
from deploy.backup.rehearse import Rehearsal, rehearse
from deploy.backup.restore import restore
from deploy.backup.sealing import Keys
from deploy.backup.shown import Screen
from deploy.backup.store import Found, Store
from deploy.backup.telling import Backup, Gateway
from deploy.embedded import EmbeddedError
from deploy.installation import InstallationError
from deploy.local.stack import LocalError
from libs.client.session import fail, make_console
from libs.client.show import table
from libs.common.admin import AdminError
from libs.common.schedules import ScheduleError, read_schedule
from libs.common.settings import Settings

_NICE = 10  # services go first
SPANS = ("daily", "weekly", "monthly")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.backup", description="Backups of an installation.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, what: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=what)
        made.add_argument("--dir", help="the folder of backups, or s3://bucket/prefix")
        made.add_argument("--json", action="store_true", help="answer as JSON")
        return made

    one = add("create", "back up the installation that runs")
    one.add_argument("--max-mib-s", type=int, default=0)
    add("list", "list the backups of the folder")
    add("verify", "read all of a backup").add_argument("backup_id", nargs="?")
    one = add("restore", "make the installation what a backup holds")
    one.add_argument("backup_id")
    one.add_argument("--replace", action="store_true", help="delete what the installation holds")
    one = add("rehearse", "restore a backup beside the installation, and compare")
    one.add_argument("backup_id", nargs="?")
    one.add_argument("--no-report", action="store_true")
    _of_rehearsals(one)
    one = add("work", "make backups by the clock and rehearse whenever it is asked for, until stopped")
    one.add_argument("--every-s", type=float, default=60.0)
    one.set_defaults(backup_id=None)
    _of_rehearsals(one)
    one = add("prune", "remove old backups")
    for span in SPANS:
        one.add_argument(f"--{span}", type=int, help="else as the settings say")
    one.add_argument("--dry-run", action="store_true")
    return parser


def _of_rehearsals(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-mib-s", type=int, default=64)
    parser.add_argument("--url", help="the gateway that is told how it went")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; one sentence on standard error if it can't be done."""
    chosen = _parser().parse_args(arguments)
    screen = Screen(chosen.json, make_console(), make_console(stderr=True))
    try:
        return COMMANDS[chosen.command](chosen, Settings(), screen)
    except ValidationError as error:
        for problem in error.errors():
            fail(screen.err, f"HEADGATE_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}")
    except (BackupError, LocalError, InstallationError, AdminError, EmbeddedError) as error:
        fail(screen.err, str(error))
    except KeyboardInterrupt:
        fail(screen.err, "Stopped; what was begun does not count.")
    return 2


def _create(chosen: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    os.nice(_NICE)
    with once.failures_told(settings, chosen.dir, screen) as store:
        keys = keys_of(settings)
        with installation(settings) as source, screen.progress("Backup") as told:
            pace = Pace(chosen.max_mib_s * 1024 * 1024)
            made = asyncio.run(create(source, store, keys, datetime.now(UTC), told, pace))
    screen.emit(shown.summary(made), shown.one(made))
    return 0


def _list(chosen: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    found = store_of(settings, chosen.dir).all()
    screen.emit([shown.summary(one) for one in found], shown.many(found) if found else Text("No backups."))
    return 0


def _verify(chosen: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    started = datetime.now(UTC)
    if chosen.backup_id:
        store = store_of(settings, chosen.dir)
        found = store.look(chosen.backup_id)
        problems = _read(store, found, keys_of(settings), screen)
    else:  # how things stand, which is what is told; what somebody looks up is not
        with once.failures_told(settings, chosen.dir, screen) as store:
            keys = keys_of(settings)
            found = store.newest()
            problems = _read(store, found, keys, screen)
        once.tell(settings, screen, Backup.of(found, store, problems, started, datetime.now(UTC)), found)
    screen.emit(
        {"backup_id": found.backup_id, "good": not problems, "problems": problems},
        Text(f"{found.backup_id} is {'damaged' if problems else 'good: every byte was read'}."),
        *(Text(f"  - {problem}") for problem in problems),
    )
    return 1 if problems else 0


def _read(store: Store, found: Found, keys: Keys, screen: Screen) -> list[str]:
    total = found.manifest.size_bytes if found.manifest else None
    with screen.progress("Reading", total) as told:
        return store.check(found, keys, datetime.now(UTC), told.moved)


def _restore(chosen: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    store, keys = store_of(settings, chosen.dir), keys_of(settings)
    found = store.look(chosen.backup_id)
    if problems := _read(store, found, keys, screen):
        raise BackupError(f"The backup {found.backup_id} is damaged: {problems[0]} Choose another one.")
    with installation(settings, stopped=True) as target:
        total = sum(part.size_bytes for part in found.manifest.parts) if found.manifest else None
        with screen.progress("Restore", total) as told:
            done = asyncio.run(restore(found, target, keys, told, replace=chosen.replace))
    screen.emit(
        {"backup_id": found.backup_id, **asdict(done)},
        Text(f"{found.backup_id} is restored; the audit log ends at {done.audit_seq} with {done.audit_hash}."),
        *(Text(f"Note: {note}", style="yellow") for note in done.notes),
    )
    return 0


def _rehearse(chosen: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    os.nice(_NICE)
    gateway = None if chosen.no_report else Gateway(chosen.url, own_token(settings), as_person=True)
    try:
        with once.failed_rehearsal_told(gateway, settings, chosen.dir, chosen.backup_id, screen) as store:
            done = _rehearsed(chosen, settings, screen)
        screen.emit(asdict(done), *shown.rehearsal(done))
        if gateway is not None:
            gateway.report(done)
            try:
                _tell_its_backup(done, store, gateway)
            except BackupError as error:  # the keeper will
                fail(screen.err, str(error))
    finally:
        if gateway is not None:
            gateway.close()
    return 0 if done.restore_valid else 1


def _tell_its_backup(done: Rehearsal, store: Store, gateway: Gateway) -> None:
    """The one that it made and read, if the keeper was not faster."""
    if done.backup_s is not None and done.finished_at is not None:
        made = store.look(done.backup_id)
        problems = [made.problem] if made.problem else []
        told = Backup.of(made, store, problems, done.started_at, datetime.now(UTC), backup_s=done.backup_s)
        gateway.report_backup(told)


def _rehearsed(
    chosen: argparse.Namespace, settings: Settings, screen: Screen, backup_id: str | None = None
) -> Rehearsal:
    store, keys = store_of(settings, chosen.dir), keys_of(settings)
    wanted = backup_id or chosen.backup_id
    found = store.look(wanted) if wanted else None
    bus_url = settings.rehearsal_nats_url.get_secret_value() if settings.rehearsal_nats_url else None
    with installation(settings) as source, screen.progress("Rehearsal") as told:
        pace = Pace(chosen.max_mib_s * 1024 * 1024)
        return asyncio.run(rehearse(source, store, keys, told, found=found, bus_url=bus_url, pace=pace))


def _work(chosen: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    """Until stopped: make the backups that are due, rehearse whenever that is asked for, and report."""
    os.nice(_NICE)
    try:
        schedule = read_schedule(settings.backup_schedule)
    except ScheduleError as error:
        raise BackupError(f"HEADGATE_BACKUP_SCHEDULE: {error}.") from None
    keeper = Keeper(
        settings,
        store_of(settings, chosen.dir),
        keys_of(settings),
        schedule,
        screen,
        connect=lambda: Gateway(chosen.url, own_token(settings)),
        rehearsed=lambda backup_id: _rehearsed(chosen, settings, screen, backup_id),
        bytes_per_s=chosen.max_mib_s * 1024 * 1024,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        keeper.run(chosen.every_s)
    except KeyboardInterrupt:
        return 0
    return 0


def _prune(chosen: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    given = {span: number for span in SPANS if (number := getattr(chosen, span)) is not None}
    if any(number < 0 for number in given.values()):
        raise BackupError("A number of backups to keep can't be below 0.")
    keep = replace(keep_of(settings), **given)
    staying, going = prune(store_of(settings, chosen.dir), keep, dry_run=chosen.dry_run)
    rows = [(one, "stays", staying[one]) for one in staying]
    rows += [(one, "would go" if chosen.dry_run else "removed", "") for one in going]
    screen.emit(
        {"kept": staying, "removed": [] if chosen.dry_run else going, "would_go": going if chosen.dry_run else []},
        table(("backup", "", "as"), sorted(rows)) if rows else Text("No backups."),
    )
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace, Settings, Screen], int]] = {
    "create": _create,
    "list": _list,
    "verify": _verify,
    "restore": _restore,
    "rehearse": _rehearse,
    "work": _work,
    "prune": _prune,
}


if __name__ == "__main__":
    sys.exit(main())
