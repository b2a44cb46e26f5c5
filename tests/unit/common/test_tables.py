"""The tables of contents: over all services, each declared operation has exactly one handler."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

from libs.common import jobs, versions, vitals
from libs.common.contracts import CONTRACTS, SERVICES
from libs.common.contracts.tracker.board import sync_board
from libs.common.contracts.tracker.item_lists import list_items
from libs.common.contracts.tracker.items import patch_item
from libs.common.deadletters import handlers
from libs.common.outbound import Outbound
from libs.common.preflight import Lookout
from libs.common.schedules import Schedule
from libs.common.service import Batch, Job, Service, Table, wall_clock
from libs.common.settings import Settings
from libs.common.vault import Vault
from services.governance.startup import packaged_policies

# What a process reads before it makes its service.
GIVEN: dict[str, Callable[[], tuple[Any, ...]]] = {
    "audit": lambda: (None,),
    "governance": lambda: (packaged_policies(),),
    "notifier": lambda: (Outbound(), Vault()),
    "operations": lambda: (Settings(),),
}


def load(name: str) -> Service:
    """A service as its process makes it."""
    module = importlib.import_module(f"services.{name}.service")
    made: Service = module.make_service(*GIVEN[name]()) if name in GIVEN else module.SERVICE
    return made


async def nothing(*_: Any) -> Any:
    """Stands for a handler."""


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_has_exactly_one_handler(name: str) -> None:
    service = load(name)
    shared = [declared.name for answered in handlers(service, nothing) for declared in answered]
    shared += [declared.name for declared in jobs.handlers(service, {})]
    shared += [declared.name for declared in Lookout(service, Settings(), wall_clock).handlers()]
    shared += [declared.name for declared in vitals.handlers(name)]
    own = [declared.name for declared in (*service.commands, *service.queries)]
    assert sorted(own + shared) == sorted(declared.name for declared in CONTRACTS[name].operations())


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_module_answers_stands_in_its_own_table(name: str) -> None:
    package = importlib.import_module(f"services.{name}")
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith(".__main__")
    ]
    homes = {module.__name__ for module in modules if hasattr(module, "TABLE") or hasattr(module, "table")}
    homes.add(versions.__name__)  # answers documents, with the table that a module asked it for
    service = load(name)
    answered: dict[Any, Any] = {**service.commands, **service.queries, **service.events}
    for declared, handler in answered.items():
        home = getattr(handler, "func", handler).__module__
        assert home in homes, f"{declared.name} is answered by {home}, which has no table"


def test_nothing_is_answered_twice() -> None:
    one, other = Table(commands={patch_item: nothing}), Table(commands={patch_item: nothing, sync_board: nothing})
    with pytest.raises(ValueError, match=r"tracker answers tracker\.item\.patch in two modules"):
        Service.of(CONTRACTS["tracker"], one, other)
    with pytest.raises(ValueError, match="two batch handlers"):
        Service.of(CONTRACTS["audit"], Table(batch=Batch(nothing)), Table(batch=Batch(nothing)))
    jobs: Any = (Job("sweep", Schedule("0 * * * *"), nothing),)
    with pytest.raises(ValueError, match="two jobs of one name"):
        Service.of(CONTRACTS["audit"], Table(jobs=jobs), Table(jobs=jobs))


def test_tables_are_put_together() -> None:
    tables = (Table(queries={list_items: nothing}), Table(commands={patch_item: nothing}))
    service = Service.of(CONTRACTS["tracker"], *tables)
    assert (list(service.queries), list(service.commands)) == ([list_items], [patch_item])
