"""Rules about the repository itself: the locks, make, sizes of files and functions, and names that must not appear."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.roster import SERVICES

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("libs", "services", "deploy", "tests", "bench")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".sh",
    ".sql",
    ".html",
    ".js",
    ".css",
    ".json",
    ".lock",
    ".txt",
    ".conf",
    ".cfg",
}
MADE = {"build", "dist", "__pycache__", "node_modules", "vendor"}
TEXT_NAMES = {"Makefile", "Dockerfile", "run", ".gitignore"}
# Put together here, so that this file does not name them itself.
FORBIDDEN = [
    *(name + ".org" for name in ("pypi", "pythonhosted", "anaconda")),
    *(name + ".io" for name in ("docker", "ghcr", "quay", "gcr", "artifactory")),
    *("/" + name for name in ("opt/wheels", "work/main", "work/shared", "tmp/hg")),
    "--index" + "-url",
    "--find" + "-links",
]
SERVICES_LOCK, ALL_LOCK = LOCKS = ("requirements.lock", "requirements-dev.lock")
REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^ ;]+)( ; [^\\]+)? \\$")


def _python_files() -> Iterator[Path]:
    for folder in CODE_FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _text_files() -> Iterator[Path]:
    """Text files of the project, without what .gitignore keeps out (folders such as .venv)."""
    for folder, folders, names in os.walk(ROOT):
        kept = {".ci", ".github"}
        folders[:] = [
            f
            for f in folders
            if f in kept or not (f.startswith(".") or f in {"build", "dist", "__pycache__", "node_modules", "vendor"})
        ]
        for name in names:
            if Path(name).suffix in TEXT_SUFFIXES - {".lock"} or name in TEXT_NAMES | set(LOCKS):
                yield Path(folder, name)


def _declared(*, everything: bool) -> set[str]:
    """Names of the packages that pyproject.toml asks for, in the lock's spelling: for the services, or for all."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    if everything:
        wanted += [*project["project"]["optional-dependencies"]["local"], *project["dependency-groups"]["dev"]]
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in wanted)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


def _locked(name: str) -> dict[tuple[str, str], set[str]]:
    """Hashes of each (requirement, marker) of a lock, such as ("deprecated==1.3.1", "python_full_version < '3.12'")."""
    hashes: dict[tuple[str, str], set[str]] = {}
    current = ("", "")
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("#"):
            continue
        if match := REQUIREMENT.match(line):
            current = (f"{match[1]}=={match[2]}", (match[3] or "").strip(" ;"))
            hashes[current] = set()
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
            hashes[current].add(line.strip(" \\"))
    return hashes


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a terminal, also when these tests themselves run below `make test`."""
    environment = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_hashed_packages_and_nothing_else(name: str) -> None:
    locked = _locked(name)
    assert [package for package, hashes in locked.items() if not hashes] == []
    packages = {requirement.split("==")[0] for requirement, _ in locked}
    assert _declared(everything=name == ALL_LOCK) - packages == set()


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_host_and_no_path(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert " @ " not in text
    assert "file:" not in text
    assert not re.search(r"^-", text, re.MULTILINE)


def test_what_the_services_need_is_locked_alike_in_both_locks() -> None:
    services, everything = _locked(SERVICES_LOCK), _locked(ALL_LOCK)
    assert {requirement for requirement, _ in services} < {requirement for requirement, _ in everything}
    for (requirement, marker), hashes in services.items():
        # A tool may need a package on more machines than the services do, so only its marker may differ.
        [other] = [found for (name, m), found in everything.items() if name == requirement and (m == marker or not m)]
        assert other == hashes, requirement


def test_the_image_takes_no_server_and_no_tool() -> None:
    packages = {requirement.split("==")[0] for requirement, _ in _locked(SERVICES_LOCK)}
    assert packages & (_declared(everything=True) - _declared(everything=False)) == set()


def test_make_and_pyproject_name_the_same_pythons() -> None:
    requires = re.search(
        r'^requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    supported = re.search(r"\(3, (\d+)\) <= .* <= \(3, (\d+)\)", (ROOT / "Makefile").read_text())
    assert requires is not None
    assert supported is not None
    assert (int(supported[1]), int(supported[2])) == (int(requires[1]), int(requires[2]) - 1)


def test_make_alone_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    shown = _make(ROOT)
    assert [line.split()[1] for line in shown.stdout.splitlines()] == phony[1].split()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('[ "$1" = -V ] && echo Python 3.10.9; exit 1', "Headgate needs Python 3.11 to 3.14"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "has no venv module"),
    ],
)
def test_make_install_says_what_is_wrong_with_a_python(script: str, said: str, tmp_path: Path) -> None:
    for name in ("Makefile", ALL_LOCK, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    done = _make(tmp_path, "install", f"PYTHON={python}")
    assert done.returncode != 0
    assert said in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_install_says_when_python_is_not_there() -> None:
    done = _make(ROOT, "-B", "install", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "'no-such-python' was not found" in done.stderr


def test_files_and_functions_stay_short() -> None:
    long: list[str] = []
    for path in _python_files():
        text = path.read_text()
        name = path.relative_to(ROOT)
        if (lines := len(text.splitlines())) > MAX_FILE_LINES:
            long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION_LINES:
                    long.append(f"{name}:{node.lineno} {node.name}: {size} lines")
    assert long == []


def test_no_file_names_a_registry_or_a_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in _text_files()
        for name in FORBIDDEN
        if name in path.read_text(errors="replace")
    ]
    assert found == []


def test_no_file_is_a_link() -> None:
    """Archives, patches and Windows turn links into small files that hold a path."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-s"], capture_output=True, text=True, check=True)
    assert [line for line in listed.stdout.splitlines() if line.startswith("120000")] == []


def test_no_utils_module() -> None:
    assert [str(path) for path in _python_files() if path.name in {"utils.py", "helpers.py", "misc.py"}] == []


def test_migrations_are_numbered_without_gaps_or_twins() -> None:
    """Two of one number, written side by side, would run in the order of their names."""
    folders = [ROOT / "libs/common/migrations", *sorted((ROOT / "services").glob("*/migrations"))]
    assert len(folders) == len(SERVICES) + 1
    for folder in folders:
        numbers = sorted(int(path.name[:4]) for path in folder.glob("*.sql"))
        assert numbers == list(range(1, len(numbers) + 1)), folder


def test_decisions_are_numbered_without_gaps_or_twins() -> None:
    """The number in the name is the one in the title, so that «0053» means one decision everywhere."""
    pages = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    titles = [page.read_text().splitlines()[0] for page in pages]
    assert [title.partition(".")[0] for title in titles] == [f"# {number}" for number in range(1, len(pages) + 1)]
