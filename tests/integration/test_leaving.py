"""Sign-out with a real provider of OpenID Connect: the session ends here, and the browser is led out there, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import pytest_asyncio
from oidc_provider_mock import run_server_in_thread  # type: ignore[import-untyped]

from libs.common.contracts.gateway.sessions import session_ended
from services.gateway.domain.sessions import CSRF_HEADER, LOCAL_COOKIE
from tests.http_edge import NO_TLS, Http
from tests.integration.test_sessions import out_within_a_second
from tests.integration.test_sign_in import PEOPLE, Browser, opened, provider_of
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with run_server_in_thread(user_claims=PEOPLE, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest_asyncio.fixture
async def http(stack: Stack, provider: str) -> AsyncIterator[Http]:
    edge = await opened(stack, provider)
    yield edge
    await edge.close()


async def signed_in(http: Http) -> tuple[Browser, dict[str, str]]:
    browser = Browser(http)
    assert (await browser.enter("u-1")).status_code == 303
    return browser, {CSRF_HEADER: (await browser.client.get("/api/me")).headers[CSRF_HEADER]}


async def confirm(address: str) -> str:
    """A person leaves the provider; where it sends the browser."""
    async with httpx2.AsyncClient(verify=NO_TLS) as there:
        page = await there.get(address)
        assert page.status_code == 200, page.text
        said = parse_qs(urlsplit(address).query)
        back = f"{said['post_logout_redirect_uri'][0]}?state={said['state'][0]}"
        assert back.replace("&", "&amp;") in page.text or back in page.text
        url = urlsplit(address)
        place = f"{url.scheme}://{url.netloc}{url.path}/confirm"
        answer = await there.post(place, data={"redirect_uri": back})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


async def test_who_leaves_here_leaves_the_provider_and_comes_back(http: Http) -> None:
    browser, word = await signed_in(http)
    assert (await browser.client.post("/api/sign-out")).status_code == 403, "another site can't sign anybody out"
    left = await browser.client.post("/api/sign-out", params={"next": "/reference"}, headers=word)
    assert left.status_code == 200, left.text
    address = left.json()["provider_sign_out"]
    assert address.startswith(provider_of(http))
    said = parse_qs(urlsplit(address).query)
    assert said["client_id"] == ["headgate"]
    assert said["post_logout_redirect_uri"] == [f"{http.url}/api/sign-in/acme/signed-out"]
    assert "id_token_hint" not in said
    assert (await http.stack.heard(session_ended)).data["reason"] == "asked"
    assert await out_within_a_second(browser.client)
    assert LOCAL_COOKIE not in browser.client.cookies
    place = await confirm(address)
    stranger = await http.of(None).get(place)
    assert (stranger.status_code, "no sign-out of this browser" in stranger.json()["detail"]) == (401, True)
    assert (await browser.client.get(f"{place}x")).status_code == 401, "another state"
    back = await browser.client.get(place)
    assert (back.status_code, back.headers["Location"]) == (303, "/reference"), back.text
    assert (await browser.client.get(place)).status_code == 401, "once"


async def test_who_came_without_a_provider_or_when_it_is_away_is_out_all_the_same(http: Http) -> None:
    opened = await http.client.post("/api/sessions")
    cookie = opened.headers["Set-Cookie"].partition(";")[0]
    own = http.of(None, **{"Cookie": cookie, CSRF_HEADER: opened.json()["csrf_token"]})
    left = await own.post("/api/sign-out")
    assert (left.status_code, left.json()["provider_sign_out"]) == (200, None)
    assert await out_within_a_second(own)
    token = await http.client.post("/api/sign-out")
    assert (token.status_code, "only a session" in token.json()["detail"]) == (409, True)
    browser, word = await signed_in(http)
    assert (await browser.client.post("/api/sign-out?next=//evil.example", headers=word)).status_code == 422
    # The rules name another provider by now: there is nothing to lead to, and nobody stays in for that.
    empty = {"content": {}, "reason": "no provider any more"}
    assert (await http.client.put("/api/admin/sign-in", json=empty)).status_code == 200
    left = await browser.client.post("/api/sign-out", headers=word)
    assert (left.status_code, left.json()["provider_sign_out"]) == (200, None), left.text
    assert await out_within_a_second(browser.client)
