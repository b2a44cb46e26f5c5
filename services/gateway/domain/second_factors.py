"""Codes of an app (TOTP, RFC 6238 with the numbers that every app knows) and recovery codes. Pure."""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1
from urllib.parse import quote

DIGITS, STEP_S = 6, 30
SECRET_BYTES = 20
LATE_STEPS = 1  # so many before and after now: clocks differ, and people type slowly (RFC 6238, 5.2)
_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a session's person: whether they have a second factor, since when they know that they must have
    one (None: it was not noted), and what their provider said of how they came in.
    """

    confirmed: bool
    due_since: datetime | None
    amr: tuple[str, ...]
    acr: str | None


def must_begin(standing: Standing, grace: timedelta, now: datetime) -> bool:
    """Whether who must have a second factor and is not vouched for may do nothing but begin one."""
    if standing.confirmed:
        return False
    since = now if standing.due_since is None else standing.due_since  # it is noted within minutes
    return now >= since + grace


def code_at(secret: bytes, step: int) -> str:
    """The code of a step of 30 s (RFC 4226, 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_of(secret: bytes, code: str, now_s: float, last_step: int) -> int | None:
    """The step of which this is the code, if it is one of about now and later than the last that counted."""
    if not _CODE.fullmatch(code):
        return None
    now = int(now_s // STEP_S)
    found = None
    for step in range(now - LATE_STEPS, now + LATE_STEPS + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > last_step:
            found = step
    return found


def tidy(code: str) -> str:
    """A code without the spaces and hyphens that people type, in upper case."""
    return re.sub(r"[\s-]", "", code).upper()


def uri(secret: bytes, username: str) -> str:
    """What apps read, mostly as a QR code (Key URI Format)."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return f"otpauth://totp/Headgate:{quote(username)}?secret={text}&issuer=Headgate"
