"""Every declared list reads its rows off an index, in the list's order; and its pages hold each row once."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import asyncpg
import pytest

import libs.common
from libs.common.contracts import SERVICES
from libs.common.listing import Key, Listing
from services.gateway.identity.accounts import SELECT_ACCOUNTS
from services.gateway.identity.users import SELECT_USERS
from services.gateway.passwords.keeping import SELECT_ALL as SELECT_PASSWORDS
from services.tracker.sla import COUNT_BOARD, HELD_OF_BOARD, RISK_OF_BOARD, RISK_OF_SITE
from tests.plans import generic_plan, nodes
from tests.stack import Stack


def _listings(package: str) -> Iterator[tuple[str, Listing]]:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{package}."):
        if found.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            if isinstance(value, Listing):
                yield f"{found.name}.{name}", value


def wrong_with(plan: str, columns: tuple[str, ...]) -> str | None:
    """What is wrong with the plan: rows are read from a whole table, sorted, or not found by these columns."""
    found_nodes = nodes(plan)
    kinds = [node["Node Type"] for node in found_nodes]
    if any("Sort" in kind or "Seq Scan" in kind for kind in kinds):
        return f"no index in its order: {kinds}"
    found = " ".join(node.get("Index Cond", "") for node in found_nodes)
    missing = [name for name in columns if f"({name} =" not in found]
    return f"no index that begins with {', '.join(missing)}: {found}" if missing else None


async def _explained(connection: asyncpg.Connection, listing: Listing) -> dict[str, str]:
    problems = {}
    for (reading, follows), sql in listing.statements.items():
        plan = await generic_plan(connection, sql)
        if problem := wrong_with(plan, (*listing.scope, *reading)):
            problems[f"{reading} {'further on' if follows else ''}"] = problem
    return problems


async def _only_indexes(connection: asyncpg.Connection) -> None:
    """Tables are empty here, where the planner would scan them: it does so now only where no index fits."""
    for what in ("seqscan", "sort", "incremental_sort", "bitmapscan"):
        await connection.execute(f"SET enable_{what} = off")


@pytest.mark.parametrize("service", SERVICES)
async def test_every_list_has_an_index_for_each_of_its_readings(stack: Stack, service: str) -> None:
    url = stack.settings(service).database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": service})
    try:
        await _only_indexes(connection)
        listings = [*_listings(f"services.{service}"), *_listings(libs.common.__name__)]
        problems = {name: found for name, one in listings if (found := await _explained(connection, one))}
    finally:
        await connection.close()
    assert problems == {}


@pytest.mark.parametrize("statement", [COUNT_BOARD, HELD_OF_BOARD, RISK_OF_BOARD, RISK_OF_SITE])
async def test_the_sla_reads_active_rows_off_indexes_only(stack: Stack, statement: str) -> None:
    url = stack.settings("tracker").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "tracker"})
    try:
        await _only_indexes(connection)
        await connection.execute("SET enable_sort = on")  # ten rows of each gate, that are sorted once more
        plan = await generic_plan(connection, statement)
    finally:
        await connection.close()
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "item"]
    assert scans
    for node in scans:
        assert node["Node Type"] in ("Index Scan", "Index Only Scan"), node
        assert "(site = $1)" in node["Index Cond"], node


@pytest.mark.parametrize("statement", [SELECT_USERS, SELECT_ACCOUNTS, SELECT_PASSWORDS])
async def test_identity_is_read_by_name_from_behind_the_cursor_on(stack: Stack, statement: str) -> None:
    url = stack.settings("gateway").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "gateway"})
    try:
        await _only_indexes(connection)
        plan = await generic_plan(connection, statement)
    finally:
        await connection.close()
    found = nodes(plan)
    assert not any("Sort" in node["Node Type"] for node in found), plan
    read = [node for node in found if node.get("Relation Name") == "users"]
    assert not any(node["Node Type"] == "Seq Scan" for node in read), plan
    assert any("username > " in node.get("Index Cond", "") for node in read), plan


def test_the_lists_are_found() -> None:
    names = [name.rpartition(".")[2] for package in ("services", "libs.common") for name, _ in _listings(package)]
    assert {"LIST_SIGNALS", "LIST_RUNS", "LIST_ITEMS", "LIST_LETTERS"} <= set(names)


MIXED = Listing(
    table="paper",
    columns="open, due_at, id",
    order=(Key("open", "boolean", descending=True), Key("due_at", "timestamptz"), Key("id")),
    filters={"kind": "text", "label": "text"},
    readings=(("kind",),),
)
ALIKE = Listing(table="paper", columns="label, id", order=(Key("label", "text"), Key("id")))
TABLE = """
CREATE TEMP TABLE paper (id bigint PRIMARY KEY, kind text, label text, open boolean, due_at timestamptz);
INSERT INTO paper SELECT n, 'kind-' || n % 2, 'label ' || n % 5, n % 3 = 0, now() + (n % 4) * interval '1 second'
FROM generate_series(1, 60) AS n;
"""


SIZES = {(): 60, ("kind",): 30, ("label",): 12}


async def test_pages_hold_every_row_once_and_in_order(stack: Stack) -> None:
    connection = await stack.superuser()
    try:
        await connection.execute(TABLE)
        for listing, given in ((MIXED, {}), (MIXED, {"kind": "kind-1"}), (MIXED, {"label": "label 3"}), (ALIKE, {})):
            whole = await listing.page(connection, given, limit=100)
            assert whole.next_cursor is None
            seen: list[asyncpg.Record] = []
            cursor, turns = None, 0
            while cursor is not None or not turns:
                found = await listing.page(connection, given, limit=7, cursor=cursor)
                assert len(found.rows) <= 7
                seen, cursor, turns = seen + found.rows, found.next_cursor, turns + 1
            assert seen == whole.rows, (listing.order, given)
            assert (
                len({row["id"] for row in seen}) == len(seen) == {0: 60, "kind": 30, "label": 12}[next(iter(given), 0)]
            )
    finally:
        await connection.close()


async def test_a_list_without_an_index_is_noticed(stack: Stack) -> None:
    connection = await stack.superuser()
    try:
        await connection.execute(TABLE)
        await _only_indexes(connection)
        assert len(await _explained(connection, MIXED)) == 4
        await connection.execute("CREATE INDEX ON paper (open DESC, due_at, id)")
        assert [key.split(")")[0] for key in await _explained(connection, MIXED)] == ["('kind',", "('kind',"]
        await connection.execute("CREATE INDEX ON paper (kind, open DESC, due_at, id)")
        assert await _explained(connection, MIXED) == {}
    finally:
        await connection.close()
