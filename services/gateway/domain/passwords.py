"""What a password must be, and how long who guesses must wait. Pure.

NIST SP 800-63B-4, 3.1.1.2: at least 15 characters where the password is all that is asked, none must be of a certain
kind, Unicode is normalised, and what is known, repeated or made of the place is refused.
"""

from __future__ import annotations

import unicodedata
from hashlib import sha256

MIN_LENGTH, MAX_LENGTH = 15, 256
MIN_DIFFERENT = 5  # characters; else it is a repetition
MIN_OWN = 8  # characters that are left without the name of the person and of this system
PLACES = ("headgate",)
BUCKETS = 2**20
# Seconds to wait after so many tries, the first of them free; then it stays so. A name that somebody guesses at opens
# to its person by a browser that was there before, which is counted by itself.
LONGEST_S = 900.0
_BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, LONGEST_S)
WAITS_S = {
    "name": (0.0,) * 5 + _BACKOFF_S,
    "browser": (0.0,) * 5 + _BACKOFF_S,
    "own": (0.0,) * 5 + _BACKOFF_S,
    "address": (0.0,) * 20 + _BACKOFF_S,
}


def normal(password: str) -> str:
    """The one form of what can be typed in several (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def weakness(password: str, username: str) -> str | None:
    """Why a password (normalised) can't be taken, as a sentence; None: it can."""
    if len(password) < MIN_LENGTH:
        return f"A password has at least {MIN_LENGTH} characters; several words are easy to remember."
    if len(password) > MAX_LENGTH:
        return f"A password has at most {MAX_LENGTH} characters."
    if any(unicodedata.category(sign) == "Cc" for sign in password):
        return "A password holds no control characters, such as a line's end."
    if len(set(password)) < MIN_DIFFERENT:
        return f"This repeats a few characters; take at least {MIN_DIFFERENT} different ones."
    own = password.casefold()
    for word in (username.casefold(), *PLACES):
        own = own.replace(word, "")
    if len(own) < MIN_OWN:
        return "This is mostly your name or that of this system; take other words."
    return None


def bucket(text: str) -> int:
    """The number by which a name, an address or a browser is counted."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") % BUCKETS
