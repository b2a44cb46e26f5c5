"""What opens a share looks like: as a token does, but ``hgs_``, so that neither is ever taken for the other. Pure."""

from __future__ import annotations

import re

from libs.judge.token_text import BODY_LENGTH, SUM_LENGTH, checksum

PREFIX = "hgs_"
MAX_CHARS = 600  # of a whole link that somebody pastes
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{BODY_LENGTH + SUM_LENGTH}}}")


def share_text(body: str) -> str:
    """The whole secret for 43 random characters of base62 (256 bits)."""
    return f"{PREFIX}{body}{checksum(body)}"


def secret_in(said: str) -> str | None:
    """The secret of what a person said: that itself, or the whole link. None: it is none, or was mistyped."""
    secret = said[:MAX_CHARS].strip().rpartition("#")[2]
    if not _FORM.fullmatch(secret):
        return None
    return secret if checksum(secret[len(PREFIX) : -SUM_LENGTH]) == secret[-SUM_LENGTH:] else None
