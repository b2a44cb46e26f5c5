"""People sign in with a real provider of OpenID Connect; each thing that does not fit is refused with its reason."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest
import pytest_asyncio
from oidc_provider_mock import User, run_server_in_thread  # type: ignore[import-untyped]
from pydantic import SecretStr

from libs.common.contracts.gateway.sessions import session_opened
from libs.common.contracts.gateway.shares import share_revoked
from libs.common.contracts.gateway.sign_in import person_due, person_linked, person_turned_away
from libs.common.contracts.gateway.users import user_changed
from libs.common.problems import Unauthorized
from services.gateway.domain.sessions import LOCAL_COOKIE
from tests.http_edge import NO_TLS, Http
from tests.integration.bus_guest import until
from tests.integration.test_federation import KEYS, Issuer
from tests.stack import Stack

pytestmark = pytest.mark.integration
CLIENT = "headgate"
PEOPLE = (
    User(sub="u-1", claims={"preferred_username": "Mia.Kim", "groups": ["staff", "releases"]}),
    User(sub="u-2", claims={"preferred_username": "mia-kim", "groups": ["releases"]}),
    User(sub="u-3", claims={"preferred_username": "lee", "groups": ["staff"], "email": "lee@acme.com"}),
    User(sub="u-5", claims={"groups": ["staff"], "email": "lee@Acme.com", "email_verified": True}),
    User(sub="u-4", claims={"preferred_username": "owner", "groups": ["releases"]}),
)
RULES: list[dict[str, Any]] = [
    {"name": "managers", "provider": "acme", "claims": {"groups": ["releases"]}, "role": "manager", "sites": ["*"]},
]


async def opened(stack: Stack, provider: str) -> Http:
    edge = await Http(stack).open(
        outbound_networks=["127.0.0.0/8", "::1/128"],
        vault_secret=SecretStr("the vault of a test"),
        sign_in_secrets={"acme": SecretStr("not so secret")},
    )
    assert (await publish(edge, provider)).status_code == 200
    return edge


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a real provider that knows these people."""
    with run_server_in_thread(user_claims=PEOPLE, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest_asyncio.fixture
async def http(stack: Stack, provider: str) -> AsyncIterator[Http]:
    edge = await opened(stack, provider)
    yield edge
    await edge.close()


async def publish(http: Http, issuer: str, rules: list[dict[str, Any]] | None = None, **more: Any) -> httpx2.Response:
    content = {"providers": [{"name": "acme", "issuer": issuer, "client_id": CLIENT, **more}], "rules": rules or RULES}
    return await http.client.put("/api/admin/sign-in", json={"content": content, "reason": "as decided"})


class Browser:
    """What keeps cookies and follows where it is told to."""

    def __init__(self, http: Http) -> None:
        self.client = http.of(None)

    async def begin(self, after: str = "/reference") -> str:
        """To the provider; its address, with what was asked."""
        answer = await self.client.get("/api/sign-in/acme", params={"next": after})
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    async def agree(self, address: str, sub: str) -> str:
        """Sign in there; where it sends the browser."""
        async with httpx2.AsyncClient(verify=NO_TLS) as there:
            answer = await there.post(address, data={"sub": sub})
        assert answer.status_code in (302, 303), answer.text
        return answer.headers["Location"]

    async def enter(self, sub: str) -> httpx2.Response:
        """The whole way."""
        return await self.client.get(await self.agree(await self.begin(), sub))


async def refused(answer: httpx2.Response, status: int, said: str) -> None:
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert LOCAL_COOKIE not in answer.headers.get("Set-Cookie", "").replace("headgate-sign-in", "")


async def test_a_person_comes_in_and_is_what_the_rule_says(http: Http) -> None:
    browser = Browser(http)
    answer = await browser.enter("u-1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/reference"), answer.text
    me = (await browser.client.get("/api/me")).json()
    assert (me["username"], me["role"], me["token_id"], me["narrowed"]) == ("mia-kim", "manager", None, False)
    (one,) = (await browser.client.get("/api/me/sessions")).json()
    assert (one["provider"], one["token_id"], one["current"]) == ("acme", None, True)
    told = await http.stack.heard(session_opened)
    assert (told.actor, told.data["username"], told.data["provider"]) == ("sign-in:acme", "mia-kim", "acme")
    by = {"rule": "managers", "provider": "acme", "issuer": provider_of(http), "sub": "u-1"}
    linked = await http.stack.heard(person_linked)
    assert (linked.data["adopted"], linked.data["by"], told.data["by"]) == (False, by, by)
    stored = await http.running.pool.fetchval("SELECT string_agg(o::text, ' ') FROM outbox o")
    assert "groups" not in (stored or "")
    # The rules change, and with the next sign-in the person does.
    rules = [{**RULES[0], "role": "viewer", "sites": ["global"]}]
    assert (await publish(http, provider_of(http), rules)).status_code == 200
    assert (await Browser(http).enter("u-1")).status_code == 303
    changed = await http.stack.heard(user_changed)
    assert (changed.data["username"], changed.data["role"], changed.data["sites"]) == ("mia-kim", "viewer", ["global"])
    assert (changed.actor, changed.data["by"]) == ("mia-kim", by)


def provider_of(http: Http) -> str:
    """The issuer whose configuration this edge has asked for."""
    (issuer,) = http.edge.sign_in._providers._keys._kept
    return issuer


async def test_what_is_asked_of_the_provider_is_bound_to_this_browser(http: Http) -> None:
    asked = parse_qs(urlsplit(await Browser(http).begin()).query)
    assert (asked["response_type"], asked["code_challenge_method"], asked["client_id"]) == (
        ["code"],
        ["S256"],
        [CLIENT],
    )
    assert asked["scope"] == ["openid profile email"]
    assert asked["redirect_uri"] == [f"{http.url}/api/sign-in/acme/callback"]
    assert min(len(asked[name][0]) for name in ("state", "nonce", "code_challenge")) >= 43
    for after in ("//evil.example.com", "https://evil.example.com", "/\\evil.example.com", "docs", "/" + "x" * 300):
        answer = await http.of(None).get("/api/sign-in/acme", params={"next": after})
        assert answer.status_code == 422, after
    await refused(await http.of(None).get("/api/sign-in/other"), 404, "by a provider of that name")
    plain = await http.of(None).get("/api/sign-in/acme", headers={"Host": "headgate.example.com"})
    await refused(plain, 403, "HTTPS")


async def test_a_state_that_is_replayed_or_of_another_browser_is_refused(http: Http) -> None:
    browser = Browser(http)
    address = await browser.begin()
    first, second = await browser.agree(address, "u-1"), await browser.agree(address, "u-1")
    await refused(await http.of(None).get(first), 401, "begun in another browser")
    ticket = dict(browser.client.cookies)
    assert (await browser.client.get(first)).status_code == 303
    again = http.of(None, Cookie="; ".join(f"{name}={value}" for name, value in ticket.items()))
    await refused(await again.get(second), 401, "used before")
    await refused(await again.get(first), 401, "does not vouch for you: invalid_grant")
    other = Browser(http)
    await other.begin()
    await refused(await other.client.get(second), 401, "belongs to another sign-in (state)")
    late = Browser(http)
    back = await late.agree(await late.begin(), "u-1")
    http.stack.clock.advance(minutes=10)
    await refused(await late.client.get(back), 401, "more than 10 minutes ago")


async def test_who_is_denied_or_sent_by_another_provider_is_refused(http: Http) -> None:
    browser = Browser(http)
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    back = "/api/sign-in/acme/callback"
    answer = await browser.client.get(back, params={"state": state, "error": "access_denied"})
    await refused(answer, 401, "did not let you in: access_denied")
    browser = Browser(http)
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    answer = await browser.client.get(back, params={"state": state, "code": "c", "iss": "https://evil.example.com"})
    await refused(answer, 401, "of another provider (iss)")


async def test_whom_no_rule_fits_or_whose_name_is_taken_stays_out(http: Http) -> None:
    await refused(await Browser(http).enter("u-3"), 403, "groups is 'staff', wanted is releases")
    assert (await Browser(http).enter("u-1")).status_code == 303
    await refused(await Browser(http).enter("u-2"), 403, "somebody of that name is here already")
    await refused(await Browser(http).enter("u-4"), 403, "somebody of that name is here already")
    # Nothing is booked on those whose names a stranger was called by.
    assert not {who for who, _, _ in http.edge.refusals._rows} & {"mia-kim", "owner"}
    actors = "SELECT array_agg(DISTINCT actor) FROM outcomes WHERE operation = 'gateway.sign_in.enter'"
    assert await http.running.pool.fetchval(actors) == ["sign-in:acme"]
    assert (await publish(http, provider_of(http), adopts=True)).status_code == 200
    await refused(await Browser(http).enter("u-4"), 403, "somebody of that name is here already")
    assert (await http.client.patch("/api/users/mia-kim", json={"active": False})).status_code == 200
    await refused(await Browser(http).enter("u-1"), 403, "is not active here")


async def test_who_comes_back_and_fits_no_rule_any_more_loses_what_is_open(http: Http) -> None:
    browser = Browser(http)
    assert (await browser.enter("u-1")).status_code == 303
    word = {"X-CSRF-Token": (await browser.client.get("/api/me")).headers["X-CSRF-Token"]}
    made = await browser.client.post("/api/tokens", json={"label": "kept at home"}, headers=word)
    token = http.of(made.json()["token"])
    ci = {"name": "ci", "role": "operator", "purpose": "pipelines", "owner": "mia-kim"}
    assert (await http.client.post("/api/accounts", json=ci)).status_code == 201
    body = {"label": "ci", "username": "account:ci", "permissions": ["signal:write"]}
    machine = http.of((await http.client.post("/api/tokens", json=body)).json()["token"])
    await http.running.pool.execute(
        "INSERT INTO share (secret_sha256, site, kind, gate, created_at, created_by, expires_at, max_uses) "
        "VALUES (sha256('x'), 'global', 'plan', 'release', $1, 'mia-kim', $2, 5)",
        http.stack.clock(),
        http.stack.clock() + timedelta(days=1),
    )
    assert (await http.client.post("/api/users/mia-kim/password-code")).status_code == 201
    # Somebody else who fits no rule, and a name that can't be made, end nothing.
    await refused(await Browser(http).enter("u-3"), 403, "wanted is releases")
    assert (await publish(http, provider_of(http), login_claim="nickname")).status_code == 200
    await refused(await Browser(http).enter("u-1"), 403, "no nickname")
    for client in (browser.client, token, machine):
        assert (await client.get("/api/me")).status_code == 200
    rules = [{**RULES[0], "claims": {"groups": ["the others"]}}]
    assert (await publish(http, provider_of(http), rules)).status_code == 200
    await refused(await Browser(http).enter("u-1"), 403, "wanted is the others")
    told = await http.stack.heard(person_turned_away)
    assert (told.actor, told.data["username"], told.data["sub"]) == ("sign-in:acme", "mia-kim", "u-1")
    assert (len(told.data["token_ids"]), len(told.data["session_ids"])) == (2, 1)
    assert (await http.stack.heard(share_revoked)).actor == "sign-in:acme"
    assert (await http.client.get("/api/passwords")).json() == []
    for client in (browser.client, token, machine):
        assert (await client.get("/api/me")).status_code == 401
    assert (await http.client.get("/api/users/mia-kim")).json()["active"] is True
    assert (await publish(http, provider_of(http))).status_code == 200
    assert (await Browser(http).enter("u-1")).status_code == 303


async def test_tokens_do_not_outlive_the_word_of_the_provider_for_long(http: Http) -> None:
    browser = Browser(http)
    assert (await browser.enter("u-1")).status_code == 303
    word = {"X-CSRF-Token": (await browser.client.get("/api/me")).headers["X-CSRF-Token"]}
    made = await browser.client.post("/api/tokens", json={"label": "kept at home"}, headers=word)
    token = http.of(made.json()["token"])
    longer = "UPDATE sign_in_link SET seen_at = seen_at - $1::interval"
    await http.running.pool.execute(longer, timedelta(days=22))
    assert await http.stack.run_job("gateway", "sign_in_watch")
    assert await http.running.pool.fetchval("SELECT told_at FROM sign_in_link") is None
    await http.running.pool.execute(longer, timedelta(days=2))
    assert await http.stack.run_job("gateway", "sign_in_watch")
    told = await http.stack.heard(person_due)
    assert (told.data["username"], told.data["left_days"], "/api/sign-in/acme" in told.data["action"]) == (
        "mia-kim",
        6,
        True,
    )
    assert await http.stack.run_job("gateway", "sign_in_watch")
    assert (await token.get("/api/me")).status_code == 200
    await http.running.pool.execute(longer, timedelta(days=7))

    async def status(wanted: int) -> bool:
        return (await token.get("/api/me")).status_code == wanted

    await until("refused", lambda: status(401))
    assert "max_days_without_sign_in" in (await token.get("/api/me")).json()["detail"]
    assert (await http.client.get("/api/me")).status_code == 200, "no provider knows the first owner"
    assert (await browser.client.get("/api/me")).status_code == 200, "a session has an end of its own"
    assert (await Browser(http).enter("u-1")).status_code == 303
    await until("back", lambda: status(200))
    assert sum(one.type == person_due.type for one in http.stack.events) == 1


async def test_the_last_owner_is_not_turned_away(http: Http, provider: str) -> None:
    rules = [{**RULES[0], "role": "owner"}]
    assert (await publish(http, provider, rules)).status_code == 200
    browser = Browser(http)
    assert (await browser.enter("u-1")).status_code == 303
    await http.running.pool.execute("UPDATE users SET role = 'viewer' WHERE username = 'owner'")
    rules = [{**RULES[0], "claims": {"groups": ["the others"]}}]
    word = {"X-CSRF-Token": (await browser.client.get("/api/me")).headers["X-CSRF-Token"]}
    listed = [{"name": "acme", "issuer": provider, "client_id": CLIENT}]
    content = {"content": {"providers": listed, "rules": rules}, "reason": "a mistake"}
    answer = await browser.client.put("/api/admin/sign-in", json=content, headers=word)
    assert answer.status_code == 200, answer.text
    await refused(await Browser(http).enter("u-1"), 403, "wanted is the others")
    assert (await http.stack.heard(person_turned_away)).data["last_owner"] is True
    assert (await browser.client.get("/api/me")).status_code == 200


async def test_who_is_here_already_is_taken_over_only_where_that_is_said(http: Http) -> None:
    await http.user("mia-kim", "viewer")
    await refused(await Browser(http).enter("u-2"), 403, "somebody of that name is here already")
    assert (await publish(http, provider_of(http), adopts=True)).status_code == 200
    await refused(await Browser(http).enter("u-1"), 403, "somebody of that name is here already")
    assert (await Browser(http).enter("u-2")).status_code == 303
    linked = await http.stack.heard(person_linked)
    assert (linked.data["username"], linked.data["adopted"], linked.actor) == ("mia-kim", True, "sign-in:acme")
    assert (await http.client.get("/api/users/mia-kim")).json()["role"] == "manager"


async def test_an_address_of_another_domain_takes_nobody_over(http: Http, provider: str) -> None:
    await http.user("lee", "viewer")
    rules = [{**RULES[0], "claims": {"groups": ["staff"]}}]
    by_mail = {"login_claim": "email", "adopts": True}
    anywhere = await publish(http, provider, rules, **by_mail)
    assert (anywhere.status_code, "email_domains" in anywhere.json()["detail"]) == (422, True)
    other = await publish(http, provider, rules, **by_mail, email_domains=["partner.com"])
    assert other.status_code == 200, other.text
    await refused(await Browser(http).enter("u-5"), 403, "somebody of that name is here already")
    ours = await publish(http, provider, rules, **by_mail, email_domains=["partner.com", "acme.com"])
    assert ours.status_code == 200, ours.text
    assert (await Browser(http).enter("u-5")).status_code == 303
    assert (await http.stack.heard(person_linked)).data["adopted"] is True


async def test_a_dry_run_says_what_would_become_of_somebody(http: Http, provider: str) -> None:
    async def tried(**more: Any) -> dict[str, Any]:
        body = {"provider": "acme", "claims": {"sub": "u-9", "preferred_username": "ann", "groups": ["releases"]}}
        answer = await http.client.post("/api/admin/sign-in/try", json=body | more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    found = await tried()
    assert (found["rule"], found["username"], found["role"], found["person"]) == ("managers", "ann", "manager", "new")
    found = await tried(claims={"sub": "u-9", "preferred_username": "ann"})
    assert (found["rule"], "no claim groups" in found["reason"]) == (None, True)
    by_mail = [{**RULES[0], "claims": {"email": ["ann@acme.com"]}}]
    listed = [{"name": "acme", "issuer": provider, "client_id": CLIENT, "login_claim": "email"}]
    content = {"providers": listed, "rules": by_mail}
    found = await tried(content=content, claims={"sub": "u-9", "email": "ann@acme.com"})
    assert "email_verified" in found["reason"]
    found = await tried(content=content, claims={"sub": "u-9", "email": "ann@acme.com", "email_verified": True})
    assert (found["username"], found["reason"]) == ("ann", None)
    found = await tried(claims={"sub": "u-9", "preferred_username": "owner", "groups": ["releases"]})
    assert (found["person"], "owner is here already" in found["reason"]) == ("taken", True)
    answer = await http.client.post("/api/admin/sign-in/try", json={"provider": "other", "claims": {}})
    assert answer.status_code == 422
    assert await http.running.pool.fetchval("SELECT count(*) FROM sign_in_link") == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"role": "keeper"}, "role"),
        ({"claims": {}}, "claims"),
        ({"claims": {"email": ["*@acme.com"]}}, "claims"),
        ({"provider": "other"}, "not listed"),
        ({"sites": ["nowhere"]}, "nowhere"),
        ({"sites": []}, "sites"),
    ],
)
async def test_rules_that_can_not_be_meant_are_refused(http: Http, change: dict[str, Any], said: str) -> None:
    answer = await publish(http, "https://login.example.com", [RULES[0] | change])
    assert (answer.status_code, said in answer.text) == (422, True), answer.text


async def test_identity_tokens_that_do_not_fit_are_refused_by_name(http: Http) -> None:
    """What no honest provider sends: signed by hand, with the keys of an issuer of ours."""
    issuer = Issuer()
    try:
        await _refuses(http, issuer)
    finally:
        issuer.close()


async def _refuses(http: Http, issuer: Issuer) -> None:
    assert (await publish(http, issuer.url)).status_code == 200
    found, _ = await http.edge.sign_in.rules.of("acme")
    now = http.stack.clock()

    def token(key: int = 0, kid: str = "0", **claims: Any) -> str:
        told = {
            "iss": issuer.url,
            "aud": CLIENT,
            "sub": "u",
            "iat": now,
            "exp": now + timedelta(minutes=5),
            "nonce": "n",
        }
        return jwt.encode({**told, **claims}, KEYS[key], "RS256", headers={"kid": kid})

    async def proven(text: str, **more: Any) -> str:
        try:
            await http.edge.sign_in._providers.proven(found, text, "n", **more)
        except Unauthorized as refusal:
            return refusal.detail
        return ""

    assert await proven(token()) == ""
    assert "another audience" in await proven(token(aud="somebody else"))
    assert "is over" in await proven(token(exp=now - timedelta(seconds=1)))
    assert "not trusted here" in await proven(token(iss="https://evil.example.com"))
    assert "its nonce" in await proven(token(nonce="of another sign-in"))
    assert "its nonce" in await proven(token(nonce=None))
    assert "its azp" in await proven(token(azp="somebody else"))
    assert "its azp" in await proven(token(aud=[CLIENT, "somebody else"]))
    assert "its at_hash" in await proven(token(at_hash="AAAA"), access_token="t")
    assert "'none'" in await proven(jwt.encode({"iss": issuer.url, "aud": CLIENT, "nonce": "n"}, "", "none"))
    head, body, signature = token().split(".")
    told = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**told, "sub": "other"}).encode()).decode().rstrip("=")
    assert "was altered" in await proven(f"{head}.{forged}.{signature}")
    assert "no key of its issuer" in await proven(token(key=1))
    assert "no JSON Web Token" in await proven("nonsense")
