"""How the tests are dealt out to several workers (``pytest -n 2``, `make test`). Each worker has servers of its own.

A file's tests stay with one worker. All files that use the running local stack go to one, since it is seven processes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
LOCAL_STACK = "the running local stack"
# First those that take longest, so that none of them is left to one worker at the end; last the many short ones.
LONGEST = ("test_upgrade.py", "test_local.py", LOCAL_STACK, "test_loop.py", "test_new_service.py",
           "test_backup.py", "test_embedded.py")  # fmt: skip


@cache
def scope_of(file: str) -> str:
    """What stays together: a file's name, or `LOCAL_STACK`."""
    return LOCAL_STACK if "local_stack" in (ROOT / file).read_text(encoding="utf-8") else file


def place(file: str) -> tuple[int, bool]:
    """When a file's turn comes."""
    scope = scope_of(file)
    name = scope if scope == LOCAL_STACK else Path(file).name
    return LONGEST.index(name) if name in LONGEST else len(LONGEST), file.startswith("tests/unit")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Deals out scopes in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Instead of pytest-xdist's own (its groups do not work with pytest 9.2)."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a worker: order the files. Without workers they stay as they are, the quick ones first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.nodeid.partition("::")[0]))
