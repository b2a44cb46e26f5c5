"""The keeper: what is due follows from what lies there, failures are tried again, the installation is told once."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.backup import keeper as keeping
from deploy.backup.files import PartWriter
from deploy.backup.keeper import Keeper, is_due
from deploy.backup.manifest import BackupError
from deploy.backup.pruning import prune
from deploy.backup.rehearse import Rehearsal
from deploy.backup.retention import Keep
from deploy.backup.sealing import Keys
from deploy.backup.shown import Screen
from deploy.backup.store import Found, Store
from deploy.backup.telling import Backup
from libs.common.contracts.operations.backups import BackupResult, KeeperDuties
from libs.common.schedules import Schedule
from libs.common.settings import Settings
from tests.unit.deploy.backups import MOMENT, a_manifest, folder_of, ignore

NIGHTLY = Schedule("15 2 * * *")
TODAY = datetime(2026, 5, 1, 2, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("began", "now", "due"),
    [
        ([], TODAY, True),  # none at all: at once, whatever the hour
        ([TODAY], TODAY + timedelta(hours=23), False),
        ([TODAY], TODAY + timedelta(hours=24), True),
        ([TODAY - timedelta(seconds=1)], TODAY, True),
        ([TODAY - timedelta(days=9)], TODAY + timedelta(hours=5), True),  # of nine missed ones, one
        ([TODAY + timedelta(hours=5)], TODAY + timedelta(hours=6), False),  # made by hand since
        ([TODAY + timedelta(days=365)], TODAY + timedelta(hours=1), True),  # of a clock that was wrong
        ([TODAY + timedelta(hours=1, minutes=4)], TODAY + timedelta(hours=1), False),  # of one a little ahead
    ],
)
def test_what_is_due(began: list[datetime], now: datetime, due: bool) -> None:
    assert is_due(NIGHTLY, began, now) is due
    assert not is_due(None, began, now)


def put(store: Store, began: datetime = MOMENT) -> Found:
    """A small whole backup."""
    with store.writing():
        backup_id, folder = store.begin(began)
        part = PartWriter(folder, "database.dump", backup_id, Keys(), packed=False, moved=ignore)
        part.write(b"rows")
        manifest = a_manifest(backup_id, database=part.close(), streams={}, began_at=began, recovery_point=began)
        store.finish(folder, manifest, Keys())
    return store.look(backup_id)


class Installation:
    """What the gateway would know, and a process that makes small backups."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(folder)
        self.now = MOMENT
        self.told: list[BackupResult] = []
        self.waiting = 0
        self.silent = False
        self.broken = ""
        self.closed = 0
        self.rehearsed: list[str | None] = []
        self.rehearse: Callable[[str | None], None] = lambda _: None
        monkeypatch.setattr(keeping, "installation", lambda _: self)
        monkeypatch.setattr(keeping, "create", self._create)

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *_: object) -> None: ...

    async def _create(self, _source: object, store: Store, _keys: Keys, now: datetime, *_: object) -> Found:
        if self.broken:
            raise BackupError(self.broken)
        return put(store, now)

    def duties(self) -> KeeperDuties:
        """What it knows."""
        if self.silent:
            raise BackupError("The gateway can't be reached.")
        last = self.told[-1] if self.told else None
        return KeeperDuties(
            rehearsal_count=self.waiting,
            last_backup_id=last.backup_id if last else None,
            last_good=last.good if last else None,
            last_finished_at=last.finished_at if last else None,
        )

    def report_backup(self, backup: Backup) -> int:
        """Taken, as the contract takes it."""
        if self.silent:
            raise BackupError("The gateway can't be reached.")
        self.told.append(BackupResult.model_validate(backup.fields()))
        return len(self.told)

    def report(self, _done: Rehearsal) -> int:
        """Taken."""
        self.waiting = 0
        return 1

    def close(self) -> None:
        """Nothing is open."""
        self.closed += 1

    def _rehearsed(self, backup_id: str | None) -> Rehearsal:
        self.rehearsed.append(backup_id)
        self.rehearse(backup_id)
        return Rehearsal("20260501T120000Z-abcdef", self.now, self.now, restore_valid=True)

    def keeper(self, schedule: Schedule | None = NIGHTLY) -> Keeper:
        """One that works for it."""
        screen = Screen(False, Console(quiet=True), Console(quiet=True))
        connect: Any = lambda: self  # noqa: E731
        return Keeper(
            Settings(), self.store, Keys(), schedule, screen, connect, self._rehearsed, clock=lambda: self.now
        )


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return Installation(tmp_path, monkeypatch)


def test_one_a_night_is_made_verified_told_and_pruned(installation: Installation) -> None:
    keeper = installation.keeper()
    for day in range(40):
        installation.now = MOMENT + timedelta(days=day)
        for _ in range(3):
            keeper.look()
    assert len(installation.told) == 40
    assert all(one.good and one.backup_s is not None for one in installation.told)
    lying = installation.store.all()
    assert all(one.checked_at is not None for one in lying)
    # Seven days, and the last of three weeks before them; the month before ended with one of these.
    assert len(lying) == installation.told[-1].kept_count == 10
    assert sum(len(one.removed) for one in installation.told) == 40 - 10
    assert installation.told[-1].free_bytes is not None


def test_a_backup_that_can_not_be_made_is_told_once_a_night_and_tried_again(installation: Installation) -> None:
    keeper, installation.broken = installation.keeper(), "The disk is full."
    for _ in range(3):
        with pytest.raises(BackupError, match="full"):
            keeper.look()
        installation.now += timedelta(minutes=5)
    assert [(one.backup_id, one.good, one.problems) for one in installation.told] == [
        (None, False, ["The disk is full."])
    ]
    installation.now += timedelta(days=1)
    with pytest.raises(BackupError, match="full"):
        keeper.look()
    assert len(installation.told) == 2
    installation.broken = ""
    keeper.look()
    assert installation.told[-1].good


def test_what_a_gateway_that_is_away_missed_is_told_later(installation: Installation) -> None:
    keeper, installation.silent = installation.keeper(), True
    for _ in range(2):
        with pytest.raises(BackupError):
            keeper.look()
        installation.now += timedelta(minutes=1)
    (made,) = installation.store.all()  # it was made all the same, and once
    installation.silent = False
    keeper.look()
    keeper.look()
    assert [(one.backup_id, one.good, one.backup_s) for one in installation.told] == [(made.backup_id, True, None)]


def test_what_was_made_by_hand_damaged_or_removed_is_told(installation: Installation) -> None:
    keeper = installation.keeper(schedule=None)
    first, second = put(installation.store), put(installation.store, MOMENT + timedelta(hours=1))
    installation.now = MOMENT + timedelta(hours=2)
    keeper.look()
    assert [(one.backup_id, one.good) for one in installation.told] == [(second.backup_id, True)]
    assert installation.store.look(second.backup_id).checked_at == installation.now
    (folder_of(second) / "database.dump").unlink()
    for _ in range(2):
        keeper.look()
    assert [(one.backup_id, one.problems) for one in installation.told[1:]] == [
        (second.backup_id, ["database.dump is missing"])
    ]
    installation.store.remove(second.backup_id)
    keeper.look()
    assert (installation.told[-1].backup_id, installation.told[-1].good) == (first.backup_id, True)
    installation.store.remove(first.backup_id)
    for _ in range(2):
        keeper.look()
    assert (installation.told[-1].backup_id, installation.told[-1].problems) == (
        None,
        ["No backup lies there any more."],
    )
    assert len(installation.told) == 4


def test_a_damaged_one_is_replaced_at_once_and_pushes_none_out(installation: Installation) -> None:
    keeper = installation.keeper()
    keeper.look()
    (made,) = installation.store.all()
    (folder_of(made) / "database.dump").write_bytes(b"r")
    keeper.look()
    assert [(one.backup_id == made.backup_id, one.good) for one in installation.told] == [(True, True), (False, True)]
    assert installation.told[-1].kept_count == 1
    assert len(installation.store.all()) == 2  # damaged ones are left to people


def test_rehearsals_that_fail_do_not_fill_the_disk(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, waits = installation.keeper(schedule=None), list[float]()

    def rehearse(_: str | None) -> None:
        if len(installation.rehearsed) == 1:  # the first one makes a backup, and then there is no bus to rehearse on
            put(installation.store, installation.now)
        if len(installation.rehearsed) < 4:
            raise BackupError("There is no bus.")

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        installation.waiting = 1
        if len(waits) == 6:
            raise KeyboardInterrupt

    installation.waiting, installation.rehearse = 1, rehearse
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        keeper.run(60)
    (made,) = installation.store.all()
    assert installation.rehearsed == [None, made.backup_id, made.backup_id, made.backup_id, None, None]
    assert waits == [120, 240, 480, 60, 60, 60]
    assert installation.closed == 1


def test_pruning_only_says_what_would_go_on_a_dry_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = put(store), put(store, MOMENT + timedelta(days=1))
    staying, going = prune(store, Keep(1, 0, 0), dry_run=True)
    assert (list(staying), going) == ([new.backup_id], [old.backup_id])
    assert len(store.all()) == 2
    assert prune(store, Keep(1, 0, 0))[1] == [old.backup_id]
    assert [one.backup_id for one in store.all()] == [new.backup_id]
