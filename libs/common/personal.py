"""Personal fields: who may read them, and how those that must stay for ever are sealed so that they can be forgotten.

A record of a command stays in the audit log for ever, and so in archives, exports and copies of others. Where it came
from is therefore sealed at the edge with a key of the person's own: the log keeps and proves the sealed text, and
without that key nobody can read it any more. Why: docs/decisions/0056.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Set

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

PERMISSION = "personal:read"
MASK = "***"
"""Stands for what the asker need not see."""
ERASED = "erased"
"""Stands for what nobody can read any more."""

KEY_BYTES = 32
MAX_BYTES = 131  # so that the sealed text has at most 200 signs, which is what an entry repeats of it
_BEGIN = "p1."
_MAIL = re.compile(r"[^\s<>()\[\],;:\"@]+@([^\s<>()\[\],;:\"@]+)")


def may_read(permissions: Set[str], asker: str, whose: str) -> bool:
    """Whether somebody may read what is personal of somebody: their own always."""
    return PERMISSION in permissions or (asker != "" and asker == whose)


def masked_mail(address: str) -> str:
    """An e-mail address without whose it is: ``***@example.com``. Anything else, such as a URL, stays as it is."""
    name, at, domain = address.rpartition("@")
    return f"{MASK}@{domain}" if at and name and "://" not in address else address


def without_mails(text: str, whose: str = "") -> str:
    """What a mail server said, without whose the mail addresses in it are: ``***@example.com``.

    ``whose``: the address that it is about, of which it may say what stands before the @ alone.
    """
    text = _MAIL.sub(rf"{MASK}@\1", text)
    name = whose.rpartition("@")[0]
    return re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", MASK, text, flags=re.IGNORECASE) if name else text


def is_sealed(text: str) -> bool:
    """Whether a text is one that `seal` made, as far as can be seen without the key."""
    return text.startswith(_BEGIN)


def seal(key: bytes, field: str, text: str) -> str:
    """Seal a text, of which the first 131 bytes are kept, for one field.

    The same text gives the same sealed text under one key (AES-SIV, RFC 5297), so that who may not read it can still
    tell that somebody came from the same place twice.
    """
    cut = text.encode(errors="replace")[:MAX_BYTES].decode(errors="ignore")
    sealed = AESSIV(key).encrypt(cut.encode(), [field.encode()])
    return _BEGIN + base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(key: bytes, field: str, sealed: str) -> str | None:
    """The text again; None if this is not its key, or it was altered or belongs to another field."""
    text = sealed.removeprefix(_BEGIN)
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return AESSIV(key).decrypt(content, [field.encode()]).decode()
    except (InvalidTag, ValueError):
        return None
