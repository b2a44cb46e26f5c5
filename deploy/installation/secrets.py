"""The secrets of one installation: made once, private, long enough."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

MIN_SECRET_CHARACTERS = 20


class InstallationError(RuntimeError):
    """A secret can't be made, read or used; the message says what to do."""


def kept_secret(path: Path) -> str:
    """The secret in this file; made of 256 random bits with mode 0600 if there is no such file.

    Raises `InstallationError` if others may read it, or it is empty or too short.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return _read_secret(path)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: of two that start at once, the second keeps the first one's secret.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        return _read_secret(path)
    except OSError as error:
        raise InstallationError(
            f"{error.filename or path}: {error.strerror}. Choose another HEADGATE_DATA_DIR."
        ) from error


def _read_secret(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InstallationError(f"{path} can be read by other users; run: chmod 600 {path}")
    return checked_secret(path.read_text().strip(), str(path))


def checked_secret(secret: str, where: str) -> str:
    """The secret itself if it is long enough, else raises `InstallationError` naming where it came from."""
    if len(secret) < MIN_SECRET_CHARACTERS:
        raise InstallationError(
            f"{where} must hold at least {MIN_SECRET_CHARACTERS} characters; "
            "take for example the output of: openssl rand -hex 32"
        )
    return secret


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
