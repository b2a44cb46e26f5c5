"""Every SQL constant is known to Postgres: columns, types and grants, as the very role that runs it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import asyncpg
import pytest

import libs.common
from libs.common.contracts import SERVICES
from libs.common.listing import Listing
from libs.common.outcomes import closed_by
from libs.common.service import Closing
from tests.stack import Stack

_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s")
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")  # filled in later: such SQL is tested where it runs
# Run by the administrator before a service exists, or on a connection of its own.
_ADMINISTRATION = {"libs.common.admin", "libs.common.migrations"}


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__") and found.name not in _ADMINISTRATION:
            yield importlib.import_module(found.name)


def _statements(package: ModuleType) -> dict[str, str]:
    """SQL to where it stands, each text once."""
    found: dict[str, str] = {}
    for module in _modules(package):
        for name, value in vars(module).items():
            if isinstance(value, Listing):
                for (reading, follows), text in value.statements.items():
                    found.setdefault(text, f"{module.__name__}.{name} {reading} {'further on' if follows else ''}")
            if not name.isupper():
                continue
            texts = (value.alone, closed_by(value)) if isinstance(value, Closing) else (value,)
            for text in texts:
                if isinstance(text, str) and _STATEMENT.match(text) and not _PLACEHOLDER.search(text):
                    found.setdefault(text, f"{module.__name__}.{name}")
    return found


@pytest.mark.parametrize("service", SERVICES)
async def test_every_statement_fits_the_schema_and_the_grants(stack: Stack, service: str) -> None:
    statements = _statements(importlib.import_module(f"services.{service}"))
    shared = _statements(libs.common)
    assert len(shared) > 10
    url = stack.settings(service).database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": service})
    problems = []
    try:
        for sql, where in {**shared, **statements}.items():
            try:
                await connection.prepare(sql)
                # Grants are looked at when a statement starts, which EXPLAIN does and PREPARE does not.
                await connection.execute(f"EXPLAIN (GENERIC_PLAN) {sql}")
            except asyncpg.PostgresError as error:
                problems.append(f"{where}: {error}")
    finally:
        await connection.close()
    assert problems == []


def test_the_constants_are_found() -> None:
    counts = {service: len(_statements(importlib.import_module(f"services.{service}"))) for service in SERVICES}
    assert counts["governance"] >= 10, counts
    assert counts["tracker"] >= 5, counts
