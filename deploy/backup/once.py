"""What a single run tells that another clock starts, such as a CronJob's: there the installation hears of backups from
nobody else. Where HEADGATE_URL is not set nobody is told, and the keeper, if there is one, finds what was made by hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from deploy.backup.installation import own_token
from deploy.backup.keeper import FAILURES
from deploy.backup.manifest import BackupError, Busy
from deploy.backup.rehearse import Rehearsal
from deploy.backup.sealing import Keys
from deploy.backup.shown import Screen
from deploy.backup.store import Found, Store
from deploy.backup.telling import Backup, Gateway
from libs.client.session import fail
from libs.common.settings import Settings


def tell(settings: Settings, screen: Screen, backup: Backup) -> None:
    """Tell of a backup. That it could not be told is said here; it changes nothing about the backup."""
    if os.environ.get("HEADGATE_URL"):
        try:
            with closing(Gateway(None, own_token(settings))) as gateway:
                gateway.report_backup(backup)
        except BackupError as error:
            fail(screen.err, str(error))


@contextmanager
def failures_told(settings: Settings, store: Store, screen: Screen) -> Iterator[None]:
    """Tell that there is no backup, and why, but for another one that is being made at this moment."""
    started = datetime.now(UTC)
    try:
        yield
    except Busy:
        raise
    except FAILURES as error:
        tell(settings, screen, Backup.failed(store, str(error), started, datetime.now(UTC)))
        raise


@contextmanager
def failed_rehearsal_told(
    gateway: Gateway | None, store: Store, backup_id: str | None, screen: Screen, read: Callable[[Found], list[str]]
) -> Iterator[None]:
    """Tell of a rehearsal that there could not be: of its backup, if there is one, and that it was restored nowhere.

    ``read`` reads a backup and says what is wrong with it.
    """
    started = datetime.now(UTC)
    try:
        yield
    except Busy:
        raise
    except FAILURES as error:
        if gateway is not None:
            try:
                _tell_rehearsal(gateway, store, backup_id, started, str(error), read)
            except FAILURES as silence:
                fail(screen.err, str(silence))
        raise


def _tell_rehearsal(
    gateway: Gateway,
    store: Store,
    backup_id: str | None,
    started: datetime,
    why: str,
    read: Callable[[Found], list[str]],
) -> None:
    whole = [one for one in store.all() if one.manifest is not None and not one.problem]
    made = next((one for one in reversed(whole) if one.manifest and one.manifest.began_at >= started), None)
    if backup_id is None and made is None:
        gateway.report_backup(Backup.failed(store, why, started, datetime.now(UTC)))
        return
    if made is not None:
        gateway.report_backup(Backup.of(made, store, read(made), started, datetime.now(UTC)))
    rehearsed = backup_id or (made.backup_id if made else "")
    problems = [f"There was no rehearsal: {why}"]
    gateway.report(Rehearsal(rehearsed, started, datetime.now(UTC), problems=problems))


def read_quietly(store: Store, keys: Keys, found: Found) -> list[str]:
    """What is wrong with a backup, by every byte of it."""
    return store.check(found, keys, datetime.now(UTC), lambda _: None)
