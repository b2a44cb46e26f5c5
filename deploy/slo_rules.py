"""Writes deploy/prometheus/slo-rules.yml from the shipped SLOs (`make docs`), or prints the rules of another folder."""

from __future__ import annotations

import sys
from pathlib import Path

from libs.slo.errors import SloError
from libs.slo.model import why_never
from libs.slo.openslo import read_folder
from libs.slo.rules import rules_text
from services.metrics.startup import COMMON_BOUNDS_MS, packaged_slos, unmeasured

FILE = Path(__file__).parent / "prometheus" / "slo-rules.yml"


def main(arguments: list[str]) -> int:
    """Write them; the exit code."""
    if not arguments:
        FILE.write_text(rules_text(packaged_slos()), encoding="utf-8")
        sys.stdout.write(f"{FILE.relative_to(Path.cwd())}\n")
        return 0
    try:
        objectives = read_folder(Path(arguments[0]), COMMON_BOUNDS_MS)
        sys.stdout.write(rules_text(objectives))
        for one in unmeasured(objectives):
            sys.stderr.write(f"slo rules: {one.name} is never measured: {why_never(one.indicator.never_counted)}\n")
    except (SloError, OSError) as error:
        sys.stderr.write(f"slo rules: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
