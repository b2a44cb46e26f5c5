"""People and jobs come in by a provider of OpenID Connect that is not ours; what does not fit is refused by name."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.outside.tools import HERE
from tests.outside.world import World, check, until

TOOL = "oidc-provider"
SECRET = "not so secret, but long enough"
RULE = {"name": "releases", "provider": "acme", "claims": {"realm_access.roles": ["releases"]}, "role": "manager"}
TRUST = {"name": "jobs", "issuer": "acme", "claims": {"realm_access.roles": ["releases"]}, "account": "jobs"}


@dataclass
class Provider:
    """The provider that runs. ``callback`` is where it sends browsers back to."""

    url: str
    callback: str
    process: subprocess.Popen[str]

    @property
    def orders(self) -> IO[str]:
        """What it is told to do, a line each."""
        assert self.process.stdin is not None
        return self.process.stdin

    def rotate(self) -> None:
        """Other keys from now on."""
        self.orders.write("rotate\n")
        self.orders.flush()
        until("the provider has other keys", lambda: self.key() != "key-1")

    def key(self) -> str:
        """The number of its key."""
        return str(httpx2.get(f"{self.url}/jwks", trust_env=False).json()["keys"][0]["kid"])


def step(world: World) -> None:
    """Sign in, come in as a job, leave, and be refused."""
    with _running(world) as provider:
        _publish(world, provider)
        people = _signs_in(world, provider)
        jobs = _jobs(world, provider)
        left_s = _leaves(world, provider)
        _signs_out(world, provider)
        rotated = _rotates(world, provider)
    world.figure("people sign in by nested claims; what does not fit is refused", TOOL, f"{people} of {people} refused")
    world.figure("jobs come in by identity tokens; what does not fit is refused", TOOL, f"{jobs} of {jobs} refused")
    world.figure("from signing out at the provider to the end of the session", TOOL, f"{left_s:.2f} s")
    world.figure("who signs out here has left the provider, too, and comes back", TOOL, "asked to sign in anew")
    world.figure("sign-in after the keys changed; a token of the old key is refused", TOOL, f"{rotated:.0f} s")


@contextmanager
def _running(world: World) -> Iterator[Provider]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    back, out = (f"{world.stack.gateway_url}/api/sign-in/acme/{way}" for way in ("callback", "backchannel-logout"))
    said = (world.folder / "provider.txt").open("w")
    command = [world.tools.node, "provider.mjs", str(port), back, out]
    process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=said, stderr=said, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        until("the provider answers", lambda: _answers(f"{url}/.well-known/openid-configuration"), 60)
        yield Provider(url, back, process)
    finally:
        process.kill()
        process.wait()
        said.close()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def _publish(world: World, provider: Provider) -> None:
    listed = [{"name": "acme", "issuer": provider.url, "client_id": "headgate"}]
    rules = {"providers": listed, "rules": [{**RULE, "sites": ["*"]}]}
    world.post("/api/accounts", status=201, json={"name": "jobs", "role": "operator", "purpose": "jobs of a provider"})
    answer = world.http.put("/api/admin/sign-in", json={"content": rules, "reason": "a provider of others"})
    check(answer.status_code == 200, f"the rules of sign-in: {answer.text}")
    _trust(world, provider, "pipelines")


def _trust(world: World, provider: Provider, audience: str) -> None:
    """Jobs come in by tokens that were made for this audience."""
    trusted = [{"name": "acme", "issuer": provider.url, "audience": audience}]
    content = {"issuers": trusted, "rules": [{**TRUST, "permissions": ["signal:write"]}]}
    answer = world.http.put("/api/admin/federation", json={"content": content, "reason": "a provider of others"})
    check(answer.status_code == 200, f"the rules of machines: {answer.text}")


def _browser(base: str) -> httpx2.Client:
    return httpx2.Client(base_url=base, trust_env=False, timeout=30)


def _agree(browser: httpx2.Client, provider: Provider, address: str, name: str) -> str:
    """Sign in at the provider's own pages; where it sends the browser at last."""
    answer = browser.get(address)
    for _ in range(10):
        place = answer.headers.get("location", "")
        if place.startswith(provider.callback):
            return place
        if place:
            answer = browser.get(place if "://" in place else provider.url + place)
            continue
        form = re.search(r'action="([^"]+)"', answer.text)
        check(answer.status_code == 200 and form is not None, f"the provider answers {answer.status_code}")
        assert form is not None
        answer = browser.post(form[1], data={"prompt": "login", "login": name, "password": "any"})
    check(False, "the provider sends the browser round and round")
    return ""


def _entered(world: World, provider: Provider, name: str) -> tuple[httpx2.Client, httpx2.Response, str]:
    """A browser after a whole sign-in, the answer, and the address that it came back to."""
    browser = _browser(world.stack.gateway_url)
    begun = browser.get("/api/sign-in/acme")
    check(begun.status_code == 302, f"the sign-in does not begin: {begun.text[:300]}")
    back = _agree(browser, provider, begun.headers["location"], name)
    return browser, browser.get(back), back


def _signs_in(world: World, provider: Provider) -> int:
    """One person comes in, each other one is refused with its reason; how many were."""
    browser, answer, back = _entered(world, provider, "mia")
    check(answer.status_code == 303, f"mia can't sign in: {answer.text[:500]}")
    me = browser.get("/api/me").json()
    check((me["username"], me["role"]) == ("mia", "manager"), f"who signed in is {me}")
    refusals = [(browser.get(back), 401, "another browser")]
    refusals.append((_entered(world, provider, "lee")[1], 403, "realm_access.roles is 'staff', wanted is releases"))
    other = _browser(world.stack.gateway_url)
    other.get("/api/sign-in/acme")
    refusals.append((other.get(back), 401, "belongs to another sign-in (state)"))
    for found, status, said in refusals:
        check(found.status_code == status and said in found.text, f"not refused as {said}: {found.text[:500]}")
    return len(refusals)


def _identity_token(provider: Provider, client: str, name: str = "mia") -> str:
    """An identity token of the provider for another client than ours."""
    verifier = secrets.token_urlsafe(48)
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "client_id": client, "response_type": "code", "scope": "openid profile", "redirect_uri": provider.callback,
        "code_challenge": digest, "code_challenge_method": "S256", "state": "s",
    }  # fmt: skip
    with _browser(provider.url) as browser:
        back = _agree(browser, provider, str(httpx2.URL(f"{provider.url}/auth", params=asked)), name)
        form = {"grant_type": "authorization_code", "redirect_uri": provider.callback, "code_verifier": verifier}
        form["code"] = parse_qs(urlsplit(back).query)["code"][0]
        answer = browser.post("/token", data=form, auth=(client, SECRET.replace(" ", "%20").replace(",", "%2C")))
    check(answer.status_code == 200, f"the provider gives no token: {answer.text[:300]}")
    return str(answer.json()["id_token"])


def _jobs(world: World, provider: Provider) -> int:
    """One job comes in; how many tokens were refused, each with its reason."""
    good = _identity_token(provider, "pipelines")
    entered = _come(world, good)
    check(entered.status_code == 200, f"a job can't come in: {entered.text[:500]}")
    me = httpx2.get(
        f"{world.stack.gateway_url}/api/me", headers={"Authorization": f"Bearer {entered.json()['token']}"},
        trust_env=False,
    )  # fmt: skip
    check(me.json()["username"] == "account:jobs", f"the job is {me.text}")
    _, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    altered = _packed(claims | {"sub": "somebody-else"})
    refusals = {
        "used before": good,
        "another audience": _identity_token(provider, "headgate"),
        "signed by no key of its issuer, but as 'none'": f"{_packed({'alg': 'none'})}.{body}.",
        "was altered": f"{good.split('.')[0]}.{altered}.{signature}",
        "wanted is releases": _identity_token(provider, "pipelines", "lee"),
    }
    for said, token in refusals.items():
        found = _come(world, token)
        check(found.status_code == 401 and said in found.text, f"not refused as {said}: {found.text[:500]}")
    return len(refusals) + _over(world, provider)


def _over(world: World, provider: Provider) -> int:
    """A token that is over, for the audience that counts: only its time is wrong."""
    _trust(world, provider, "brief")
    token = _identity_token(provider, "brief")
    time.sleep(2.0)
    until("the new rules hold", lambda: "audience" not in _come(world, token).text)
    found = _come(world, token)
    check(found.status_code == 401 and "is over" in found.text, f"not refused as over: {found.text[:500]}")
    _trust(world, provider, "pipelines")
    return 1


def _packed(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _come(world: World, token: str) -> httpx2.Response:
    return httpx2.post(
        f"{world.stack.gateway_url}/api/federation/token", json={"token": token}, trust_env=False, timeout=30
    )


def _leaves(world: World, provider: Provider) -> float:
    """A person signs out at the provider, which tells us; seconds from its page to the end of the session here."""
    browser, answer, _ = _entered(world, provider, "mia")
    check(answer.status_code == 303 and browser.get("/api/me").status_code == 200, "mia can't sign in again")
    page = browser.get(f"{provider.url}/session/end")
    form = re.search(r'name="xsrf" value="([^"]+)"', page.text)
    check(form is not None, f"the provider shows no way out: {page.text[:300]}")
    assert form is not None
    began = time.monotonic()
    left = browser.post(f"{provider.url}/session/end/confirm", data={"xsrf": form[1], "logout": "yes"})
    check(left.status_code < 400, f"the provider lets nobody out: {left.status_code} {left.text[:300]}")
    until("the session is over", lambda: browser.get("/api/me").status_code == 401, 10)
    return time.monotonic() - began


def _signs_out(world: World, provider: Provider) -> None:
    """A person signs out here, is led out of the provider and back, and is asked there for a name the next time."""
    browser, answer, _ = _entered(world, provider, "mia")
    check(answer.status_code == 303, f"mia can't sign in again: {answer.text[:300]}")
    word = {"X-CSRF-Token": browser.get("/api/me").headers["X-CSRF-Token"]}
    left = browser.post("/api/sign-out", headers=word)
    check(left.status_code == 200, f"mia can't sign out: {left.text[:300]}")
    page = browser.get(left.json()["provider_sign_out"])
    form = re.search(r'name="xsrf" value="([^"]+)"', page.text)
    check(form is not None, f"the provider takes nobody out: {page.status_code} {page.text[:300]}")
    assert form is not None
    done = browser.post(f"{provider.url}/session/end/confirm", data={"xsrf": form[1], "logout": "yes"})
    place = done.headers.get("location", "")
    check(
        "/api/sign-in/acme/signed-out?state=" in place, f"the provider sends the browser to {place or done.text[:300]}"
    )
    back = browser.get(place)
    check((back.status_code, back.headers.get("location")) == (303, "/docs"), f"nobody is let back: {back.text[:300]}")
    again = browser.get(browser.get("/api/sign-in/acme").headers["location"])
    asked = again.headers.get("location", "")
    check("/interaction/" in asked, f"the provider lets in without asking: {again.status_code} {asked}")


def _rotates(world: World, provider: Provider) -> float:
    """The provider has other keys: who signs in comes in, and a token of the old key is worth nothing."""
    old = _identity_token(provider, "pipelines")
    provider.rotate()
    began = time.monotonic()
    until("the new key counts", lambda: _entered(world, provider, "mia")[1].status_code == 303, 90)
    took_s = time.monotonic() - began

    def comes_in() -> bool:
        return _come(world, _identity_token(provider, "pipelines")).status_code == 200

    until("the new key counts for jobs", comes_in, 90)
    found = _come(world, old)
    check(found.status_code == 401 and "no key of its issuer" in found.text, f"an old key counts: {found.text[:500]}")
    return took_s
