"""Stops and starts single parts of a running stack from another terminal: a file for each one that shall stand.

``python -m deploy.local halt tracker`` leaves ``<data folder>/halted/tracker``; the supervisor looks twice a second.
"""

from __future__ import annotations

from pathlib import Path

from deploy.local.process import Show
from deploy.local.stack import KEEPER, SERVERS, LocalStack, silent

_FOLDER = "halted"


def halted(data_dir: Path) -> set[str]:
    """The services that shall stand."""
    folder = data_dir / _FOLDER
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def ask(data_dir: Path, service: str, *, halt: bool) -> None:
    """Ask the supervisor of this data folder to halt a service, or to start it again."""
    file = data_dir / _FOLDER / service
    if halt:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
    else:
        file.unlink(missing_ok=True)


class Control:
    """Brings a stack in line with what was asked. A new supervisor begins with everything running."""

    def __init__(self, stack: LocalStack, show: Show = silent) -> None:
        self._stack, self._show = stack, show
        self._standing: set[str] = set()
        for name in halted(stack.data_dir):
            ask(stack.data_dir, name, halt=False)

    def apply(self) -> None:
        """Halt and resume what has changed since the last look."""
        there = {*self._stack.services, *SERVERS, *([KEEPER] if self._stack.keeper else [])}
        wanted = halted(self._stack.data_dir) & there
        for name in wanted - self._standing:
            self._stack.halt(name)
            self._show(name, "halted; it stands until it is resumed")
        for name in self._standing - wanted:
            self._stack.resume(name)
        self._standing = wanted
