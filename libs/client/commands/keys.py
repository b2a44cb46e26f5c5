"""``headgate keys``: the file of keys that encrypt stored secrets, changed on the machine where it lies."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from libs.client.errors import ClientError, UsageProblem
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.common import key_file
from libs.common.contracts.gateway.keys import Keys
from libs.common.key_file import VaultError

keys = typer.Typer(
    no_args_is_help=True, help="Keys that encrypt stored secrets: rotate them, and which are still needed."
)
FileArgument = Annotated[Path, typer.Argument(help="The key file, as HEADGATE_VAULT_KEY_FILE names it.")]
LOOK_S = 2.0
T = TypeVar("T")


@command(keys, "rotate")
def rotate(
    session: Session,
    file: FileArgument,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="How many seconds to wait until nothing needs older keys.")
    ] = 120.0,
) -> None:
    """Put a new key (or the prepared one) on top, then wait until all stored secrets are encrypted by it.

    The services see the file by themselves. Older keys stay in it. Exit code 2: some secrets still need them.
    """
    key_id = _changed(lambda: key_file.rotate(file, datetime.now(UTC)))
    session.note(f"The key {key_id} is on top of {file}. Older ones stay until you remove them.")
    until = time.monotonic() + wait_s
    while wait_s:
        found = _ask(session)
        if _in_use(found) == key_id and not found.waiting_count:
            session.emit({"key_id": key_id, "removable": _removable(found)}, _told(found))
            return
        if time.monotonic() > until:
            left = f"{found.waiting_count} secrets wait"
            where = left if _in_use(found) == key_id else "not every service uses it yet"
            raise ClientError(
                f"Not done after {wait_s:g} s: {where}. It goes on by itself; see `headgate keys status`."
            )
        if _in_use(found) != key_id or not session.client.call("notifier.keys.rewrap")["rewrapped_count"]:
            time.sleep(LOOK_S)


@command(keys, "prepare")
def prepare(session: Session, file: FileArgument) -> None:
    """Add a key that only opens, for installations with copies of the file: bring the file everywhere, then rotate."""
    key_id = _changed(lambda: key_file.prepare(file, datetime.now(UTC)))
    session.emit({"key_id": key_id}, f"The key {key_id} is prepared. Bring {file} to every host, then rotate there.")


@command(keys, "remove")
def remove(
    session: Session,
    file: FileArgument,
    key_id: Annotated[str, typer.Argument(help="The key's id, as `headgate keys status` shows it.")],
) -> None:
    """Take a key out of the file that nothing stored needs any more. Backups of before still need it: keep it there."""
    found = _ask(session)
    if key_id not in _removable(found):
        view = next((one for one in found.keys if one.key_id == key_id), None)
        count = view.secret_count if view else 0
        why = f"{count} stored secrets need it" if count else "it is in use, unknown, or the services don't agree yet"
        raise UsageProblem(f"The key {key_id} stays: {why}. See `headgate keys status`.")
    _changed(lambda: key_file.remove(file, key_id))
    session.emit({"key_id": key_id}, f"The key {key_id} is out of {file}.")


def _changed(change: Callable[[], T]) -> T:
    try:
        return change()
    except VaultError as error:
        raise UsageProblem(str(error)) from None


def _ask(session: Session) -> Keys:
    return read_as(Keys, session.client.call("gateway.keys.get"))


def _in_use(found: Keys) -> str | None:
    """The key with which all services encrypt."""
    return found.keys[0].key_id if found.agreed and found.keys else None


def _removable(found: Keys) -> list[str]:
    return [one.key_id for one in found.keys if one.removable]


def _told(found: Keys) -> str:
    old = _removable(found)
    if not old:
        return "All stored secrets are encrypted by it."
    return f"All stored secrets are encrypted by it. No longer needed: {', '.join(old)} (`headgate keys remove`)."
