"""The key that signs checkpoints: of a file, or derived from the installation's secret."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from libs.common.runtime import StartError
from libs.common.settings import Settings
from libs.tlog.notes import NoteProblem, Signer, check_name

_PURPOSE = b"headgate audit log key 1\n"


def read_signer(settings: Settings) -> Signer | None:
    """The key of this installation; None: checkpoints are not signed. Raises `StartError`."""
    try:
        name = check_name(settings.audit_origin or f"{settings.namespace}/audit")
    except NoteProblem as error:
        raise StartError(f"HEADGATE_AUDIT_ORIGIN: {error}") from None
    if settings.audit_key_file is not None:
        return _from_file(name, settings.audit_key_file)
    if settings.audit_secret is None:
        return None
    secret = settings.audit_secret.get_secret_value()
    if len(secret) < 20:
        raise StartError("HEADGATE_AUDIT_SECRET must hold at least 20 characters")
    return Signer.from_seed(name, sha256(_PURPOSE + secret.encode()).digest())


def _from_file(name: str, path: Path) -> Signer:
    try:
        return Signer.read(name, path.read_bytes())
    except OSError as error:
        raise StartError(f"HEADGATE_AUDIT_KEY_FILE: {path} can't be read: {error.strerror}") from error
    except NoteProblem as error:
        raise StartError(f"HEADGATE_AUDIT_KEY_FILE: {path}: {error}") from error
