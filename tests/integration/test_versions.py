"""Versions of documents on real PostgreSQL, with a service's own login."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from libs.common import versions
from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts.base import Model, Nothing
from libs.common.contracts.versions import (
    DiffKey,
    Document,
    Publication,
    Published,
    Rollback,
    VersionFilter,
    VersionKey,
)
from libs.common.ids import uuid7
from libs.common.postgres import make_pool
from libs.common.problems import Conflict, NotFound, TooLarge
from libs.common.service import Read, Tx
from tests.stack import Stack

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class Menu(Model):
    """A document of these tests."""

    soups: int = 1
    notes: tuple[str, ...] = ()


class OlderMenu(Model):
    """The same before soups were numbers and when there was salt."""

    soups: str = "one"
    salt: bool = False


MENU = Document("tracker", "menu", content=Menu, default=Menu(), path="/api/menu", what="the menu")
OLDER = Document("tracker", "menu", content=OlderMenu, default=OlderMenu(), path="/api/menu", what="the menu")


class Kitchen:
    """Publishes and reads in transactions of their own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.now = NOW
        self.table = versions.table(MENU)
        self.told: list[CloudEvent] = []

    async def order(self, command: Any, body: Any, site: str = "north") -> Published[Menu]:
        self.now += timedelta(minutes=1)
        message = CloudEvent(str(uuid7()), "/headgate/gateway", command.type, site=site, actor="ann")
        async with self.pool.acquire() as connection, connection.transaction():
            tx = Tx("tracker", connection, message, self.now)
            result: Published[Menu] = await self.table.commands[command](tx, body)
        self.told += [decode(one.payload) for one in tx.staged]
        return result

    async def publish(self, site: str = "north", expected: int | None = None, **content: Any) -> Published[Menu]:
        body = Publication[Menu](content=Menu(**content), reason="as told", expected_version=expected)
        return await self.order(MENU.publish, body, site)

    async def ask(self, query: Any, params: Any = None, site: str = "north") -> Any:
        return await self.table.queries[query](Read(self.pool, site, "ann", self.now), params or Nothing())


@pytest_asyncio.fixture
async def kitchen(stack: Stack) -> AsyncIterator[Kitchen]:
    url = stack.settings("tracker").database_url
    assert url is not None
    pool = await make_pool(url.get_secret_value(), schema="tracker", size=4, application="test")
    yield Kitchen(pool)
    await pool.close()


async def test_what_is_in_force(kitchen: Kitchen) -> None:
    found = await kitchen.ask(MENU.show)
    assert (found.source, found.version, found.own_version, found.author) == ("default", 0, 0, None)
    assert found.digest == versions.digest_of('{"notes":[],"soups":1}')
    await kitchen.publish("global", soups=0)
    found = await kitchen.ask(MENU.show)
    assert (found.source, found.version, found.own_version, found.content.soups) == ("global", 1, 0, 0)
    assert (await kitchen.ask(MENU.show, site="global")).source == "own"
    await kitchen.publish("north", soups=7)
    await kitchen.publish("global", soups=8)
    found = await kitchen.ask(MENU.show)
    assert (found.source, found.version, found.content.soups) == ("own", 1, 7)
    assert (found.author, found.reason, found.published_at) == ("ann", "as told", NOW + timedelta(minutes=2))
    found = await kitchen.ask(MENU.show, site="south")
    assert (found.source, found.version, found.own_version, found.content.soups) == ("global", 2, 0, 8)
    assert await versions.current(kitchen.pool, MENU, "south") == found


async def test_publishing_tells_what_and_why(kitchen: Kitchen) -> None:
    published = await kitchen.publish(soups=3, notes=["a"])
    (told,) = kitchen.told
    assert (told.name, told.subject, told.site, told.actor) == ("tracker.menu.published", "north", "north", "ann")
    assert told.data["content"] == {"soups": 3, "notes": ["a"]}
    assert (told.data["version"], told.data["digest"], told.data["reason"]) == (1, published.digest, "as told")


async def test_publishing_tells_from_what_to_what(kitchen: Kitchen) -> None:
    await kitchen.publish("north", soups=3, notes=["a"])  # until then the default was in force
    await kitchen.publish("north", soups=3, notes=["b", "c"])
    await kitchen.publish("global", soups=5)
    await kitchen.publish("south", soups=6)  # until then that of global was
    await kitchen.publish("south", soups=6)
    await kitchen.order(MENU.rollback, Rollback(version=1, reason="as it was"))
    told = [
        [(one["field"], one.get("before"), one.get("after")) for one in event.data["changes"]] for event in kitchen.told
    ]
    assert told == [
        [("/notes/0", None, "a"), ("/soups", 1, 3)],
        [("/notes/0", "a", "b"), ("/notes/1", None, "c")],
        [("/soups", 1, 5)],
        [("/soups", 5, 6)],
        [],
        [("/notes/0", "b", "a"), ("/notes/1", "c", None)],
    ]
    assert {event.data["changes_left_out"] for event in kitchen.told} == {0}


async def test_of_very_many_changes_the_first_are_told_and_the_others_counted(kitchen: Kitchen) -> None:
    await kitchen.publish(notes=[str(number) for number in range(700)])
    await kitchen.publish(notes=[f"{number} {'x' * 1000}" for number in range(200)])
    many, long = kitchen.told
    assert (len(many.data["changes"]), many.data["changes_left_out"]) == (500, 200)
    assert 50 < len(long.data["changes"]) < 70
    assert len(long.data["changes"]) + long.data["changes_left_out"] == 700


async def test_a_roll_back_restores_the_very_bytes(kitchen: Kitchen) -> None:
    first = await kitchen.publish(soups=0, notes=["b", "a"])
    await kitchen.publish(soups=5)
    third = await kitchen.order(MENU.rollback, Rollback(version=1, reason="too many"))
    assert (third.version, third.restores, third.digest, third.content) == (3, 1, first.digest, first.content)
    assert kitchen.told[-1].data["restores"] == 1
    rows = await kitchen.pool.fetch("SELECT content FROM document_version WHERE kind = 'menu' ORDER BY version")
    assert rows[0]["content"] == rows[2]["content"]
    with pytest.raises(NotFound, match="no version 9 of the menu"):
        await kitchen.order(MENU.rollback, Rollback(version=9, reason="gone"))
    with pytest.raises(NotFound, match="no version 1"):
        await kitchen.order(MENU.rollback, Rollback(version=1, reason="another's"), site="south")


async def test_an_expected_version_must_be_the_sites_own_newest(kitchen: Kitchen) -> None:
    await kitchen.publish("global", soups=2)
    with pytest.raises(Conflict, match="is 0 now") as refused:
        await kitchen.publish(expected=1, soups=3)
    assert refused.value.extra == {"own_version": 0}
    assert (await kitchen.publish(expected=0, soups=3)).version == 1
    with pytest.raises(Conflict, match="is 1 now"):
        await kitchen.publish(expected=0, soups=4)
    with pytest.raises(Conflict, match="is 1 now"):
        await kitchen.order(MENU.rollback, Rollback(version=1, reason="no", expected_version=3))
    assert (await kitchen.publish(expected=1, soups=4)).version == 2
    assert len(kitchen.told) == 3


async def test_who_publishes_at_the_same_moment_is_refused_or_comes_after(kitchen: Kitchen) -> None:
    answers = await asyncio.gather(*(kitchen.publish(soups=n) for n in range(8)), return_exceptions=True)
    published = [one for one in answers if isinstance(one, Published)]
    assert published
    assert all(isinstance(one, Published | Conflict) for one in answers)
    found = await kitchen.ask(MENU.versions, VersionFilter())
    assert [one.version for one in found.items] == list(range(len(published), 0, -1))


async def test_history_pages_versions_and_differences(kitchen: Kitchen) -> None:
    for soups in range(1, 6):
        await kitchen.publish(soups=soups)
    await kitchen.publish("south", soups=99)
    first = await kitchen.ask(MENU.versions, VersionFilter(limit=3))
    rest = await kitchen.ask(MENU.versions, VersionFilter(limit=3, cursor=first.next_cursor))
    assert [one.version for one in (*first.items, *rest.items)] == [5, 4, 3, 2, 1]
    assert rest.next_cursor is None
    assert (await kitchen.ask(MENU.version, VersionKey(version=2))).content == {"soups": 2, "notes": []}
    diff = await kitchen.ask(MENU.diff, DiffKey(version=5))
    assert (diff.against, [(one.path, one.before, one.after) for one in diff.differences]) == (4, [("/soups", 4, 5)])
    assert (await kitchen.ask(MENU.diff, DiffKey(version=1))).differences == []
    assert len((await kitchen.ask(MENU.diff, DiffKey(version=3, against=0))).differences) == 1
    for params in (DiffKey(version=6), DiffKey(version=2, against=77)):
        with pytest.raises(NotFound):
            await kitchen.ask(MENU.diff, params)
    await kitchen.publish(notes=["x"] * 502)
    diff = await kitchen.ask(MENU.diff, DiffKey(version=6))
    assert (len(diff.differences), diff.left_out) == (500, 3)


async def test_what_an_older_version_set_is_not_replaced_by_a_default(kitchen: Kitchen) -> None:
    kitchen.table = versions.table(OLDER)
    await kitchen.order(OLDER.publish, Publication[OlderMenu](content=OlderMenu(), reason="long ago"))
    kitchen.table = versions.table(MENU)
    with pytest.raises(Conflict, match="Version 1 of the menu does not fit this version of Headgate") as refused:
        await kitchen.ask(MENU.show)
    assert [one["field"] for one in refused.value.extra["errors"]] == ["soups", "salt"]
    with pytest.raises(Conflict):
        await kitchen.order(MENU.rollback, Rollback(version=1, reason="back"))
    assert (await kitchen.publish(soups=2)).version == 2
    assert (await kitchen.ask(MENU.show)).content.soups == 2


async def test_content_is_bounded(kitchen: Kitchen) -> None:
    with pytest.raises(TooLarge, match="The menu may have"):
        await kitchen.publish(notes=["x" * 1000] * 300)


async def test_what_must_follow_happens_in_the_same_transaction(kitchen: Kitchen) -> None:
    async def move(tx: Tx, published: Published[Menu]) -> None:
        assert await versions.current(tx.connection, MENU, tx.site) == published
        if published.content.soups > 5:
            raise Conflict("Too many soups.")

    kitchen.table = versions.table(MENU, applied=move)
    await kitchen.publish(soups=5)
    with pytest.raises(Conflict, match="soups"):
        await kitchen.publish(soups=6)
    assert (await kitchen.ask(MENU.show)).version == 1


async def test_nobody_rewrites_history(kitchen: Kitchen) -> None:
    await kitchen.publish(soups=1)
    for statement in ("UPDATE document_version SET reason = ''", "DELETE FROM document_version"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await kitchen.pool.execute(statement)
