"""The demo's tracker: the very service, with a clock that the demo can set on, so that nobody need wait for a deadline.

``python -m deploy.demo.tracker FILE``: the file holds how many hours the clock is ahead; without it, none.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from libs.common.runtime import main
from libs.common.service import wall_clock
from services.tracker.service import SERVICE


def clock_ahead(file: Path) -> datetime:
    """The time, and the hours of the file on top."""
    try:
        return wall_clock() + timedelta(hours=float(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return wall_clock()


if __name__ == "__main__":
    main(SERVICE, clock=lambda: clock_ahead(Path(sys.argv[1])))
