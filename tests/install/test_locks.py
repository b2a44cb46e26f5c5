"""Both locks, installed into new environments with an old pip, as on the machines of newcomers.

Nothing may be resolved, for what is resolved changes with the day. `make test-install` runs this; it needs the package
index. The variable HEADGATE_TEST_PIP names other versions of pip to try, separated by spaces.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from libs.common.contracts import SERVICES

ROOT = Path(__file__).parents[2]
# Debian 12 has 23.0.1, which asked for more than the lock holds. From Python 3.12 on it can't run at all.
OLDEST_PIP = "23.0.1" if sys.version_info < (3, 12) else "23.2.1"
PIPS = os.environ.get("HEADGATE_TEST_PIP", OLDEST_PIP).split()
# What an environment brings itself (setuptools up to Python 3.11), and this project.
OWN = {"pip", "setuptools", "headgate"}
IMAGE_MODULES = (
    "deploy.container.steps",
    "deploy.container.healthcheck",
    "libs.client.cli",
    *(f"services.{name}.service" for name in SERVICES),
)


def _run(command: list[str], cwd: Path, **more: str) -> str:
    """The output of a command that must succeed."""
    environment = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    done = subprocess.run(
        command, cwd=cwd, env=environment | more, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _environment(folder: Path, pip: str) -> str:
    """A new virtual environment with this version of pip; the path of its Python."""
    _run([sys.executable, "-m", "venv", str(folder)], folder.parent)
    python = str(folder / "bin" / "python")
    _run([python, "-m", "pip", "install", "--quiet", f"pip=={pip}"], folder.parent)
    assert f"pip {pip} " in _run([python, "-m", "pip", "--version"], folder.parent)
    return python


def _locked(lock: Path) -> dict[str, str]:
    """Name and version of every package that this machine takes from a lock."""
    wanted: dict[str, str] = {}
    for line in lock.read_text().splitlines():
        if "==" in line:
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                assert requirement.name not in wanted, f"{requirement.name} is locked twice for this machine"
                wanted[requirement.name] = str(requirement.specifier).removeprefix("==")
    return wanted


def _installed(python: str, cwd: Path) -> dict[str, str]:
    listed = json.loads(_run([python, "-m", "pip", "list", "--format=json"], cwd))
    return {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in listed}


def _resolved(log: str, locked: dict[str, str]) -> list[str]:
    """What pip looked for beyond the locked requirements, such as `coverage[toml]>=7.10.6`, as its log says."""
    found = re.findall(r"(?:Collecting|Requirement already satisfied:) (\S+)", log)
    allowed = {f"{name}=={version}" for name, version in locked.items()}
    return [one for one in found if one not in allowed and not one.startswith("file:")]


@pytest.mark.parametrize("pip", PIPS)
def test_make_install_takes_the_lock_and_resolves_nothing(pip: str, tmp_path: Path) -> None:
    for name in ("Makefile", "requirements-dev.lock", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("libs", "services", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    python = _environment(tmp_path / ".venv", pip)
    log = tmp_path / "pip.log"
    _run(["make", "install", f"PYTHON={sys.executable}"], tmp_path, PIP_LOG=str(log))
    locked = _locked(tmp_path / "requirements-dev.lock")
    assert len(locked) > 100
    installed = _installed(python, tmp_path)
    assert installed.pop("pip") == pip
    assert {name: version for name, version in installed.items() if name != "headgate"} == locked
    text = log.read_text()
    assert "Collecting " in text
    assert _resolved(text, locked) == []
    assert "usage" in _run([str(tmp_path / ".venv/bin/headgate"), "--help"], tmp_path).lower()


@pytest.mark.parametrize("pip", PIPS)
def test_the_lock_of_the_services_is_all_that_they_need(pip: str, tmp_path: Path) -> None:
    lock = ROOT / "requirements.lock"
    python = _environment(tmp_path / "env", pip)
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
    _run([*install, "--require-hashes", "-r", str(lock)], tmp_path)
    locked = _locked(lock)
    installed = _installed(python, tmp_path)
    assert {name: version for name, version in installed.items() if name not in OWN} == locked
    _run([python, "-m", "pip", "check"], tmp_path)
    imports = "; ".join(f"import {module}" for module in IMAGE_MODULES)
    _run([python, "-c", imports], ROOT, PYTHONDONTWRITEBYTECODE="1")
    # `headgate up` needs the servers that are left out, and says so.
    data = {"HEADGATE_DATA_DIR": str(tmp_path / "data"), "PYTHONDONTWRITEBYTECODE": "1"}
    up = subprocess.run(
        [python, "-m", "deploy.local", "up"],
        cwd=ROOT,
        env=os.environ | data,
        capture_output=True,
        text=True,
        check=False,
    )
    assert up.returncode == 1
    assert "is not installed" in up.stderr
    assert "Traceback" not in up.stderr
