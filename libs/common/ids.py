"""Identity: the one function that lets outside text become a subject token, and the ids of messages.

Nothing else in Headgate may put outside text into a NATS subject. A raw id such as ``a.>`` or ``*`` would be stored
literally or widen a subscription, and a very long one closes the client's connection for good.
"""

from __future__ import annotations

import os
import re
import time
import uuid

TOKEN = re.compile(r"[a-z0-9-]{1,40}")
_COMMAND_NAMESPACE = uuid.UUID("6f0a1a0e-5d5b-5c3e-9d0c-6865616467a7")


class BadToken(ValueError):
    """The text can't be a subject token; the message says what is allowed."""


def token(value: str, what: str = "id") -> str:
    """Return ``value`` if it may stand as one subject token (``[a-z0-9-]{1,40}``), else raise `BadToken`."""
    if not TOKEN.fullmatch(value):
        raise BadToken(f"{what} must be 1 to 40 of the characters a-z, 0-9 and '-'")
    return value


def uuid7(now_ms: int | None = None) -> uuid.UUID:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix time in ms, then random bits; sorts by time of making."""
    ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    random = int.from_bytes(os.urandom(10))
    value = (ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return uuid.UUID(int=value)


def command_id(actor: str, site: str, operation: str, key: str) -> uuid.UUID:
    """The id of a command sent under an ``Idempotency-Key``: the same caller, site, operation and key give the same id.

    Lengths are part of the name, so that no two tuples read alike.
    """
    name = "|".join(f"{len(part)}:{part}" for part in (actor, site, operation, key))
    return uuid.uuid5(_COMMAND_NAMESPACE, name)
