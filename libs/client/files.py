"""Reading what the caller names: a file, or standard input for ``-``."""

from __future__ import annotations

import sys
from pathlib import Path

from libs.client.errors import UsageProblem

MAX_BYTES = 6 * 1024 * 1024  # the gateway takes no more


def read_input(name: str) -> bytes:
    """The bytes, at most 6 MB. Raises `UsageProblem`, also for nothing."""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageProblem(f"{name} can't be read: {error.strerror}.") from error
    if len(content) > MAX_BYTES:
        raise UsageProblem(f"{name} is larger than 6 MB, which is all that the gateway takes at a time.")
    if not content.strip():
        raise UsageProblem(f"{name} is empty.")
    return content
