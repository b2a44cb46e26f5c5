"""What a rehearsal tells the installation: over HTTP, as whoever logged in, or by HEADGATE_TOKEN."""

from __future__ import annotations

import os
from dataclasses import asdict

from deploy.backup.manifest import BackupError
from deploy.backup.rehearse import Rehearsal
from libs.client.config import resolve
from libs.client.errors import ClientError
from libs.client.http import Client, read_as
from libs.common.contracts.operations.rehearsals import MAX_PROBLEMS, PendingRehearsals, RehearsalRun

_PROBLEM_CHARACTERS = 500


class Gateway:
    """The edge of the installation. Asked once before the work: nobody rehearses for an hour and then can't say so."""

    def __init__(self, url: str | None) -> None:
        try:
            target = resolve(url, os.environ)
            if target.token is None:
                raise BackupError(
                    f"No token is kept for {target.url}, so the result could be told to nobody: run headgate login, "
                    "set HEADGATE_TOKEN, or say --no-report."
                )
            self._client = Client(target.url, target.token)
            self._client.me()
        except ClientError as error:
            raise BackupError(
                f"The result could be told to nobody ({error}): say --no-report to go without."
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def report(self, done: Rehearsal) -> int:
        """Tell how it went; returns the number of the run. Raises `BackupError`."""
        fields = asdict(done)
        if len(done.problems) > MAX_PROBLEMS:
            more = f"and {len(done.problems) - MAX_PROBLEMS + 1} more"
            fields["problems"] = [*done.problems[: MAX_PROBLEMS - 1], more]
        fields["problems"] = [problem[:_PROBLEM_CHARACTERS] for problem in fields["problems"]]
        fields |= {name: fields[name].isoformat() for name in ("started_at", "finished_at") if fields[name] is not None}
        try:
            return read_as(RehearsalRun, self._client.call("operations.rehearsal.report", **fields)).run_id
        except ClientError as error:
            raise BackupError(f"The rehearsal was done, and could not be reported: {error}") from error

    def wanted(self) -> bool:
        """Whether somebody, or the clock, has asked for a rehearsal that was not done yet. Raises `BackupError`."""
        try:
            return read_as(PendingRehearsals, self._client.call("operations.rehearsals.pending")).count > 0
        except ClientError as error:
            raise BackupError(str(error)) from error
