"""``headgate login --renewing`` against a real gateway: it renews itself, and is where it was after a kill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Barrier

import pytest
import pytest_asyncio

from libs.client import logins
from libs.client.errors import UsageProblem
from libs.client.http import Client
from libs.client.logins import Login, Renewing
from libs.common.contracts.gateway.sessions import session_ended
from tests.command_line import Tool, tool_at
from tests.http_edge import OWNER, Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


@pytest.fixture
def tool(http: Http, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tool:
    found = tool_at(http.url, monkeypatch, tmp_path)
    monkeypatch.delenv("HEADGATE_TOKEN")
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "config" / "headgate" / "logins.json"


def kept_privately(place: Path) -> bool:
    """Whether others can't read the file, and no file holds the token."""
    texts = place.read_text() + place.with_name("config.toml").read_text()
    return place.stat().st_mode & 0o777 == 0o600 and OWNER not in texts


async def test_the_tool_keeps_a_login_and_no_token(http: Http, tool: Tool, place: Path) -> None:
    done = await tool("login", "--renewing", stdin=OWNER)
    assert (done.exit_code, "a login that renews itself" in done.output) == (0, True), done.output
    assert kept_privately(place)
    first = logins.load(place)[http.url]
    assert json.loads((await tool("me", "--json")).output)["username"] == "owner"
    # Nearly over: the next command renews it first.
    logins.keep(place, http.url, Login(first.access, LONG_AGO, first.refresh))
    assert (await tool("me")).exit_code == 0
    second = logins.load(place)[http.url]
    assert (second.following, second.refresh != first.refresh, second.access != first.access) == (None, True, True)
    # Killed after it had asked, before it kept the answer: it asks the same once more.
    following = logins.make_refresh()
    logins.keep(place, http.url, Login(second.access, LONG_AGO, second.refresh, following))
    with Client(http.url, None) as client:
        await asyncio.to_thread(client.renew_login, second.refresh, sha256(following.encode()).hexdigest())
    assert (await tool("me")).exit_code == 0
    assert logins.load(place)[http.url].refresh == following
    listed = json.loads((await tool("sessions", "list", "--json")).output)
    assert [(one["program"], one["current"]) for one in listed] == [(True, True)]
    assert "login" in (await tool("sessions", "list")).output
    done = await tool("logout")
    assert (done.exit_code, logins.load(place)) == (0, {}), done.output
    assert (await http.stack.heard(session_ended)).data["reason"] == "asked"
    done = await tool("me")
    assert (done.exit_code, "run headgate login" in done.output) == (2, True)


async def test_a_login_of_the_browser_is_taken_over(http: Http, tool: Tool, place: Path) -> None:
    view = (await http.client.post("/api/logins")).json()
    done = await tool("login", stdin=view["refresh_token"])
    assert (done.exit_code, "a login that renews itself" in done.output) == (0, True), done.output
    assert logins.load(place)[http.url].refresh != view["refresh_token"]
    # A token in its place is kept as ever, and the login is forgotten.
    assert (await tool("login", stdin=OWNER)).exit_code == 0
    assert logins.load(place) == {}


async def test_a_login_that_is_over_says_what_to_do(http: Http, tool: Tool, place: Path) -> None:
    assert (await tool("login", "--renewing", stdin=OWNER)).exit_code == 0
    assert (await http.client.delete("/api/me/sessions")).status_code == 200
    kept = logins.load(place)[http.url]
    logins.keep(place, http.url, Login(kept.access, LONG_AGO, kept.refresh))
    done = await tool("me")
    assert (done.exit_code, "is over, or unknown. Log in again. Run: headgate login" in done.output) == (2, True)
    assert logins.load(place) == {}
    assert (await tool("login", stdin=kept.refresh)).exit_code == 2
    assert (await tool("logout")).exit_code == 0


async def test_programs_of_one_person_take_turns(http: Http, tool: Tool, place: Path) -> None:
    assert (await tool("login", "--renewing", stdin=OWNER)).exit_code == 0
    kept = logins.load(place)[http.url]
    logins.keep(place, http.url, Login(kept.access, LONG_AGO, kept.refresh))
    barrier = Barrier(4)

    def one() -> str:
        barrier.wait()
        return Renewing(place, http.url)()

    given = await asyncio.gather(*(asyncio.to_thread(one) for _ in range(4)))
    assert len(set(given)) == 1, "one renewed it, the others found it renewed"
    assert given[0] == logins.load(place)[http.url].access


def test_a_file_that_is_no_list_of_logins_says_so(place: Path) -> None:
    place.parent.mkdir(parents=True)
    for text in ("nonsense", "[]", '{"a": 1}', '{"a": {"access": "x"}}'):
        place.write_text(text)
        with pytest.raises(UsageProblem, match="another shape"):
            logins.load(place)


def test_a_login_does_not_show_in_what_is_printed() -> None:
    assert "secret" not in repr(Login("secret", LONG_AGO + timedelta(days=1), "secret", "secret"))
