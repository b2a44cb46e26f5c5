"""The keeper: a process of the administrator that makes backups when they are due, rehearses when that is asked for,
and tells the installation (docs/decisions/0033).

What is due follows from what lies in the folder, not from what it remembers: after a crash, a restore or a month in
which it did not run it does what is missing, once. A gateway that does not answer keeps nothing from being backed up;
it is told later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.text import Text

from deploy.backup import shown
from deploy.backup.create import create
from deploy.backup.files import Pace
from deploy.backup.installation import installation
from deploy.backup.manifest import BackupError
from deploy.backup.pruning import keep_of, prune
from deploy.backup.rehearse import Rehearsal
from deploy.backup.sealing import Keys
from deploy.backup.shown import Screen
from deploy.backup.store import Found, Store
from deploy.backup.telling import Backup, Gateway
from deploy.embedded import EmbeddedError
from deploy.installation import InstallationError
from libs.client.session import fail
from libs.common.contracts.operations.backups import KeeperDuties
from libs.common.schedules import Schedule
from libs.common.settings import Settings

LONGEST_WAIT_S = 3600.0
GATEWAY_WAIT_S = 60.0
AHEAD = timedelta(minutes=5)  # of a backup's clock: one from next year keeps nobody from making today's
FAILURES = (BackupError, InstallationError, EmbeddedError)


def is_due(schedule: Schedule | None, began: list[datetime], now: datetime) -> bool:
    """Whether a backup is to be made: none of the whole ones, begun at these moments, is of the newest instant's time.

    So of several missed instants one is made up, and a folder without a backup gets one at once.
    """
    if schedule is None:
        return False
    instant = schedule.latest(now)
    return not any(instant <= at <= now + AHEAD for at in began)


@dataclass
class Keeper:
    """``connect`` reaches the gateway, ``rehearsed`` makes a rehearsal of the given backup (None: of a new one)."""

    settings: Settings
    store: Store
    keys: Keys
    schedule: Schedule | None
    screen: Screen
    connect: Callable[[], Gateway]
    rehearsed: Callable[[str | None], Rehearsal]
    bytes_per_s: int = 0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _gateway: Gateway | None = None
    _rehearse: str | None = None
    _failed_for: datetime | None = None
    _failures: int = field(default=0)

    def run(self, every_s: float) -> None:
        """Look, do, wait, until interrupted. What fails is tried again, later each time."""
        self._await_gateway()
        try:
            while True:
                try:
                    self.look()
                    self._failures = 0
                except FAILURES as error:
                    fail(self.screen.err, str(error))
                    self._failures += 1
                time.sleep(min(every_s * 2 ** min(self._failures, 10), max(LONGEST_WAIT_S, every_s)))
        finally:
            self._close()

    def look(self) -> None:
        """Do what there is to do now. Raises `FAILURES`, after all that could be done was done."""
        now = self.clock()
        duties, silence = None, None
        try:
            duties = self._reached().duties()
        except BackupError as error:
            silence = error
            self._close()
        found = self.store.all()
        began = [one.manifest.began_at for one in found if one.manifest is not None and not one.problem]
        if is_due(self.schedule, began, now):
            self._back_up(now)
        elif duties is not None:
            self._tell_news(found, duties)
        if duties is None:
            raise silence or BackupError("The gateway said nothing.")
        if duties.rehearsal_count:
            self._rehearse_now()

    def _back_up(self, started: datetime) -> None:
        began = time.monotonic()
        try:
            with installation(self.settings) as source, self.screen.progress("Backup") as told:
                made = asyncio.run(create(source, self.store, self.keys, started, told, Pace(self.bytes_per_s)))
                took_s = time.monotonic() - began
                problems = self.store.check(made, self.keys, self.clock(), Pace(self.bytes_per_s).took)
        except FAILURES as error:
            self._tell_failure(started, str(error))
            raise
        removed = [] if problems else prune(self.store, keep_of(self.settings))[1]
        self._tell(Backup.of(made, self.store, problems, started, self.clock(), backup_s=took_s, removed=removed))

    def _tell_failure(self, started: datetime, why: str) -> None:
        """Once for each instant of the schedule: trying again every hour is no news."""
        instant = self.schedule.latest(started) if self.schedule else started
        if self._failed_for == instant:
            return
        try:
            self._tell(Backup.failed(self.store, why, started, self.clock()))
            self._failed_for = instant
        except BackupError as error:
            fail(self.screen.err, str(error))

    def _tell_news(self, found: list[Found], duties: KeeperDuties) -> None:
        """What lies there newest, if the installation knows it otherwise: made by hand, damaged since, or gone."""
        now = self.clock()
        if not found:
            if duties.last_backup_id is not None:
                self._tell(Backup.failed(self.store, "No backup lies there any more.", now, now))
            return
        newest = found[-1]
        if (newest.backup_id, not newest.problem) == (duties.last_backup_id, duties.last_good):
            return
        problems = [newest.problem] if newest.problem else []
        if not problems and newest.checked_at is None:
            problems = self.store.check(newest, self.keys, now, Pace(self.bytes_per_s).took)
        self._tell(Backup.of(newest, self.store, problems, now, self.clock()))

    def _tell(self, backup: Backup) -> None:
        run_id = self._reached().report_backup(backup)
        self.screen.emit({"run_id": run_id, **backup.fields()}, Text(backup.sentence()))

    def _rehearse_now(self) -> None:
        """One that fails is repeated with the backup that is there: a disk must not fill with copies that nobody could
        rehearse.
        """
        try:
            done = self.rehearsed(self._rehearse)
            run_id = self._reached().report(done)
        except FAILURES:
            whole = [one.backup_id for one in self.store.all() if not one.problem]
            self._rehearse = whole[-1] if whole else None
            raise
        self._rehearse = None
        self.screen.emit({"run_id": run_id, **shown.plain(done)}, *shown.rehearsal(done))

    def _await_gateway(self) -> None:
        """It may be starting at this moment, as the keeper is."""
        deadline = time.monotonic() + GATEWAY_WAIT_S
        while time.monotonic() < deadline:
            try:
                self._reached()
                return
            except BackupError:
                time.sleep(1.0)

    def _reached(self) -> Gateway:
        if self._gateway is None:
            self._gateway = self.connect()
        return self._gateway

    def _close(self) -> None:
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None
