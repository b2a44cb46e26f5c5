"""A service with a clock that can be set, so that nobody need wait for a deadline: ``… clocked FILE SERVICE``.

The file holds how many hours its clock is ahead (a number below zero: behind); without it, none. For the demo and for
tests that live through a week.
"""

from __future__ import annotations

import runpy
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from libs.common import runtime
from libs.common.service import wall_clock


def clock_ahead(file: Path) -> datetime:
    """The time, and the hours of the file on top."""
    try:
        return wall_clock() + timedelta(hours=float(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return wall_clock()


def program(file: Path, service: str) -> list[str]:
    """The arguments for Python that run this service by the clock of the file."""
    return ["-m", "deploy.demo.clocked", str(file), service]


if __name__ == "__main__":
    runtime.main = partial(runtime.main, clock=partial(clock_ahead, Path(sys.argv[1])))
    runpy.run_module(f"services.{sys.argv[2]}", run_name="__main__")
