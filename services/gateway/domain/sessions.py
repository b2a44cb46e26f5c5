"""When a session is over, and what its cookie must look like. Pure."""

from __future__ import annotations

import base64
import hmac
import re
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

COOKIE = "__Host-headgate-session"
LOCAL_COOKIE = "headgate-session"  # browsers take the prefix over HTTPS only
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
Ending = Literal["idle", "over"]


def could_be_session(secret: str) -> bool:
    """Whether a cookie has the form of a session's secret: 256 bits in base64url."""
    return _SECRET.fullmatch(secret) is not None


def ending(last_seen: datetime, idle: timedelta, ends_at: datetime, now: datetime) -> Ending | None:
    """Why a session is over now; None: it is not."""
    if now >= ends_at:
        return "over"
    return "idle" if now >= last_seen + idle else None


def csrf_token(secret: str) -> str:
    """What a page must say beside the cookie: only who has been answered to with it can know it.

    It is made of the cookie's secret (OWASP: HMAC-based token bound to the session) and tells nothing of it.
    """
    digest = hmac.digest(secret.encode(), b"headgate csrf v1", sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def cookie_name(scheme: str, host: str, address: str) -> str | None:
    """The cookie's name for who came so; None: no session goes over plain HTTP but on this very machine.

    ``host`` is what the browser calls us, ``address`` where it connects from.
    """
    if scheme == "https":
        return COOKIE
    here = address in ("127.0.0.1", "::1") and _LOCAL_HOST.fullmatch(host) is not None
    return LOCAL_COOKIE if here else None


def cookie(name: str, secret: str, max_age_s: int) -> str:
    """The value of ``Set-Cookie``; ``max_age_s`` of 0 removes it (RFC 6265bis)."""
    secure = "; Secure" if name.startswith("__Host-") else ""
    return f"{name}={secret}; Path=/; HttpOnly{secure}; SameSite=Lax; Max-Age={max_age_s}"
