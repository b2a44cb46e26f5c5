"""A service more is one folder, one contract package and one line in a list: tried on a copy of this repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.notary import move_in

pytestmark = [pytest.mark.integration, pytest.mark.whole]

# What sweeps over all services finds the new one by itself.
SWEEPS = (
    "tests/integration/test_notary.py",
    "tests/contract/test_sweep.py",
    "tests/contract/test_sql.py",
    "tests/contract/test_series.py",
    "tests/unit/common/test_contracts.py",
    "tests/unit/common/test_tables.py",
    "tests/unit/deploy/test_installation.py",
)


def _python(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tree, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout


def test_a_service_more_is_a_line_a_package_and_a_folder(tmp_path: Path) -> None:
    tree = move_in(tmp_path / "tree")
    _python(tree, "-m", "libs.common.reference")
    _python(tree, "-m", "deploy.container.files")
    assert "headgate.notary.seal.made.v1" in (tree / "docs" / "reference" / "events.md").read_text()
    assert 'targets: ["notary:8087"]' in (tree / "deploy" / "prometheus" / "prometheus.yml").read_text()
    shown = _python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "notary or further or knows", *SWEEPS)
    passed = re.search(r"(\d+) passed", shown)
    assert passed is not None
    # Its own test, each of its operations against every kind of caller, its statements, its tables, the health check.
    assert int(passed[1]) >= 12, shown
