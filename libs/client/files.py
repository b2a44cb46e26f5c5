"""Reading what the caller names: a file, or standard input for ``-``."""

from __future__ import annotations

import sys
from pathlib import Path

from libs.client.errors import UsageProblem

MAX_BYTES = 6 * 1024 * 1024  # the gateway takes no more


def read_input(name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes, at most ``max_bytes``. Raises `UsageProblem`, also for nothing."""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(max_bytes + 1)
    except OSError as error:
        raise UsageProblem(f"{name} can't be read: {error.strerror}.") from error
    if len(content) > max_bytes:
        raise UsageProblem(f"{name} is larger than {max_bytes // 1024**2} MB, which is all that is taken at a time.")
    if not content.strip():
        raise UsageProblem(f"{name} is empty.")
    return content
