"""Writes deploy/grafana/dashboards from the modules beside this one (`make docs`)."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.dashboards.boards import written

FOLDER = Path("deploy/grafana/dashboards")


def main(folder: Path = FOLDER) -> None:
    """Write all boards, and remove those that are no more."""
    files = written()
    for gone in {path.name for path in folder.glob("*.json")} - set(files):
        (folder / gone).unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{folder / name}\n")


if __name__ == "__main__":
    main()
