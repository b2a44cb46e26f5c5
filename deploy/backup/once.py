"""What a single run tells that another clock starts, such as a CronJob's: there the installation hears of backups from
nobody else. Where HEADGATE_URL is not set nobody is told, and the keeper, if there is one, finds what was made by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from deploy.backup.create import secret_mark
from deploy.backup.installation import keys_of, own_secret, own_token, store_of
from deploy.backup.keeper import FAILURES
from deploy.backup.manifest import BackupError, Busy
from deploy.backup.rehearse import Rehearsal
from deploy.backup.shown import Screen
from deploy.backup.store import Found, Store
from deploy.backup.telling import Backup, Gateway
from libs.client.session import fail
from libs.common.settings import Settings


def tell(settings: Settings, screen: Screen, backup: Backup, found: Found | None = None) -> None:
    """Tell of a backup, the one that was found or none. That it could not be told is said here; it changes nothing
    about the backup. One of another installation says nothing of this one, and is not told.
    """
    if os.environ.get("HEADGATE_URL"):
        try:
            if found is not None:
                _check_own(settings, found)
            with closing(Gateway(None, own_token(settings))) as gateway:
                gateway.report_backup(backup)
        except FAILURES as error:
            fail(screen.err, f"The installation was told nothing: {error}")


def _check_own(settings: Settings, found: Found) -> None:
    made, mark = found.manifest, secret_mark(own_secret(settings))
    if made is None or (made.namespace, made.secret_mark) == (settings.namespace, mark):
        return
    what = "in another namespace" if made.secret_mark == mark else "with another cluster secret"
    raise BackupError(f"The backup {found.backup_id} was made {what}, so it is not of this installation.")


@contextmanager
def failures_told(settings: Settings, place: str | None, screen: Screen) -> Iterator[Store]:
    """The store at a place. Tell that there is no backup, and why, but for another one that is being made right now."""
    started, store = datetime.now(UTC), None
    try:
        store = store_of(settings, place)
        yield store
    except Busy:
        raise
    except FAILURES as error:
        tell(settings, screen, Backup.failed(store, str(error), started, datetime.now(UTC)))
        raise


@contextmanager
def failed_rehearsal_told(
    gateway: Gateway | None, settings: Settings, place: str | None, backup_id: str | None, screen: Screen
) -> Iterator[Store]:
    """The store at a place. Tell of a rehearsal that there could not be: of its backup, if there is one, and that it
    was restored nowhere.
    """
    started, store = datetime.now(UTC), None
    try:
        store = store_of(settings, place)
        yield store
    except Busy:
        raise
    except FAILURES as error:
        if gateway is not None:
            try:
                _tell_rehearsal(gateway, settings, store, backup_id, started, str(error))
            except (*FAILURES, OSError) as silence:
                fail(screen.err, str(silence))
        raise


def _tell_rehearsal(
    gateway: Gateway, settings: Settings, store: Store | None, backup_id: str | None, started: datetime, why: str
) -> None:
    whole = [one for one in store.all() if one.manifest is not None and not one.problem] if store else []
    made = next((one for one in reversed(whole) if one.manifest and one.manifest.began_at >= started), None)
    if store is not None and made is not None:
        problems = store.check(made, keys_of(settings), datetime.now(UTC), lambda _: None)
        gateway.report_backup(Backup.of(made, store, problems, started, datetime.now(UTC)))
    elif backup_id is None:
        gateway.report_backup(Backup.failed(store, why, started, datetime.now(UTC)))
        return
    rehearsed = backup_id or (made.backup_id if made else "")
    problems = [f"There was no rehearsal: {why}"]
    gateway.report(Rehearsal(rehearsed, started, datetime.now(UTC), problems=problems))
