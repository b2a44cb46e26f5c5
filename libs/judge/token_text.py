"""What a token looks like: ``hg_t_``, 43 random characters, and 6 that are the checksum of those.

As GitHub's tokens: base62 only, so that a double click takes all of it, and the CRC-32 in base62 at the end. A mistyped
or invented token is known without a database, and a scanner of secrets knows ours: ``hg_t_[0-9A-Za-z]{49}``.
"""

from __future__ import annotations

import re
import zlib

PREFIX = "hg_t_"
ACCESS, REFRESH = "hg_a_", "hg_r_"  # of a login: what a program comes with, and what renews that
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BODY_LENGTH = 43  # 256 random bits
SUM_LENGTH = 6
FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{BODY_LENGTH + SUM_LENGTH}}}")
# Tokens of versions before the checksum, and those that somebody thought of for the first owner.
OLD_FORM = re.compile(r"hg_(?![ar]_[0-9A-Za-z]{49}$)[A-Za-z0-9_-]{20,200}")


def checksum(body: str) -> str:
    """The CRC-32 of the random part in base62, six digits, most significant first."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(SUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def with_checksum(body: str, prefix: str = PREFIX) -> str:
    """The whole token for a random part."""
    return f"{prefix}{body}{checksum(body)}"


def has_form(prefix: str, text: str) -> bool:
    """Whether it has today's form, with a checksum that is right."""
    if not text.startswith(prefix) or not FORM.fullmatch(PREFIX + text[len(prefix) :]):
        return False
    return checksum(text[len(prefix) : -SUM_LENGTH]) == text[-SUM_LENGTH:]


def could_be_token(text: str) -> bool:
    """Whether it is worth asking the database: of today's form with a checksum that is right, or of the old form."""
    if FORM.fullmatch(text):
        return has_form(PREFIX, text)
    return OLD_FORM.fullmatch(text) is not None
