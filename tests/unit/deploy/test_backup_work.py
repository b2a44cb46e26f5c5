"""``headgate dr work`` when rehearsals fail: it tries again later each time, with the backup that is there."""

from __future__ import annotations

import os
import signal
import time
from argparse import Namespace
from pathlib import Path

import pytest

from deploy.backup import __main__ as command
from deploy.backup.files import PartWriter
from deploy.backup.manifest import BackupError
from deploy.backup.rehearse import Rehearsal
from deploy.backup.sealing import Keys
from deploy.backup.store import Store
from tests.unit.deploy.backups import MOMENT, a_manifest, ignore


class _Asked:
    """An installation in which a rehearsal is always wanted."""

    def __init__(self, _url: str | None) -> None: ...

    def wanted(self) -> bool:
        """Yes."""
        return True

    def report(self, _done: Rehearsal) -> int:
        """Taken."""
        return 1

    def close(self) -> None:
        """Nothing is open."""


def test_failures_do_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, used, waits = Store(tmp_path), list[str | None](), list[float]()
    with store.writing():
        backup_id, folder = store.begin(MOMENT)

    def rehearsed(chosen: Namespace, *_: object) -> Rehearsal:
        used.append(chosen.backup_id)
        if len(used) == 1:  # the first one makes a backup, and then there is no bus to rehearse on
            part = PartWriter(folder, "database.dump", backup_id, Keys(), packed=False, moved=ignore)
            store.finish(folder, a_manifest(backup_id, database=part.close(), streams={}), Keys())
        if len(used) < 4:
            raise BackupError("There is no bus.")
        return Rehearsal(backup_id, MOMENT, MOMENT, restore_valid=True)

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "Gateway", _Asked)
    monkeypatch.setattr(command, "_rehearsed", rehearsed)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(time, "sleep", sleep)
    assert command.main(["work", "--dir", str(tmp_path), "--every-s=60"]) == 0
    assert used == [None, backup_id, backup_id, backup_id, None]
    assert waits == [120, 240, 480, 60, 60]
