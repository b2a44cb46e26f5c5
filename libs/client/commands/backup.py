"""``headgate backup …`` and ``headgate dr …``: an administrator's commands, on the installation's own machine.

The tool must not import the part that deploys, so it becomes it: signals then reach it directly.
"""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from libs.client.commands.general import become
from libs.client.session import Session, command

backups = typer.Typer(no_args_is_help=True, help="Backups of this installation: made, verified and restored.")

rehearsals = typer.Typer(no_args_is_help=True, help="Rehearsed recovery: a backup is really restored, and compared.")

Folder = Annotated[
    str | None,
    typer.Option("--dir", help="Folder or s3://bucket/prefix (else: HEADGATE_BACKUP_DIR, or in the data folder)."),
]


def _become(session: Session, what: str, folder: str | None, *arguments: str) -> NoReturn:
    shared = [*(["--json"] if session.json else []), *(["--dir", folder] if folder else [])]
    become(session, "deploy.backup", what, *shared, *arguments)


@command(backups, "create")
def create(
    session: Session,
    folder: Folder = None,
    max_mib_s: Annotated[int, typer.Option(min=0, help="MiB a second at the most (0: as fast as it goes).")] = 0,
) -> None:
    """Back up the database, the streams and the stored files of the installation that runs, as of one moment."""
    _become(session, "create", folder, f"--max-mib-s={max_mib_s}")


@command(backups, "list")
def list_backups(session: Session, folder: Folder = None) -> None:
    """List backups. complete: all is there; good: it was also read and is right; damaged: don't rely on it."""
    _become(session, "list", folder)


@command(backups, "verify")
def verify(
    session: Session,
    backup_id: Annotated[str | None, typer.Argument(help="Which one (else: the newest whole one).")] = None,
    folder: Folder = None,
) -> None:
    """Read every byte of a backup, open and unpack it. Exit code 1: it is damaged."""
    _become(session, "verify", folder, *([backup_id] if backup_id else []))


@command(backups, "restore")
def restore(
    session: Session,
    backup_id: Annotated[str, typer.Argument(help="Which one; see: headgate backup list")],
    replace: Annotated[bool, typer.Option("--replace", help="Delete all that the installation holds now.")] = False,
    folder: Folder = None,
) -> None:
    """Make this installation, which is stopped and empty, what a backup holds; then start it."""
    _become(session, "restore", folder, backup_id, *(["--replace"] if replace else []))


@command(backups, "prune")
def prune(
    session: Session,
    daily: Annotated[int | None, typer.Option(min=0, help="Days that keep their last backup (else: settings).")] = None,
    weekly: Annotated[int | None, typer.Option(min=0, help="Weeks that do.")] = None,
    monthly: Annotated[int | None, typer.Option(min=0, help="Months that do.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    folder: Folder = None,
) -> None:
    """Remove backups that no day, week or month keeps. The newest stays, and damaged ones are left to you."""
    given = {"daily": daily, "weekly": weekly, "monthly": monthly}
    counts = [f"--{span}={number}" for span, number in given.items() if number is not None]
    _become(session, "prune", folder, *counts, *(["--dry-run"] if dry_run else []))


@command(rehearsals, "rehearse")
def rehearse(
    session: Session,
    backup_id: Annotated[str | None, typer.Argument(help="Which backup (else: a new one is made).")] = None,
    max_mib_s: Annotated[int, typer.Option(min=0, help="MiB a second at the most (0: as fast as it goes).")] = 64,
    no_report: Annotated[bool, typer.Option("--no-report", help="Tell nobody how it went.")] = False,
    folder: Folder = None,
) -> None:
    """Make a backup, restore it into scratch, compare, and tell the operations gates. Exit code 1: not valid."""
    own = [*([backup_id] if backup_id else []), *(["--no-report"] if no_report else [])]
    _become(session, "rehearse", folder, f"--max-mib-s={max_mib_s}", *_url(session), *own)


@command(rehearsals, "work")
def work(
    session: Session,
    max_mib_s: Annotated[int, typer.Option(min=0, help="MiB a second at the most (0: as fast as it goes).")] = 64,
    every_s: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 60,
    folder: Folder = None,
) -> None:
    """The keeper, until Ctrl-C: makes the backups that are due, rehearses when that is asked for, and reports."""
    _become(session, "work", folder, f"--max-mib-s={max_mib_s}", f"--every-s={every_s}", *_url(session))


def _url(session: Session) -> list[str]:
    return ["--url", session.url] if session.url else []
