"""The keys that sign checkpoints: of files, or derived from the installation's secret."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from libs.common.runtime import StartError
from libs.common.settings import Settings
from libs.tlog.notes import NoteProblem, Signer, check_name, read_second_key

_PURPOSE = b"headgate audit log key 1\n"
_SECOND = b"headgate audit log key ml-dsa-44 1\n"


def read_signer(settings: Settings) -> Signer | None:
    """The Ed25519 key of this installation, with the ML-DSA-44 key beside it if the settings want one; None:
    checkpoints are not signed. Raises `StartError`.
    """
    try:
        name = check_name(settings.audit_origin or f"{settings.namespace}/audit")
        signer = _first(settings, name)
        second = _second(settings)
        if second is None:
            return signer
        if signer is None:
            raise StartError("HEADGATE_AUDIT_PQ_KEY_FILE signs beside another key: set HEADGATE_AUDIT_KEY_FILE, too")
        return signer.with_second(second)
    except NoteProblem as error:
        raise StartError(f"HEADGATE_AUDIT_ORIGIN: {error}") from None


def _first(settings: Settings, name: str) -> Signer | None:
    if settings.audit_key_file is not None:
        try:
            return Signer.read(name, _content("HEADGATE_AUDIT_KEY_FILE", settings.audit_key_file))
        except NoteProblem as error:
            raise StartError(f"HEADGATE_AUDIT_KEY_FILE: {settings.audit_key_file}: {error}") from error
    seed = _seed(settings, _PURPOSE)
    return Signer.from_seed(name, seed) if seed is not None else None


def _second(settings: Settings) -> MLDSA44PrivateKey | None:
    if settings.audit_pq_key_file is not None:
        try:
            return read_second_key(_content("HEADGATE_AUDIT_PQ_KEY_FILE", settings.audit_pq_key_file))
        except NoteProblem as error:
            raise StartError(f"HEADGATE_AUDIT_PQ_KEY_FILE: {settings.audit_pq_key_file}: {error}") from error
    if not settings.audit_pq:
        return None
    seed = _seed(settings, _SECOND)
    if seed is None:
        raise StartError(
            "HEADGATE_AUDIT_PQ: its key is made from HEADGATE_AUDIT_SECRET, which is not set; set that, or "
            "HEADGATE_AUDIT_PQ_KEY_FILE"
        )
    return MLDSA44PrivateKey.from_seed_bytes(seed)


def _seed(settings: Settings, purpose: bytes) -> bytes | None:
    """32 bytes out of the secret, others for each purpose; None: there is no secret."""
    if settings.audit_secret is None:
        return None
    secret = settings.audit_secret.get_secret_value()
    if len(secret) < 20:
        raise StartError("HEADGATE_AUDIT_SECRET must hold at least 20 characters")
    return sha256(purpose + secret.encode()).digest()


def _content(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"{setting}: {path} can't be read: {error.strerror}") from error
