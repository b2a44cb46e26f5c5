"""Small parts of the edge: preferences, seals, limits, the CSV choice, waiting, and the role table."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from datetime import UTC, datetime
from typing import get_args

import orjson
import pytest
from nats.aio.msg import Msg
from starlette.requests import Request

from libs.common.contracts.gateway.seals import SEALED_BODIES
from libs.common.contracts.gateway.users import Role
from libs.common.contracts.notifier.channels import ChannelChange, ChannelCreate
from libs.common.contracts.roles import ROLES, may
from libs.common.problems import Invalid, Unauthorized, Unavailable
from libs.common.vault import Vault
from services.gateway import outcomes
from services.gateway.access import login_of, secret_of
from services.gateway.answers import wants_csv
from services.gateway.commands import idempotency_key_of, preference_of
from services.gateway.identity.callers import Principal
from services.gateway.limits import memory as limits
from services.gateway.outcomes import Outcomes
from services.gateway.passwords.proofs import PROVEN
from services.gateway.seals import WebhookSecrets, seal

ANN = Principal("ann", "operator", ("plant-a",), 7, datetime(2026, 1, 1, tzinfo=UTC))
HOOKS = WebhookSecrets(b"a key of this installation")
VAULT = Vault.from_secret("of this installation")


def request(*headers: tuple[str, str]) -> Request:
    """A request with these headers."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": b""})


@pytest.mark.parametrize(
    ("value", "wait_s", "applied"),
    [
        (None, 10.0, None),
        ("wait=3", 3.0, "wait=3"),
        ('wait="3"', 3.0, "wait=3"),
        ("wait=900", 60.0, "wait=60"),
        ("respond-async", 0.0, "respond-async"),
        ("respond-async, wait=5", 0.0, "respond-async"),
        ("handling=lenient; x, WAIT = 2", 2.0, "wait=2"),
        ("wait=-1", 10.0, None),
        ("wait=1e9", 10.0, None),
        ("wait=²", 10.0, None),
        ("nonsense", 10.0, None),
    ],
)
def test_preferences(value: str | None, wait_s: float, applied: str | None) -> None:
    found = preference_of(request(*([("Prefer", value)] if value else [])), 10.0)
    assert (found.wait_s, found.applied) == (wait_s, applied)


def test_idempotency_keys() -> None:
    assert idempotency_key_of(request()) is None
    assert idempotency_key_of(request(("Idempotency-Key", "a-1"))) == "a-1"
    for odd in ("", "x" * 201, "a b", "\xe9"):
        with pytest.raises(Invalid):
            idempotency_key_of(request(("Idempotency-Key", odd)))


def test_where_a_secret_may_stand() -> None:
    assert secret_of(request(("Authorization", "bearer hg_x"))) == "hg_x"
    assert secret_of(request(("X-Admin-Token", "hg_x"), ("Authorization", "Bearer hg_x"))) == "hg_x"
    for headers in (
        (),
        (("Authorization", "Basic x"),),
        (("Authorization", "Bearer"),),
        (("Authorization", "Bearer a"), ("Authorization", "Bearer b")),
        (("Authorization", "Bearer a"), ("X-Admin-Token", "b")),
    ):
        with pytest.raises(Unauthorized):
            secret_of(request(*headers))


def test_a_login_is_read_only_where_it_stands_alone() -> None:
    packed = base64.b64encode("ann:hg_x:ü".encode()).decode()
    assert login_of(request(("Authorization", f"basic {packed}"))) == ("ann", "hg_x:ü")
    for headers in (
        (),
        (("Authorization", "Bearer hg_x"),),
        (("Authorization", f"Basic {packed}"), ("Authorization", "Bearer hg_x")),
        (("Authorization", f"Basic {packed}"), ("X-Admin-Token", "hg_x")),
    ):
        assert login_of(request(*headers)) is None, headers
    for odd in ("", "!", "YQ==", base64.b64encode(b"ann:\xff").decode(), "YW5u\xe9"):
        with pytest.raises(Unauthorized):
            login_of(request(("Authorization", f"Basic {odd}")))


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("", False),
        ("*/*", False),
        ("text/csv", True),
        ("text/csv, */*;q=0.1", True),
        ("application/json, text/csv;q=0.5", False),
        ("text/csv;q=0", False),
        ("text/csv;q=x", False),
    ],
)
def test_who_wants_csv(accept: str, csv: bool) -> None:
    assert wants_csv(request(("Accept", accept))) is csv


def test_a_seal_opens_only_for_its_own_secret() -> None:
    sealed = seal("token", ANN, HOOKS)
    assert sealed.secret is not None
    assert sealed.fields["caller_sites"] == ["plant-a"]
    assert sealed.fields["secret_sha256"] == hashlib.sha256(sealed.secret.encode()).hexdigest()
    mine = orjson.loads(sealed.open(orjson.dumps({"fingerprint": sealed.fingerprint, "token": None})))
    assert mine["token"] == sealed.secret
    other = orjson.loads(sealed.open(orjson.dumps({"fingerprint": "0" * 16, "token": None})))
    assert (other["token"], "shown once" in other["note"]) == (None, True)
    caller = seal("caller", ANN, HOOKS).fields
    assert (caller["token_id"], [one["sites"] for one in caller["powers"]]) == (7, [("plant-a",)])
    assert seal("scope", ANN, HOOKS).fields == {
        "caller_sites": ["plant-a"],
        "caller_bounds": {"permissions": None, "subjects": None, "cidrs": None},
    }
    assert seal(None, ANN, HOOKS).open(b"{}") == b"{}"
    for name in SEALED_BODIES.keys() - PROVEN:  # those are judged before (services/gateway/passwords/proofs.py)
        seal(name, ANN, HOOKS, VAULT)
    with pytest.raises(ValueError, match="unknown seal"):
        seal("nothing", ANN, HOOKS)


def test_a_secret_of_a_webhook_needs_the_key_and_its_salt() -> None:
    sealed = seal("webhook", ANN, HOOKS)
    assert sealed.secret is not None
    assert sealed.secret == HOOKS.of(sealed.fields["salt"])
    assert sealed.secret.removeprefix("hgw_") not in str(sealed.fields)
    assert sealed.secret not in (WebhookSecrets(b"other").of(sealed.fields["salt"]), HOOKS.of("0" * 32))
    assert orjson.loads(sealed.open(orjson.dumps({"fingerprint": sealed.fingerprint})))["secret"] == sealed.secret
    assert "rotate" in orjson.loads(sealed.open(orjson.dumps({"fingerprint": "0" * 16})))["note"]
    assert sealed.preview()["secret"] == sealed.secret
    assert "webhook_id" not in seal("webhook_secret", ANN, HOOKS).fields
    with pytest.raises(Unavailable, match="HEADGATE_WEBHOOK_SECRET"):
        seal("webhook", ANN, WebhookSecrets(None))


def test_a_signing_secret_travels_encrypted_and_not_without_a_key() -> None:
    sealed = seal("subscription", ANN, HOOKS, VAULT)
    assert sealed.secret is not None
    assert sealed.secret not in str(sealed.fields)
    assert VAULT.open(sealed.fields["secret"], f"subscription/{sealed.fingerprint}") == sealed.secret
    assert (
        orjson.loads(sealed.open(orjson.dumps({"fingerprint": sealed.fingerprint})))["signing_secret"] == sealed.secret
    )
    with pytest.raises(Unavailable, match="HEADGATE_VAULT_KEY_FILE"):
        seal("subscription", ANN, HOOKS)


def test_where_a_channel_leads_travels_encrypted_and_never_in_clear() -> None:
    url = "https://hooks.example.com/services/T0/B0/secret"
    said = ChannelCreate(name="ops", kind="slack", address=url)
    sealed = seal("channel", ANN, HOOKS, VAULT, said)
    on_bus = orjson.loads(sealed.on_bus(said.model_dump_json().encode()))
    assert "secret" not in orjson.dumps({**on_bus, "secret": ""}).decode().replace('"secret"', "")
    assert (on_bus["address_shown"], "address" in on_bus) == ("hooks.example.com", False)
    assert VAULT.open(on_bus["secret"], f"channel/{on_bus['fingerprint']}") == url
    with pytest.raises(Unavailable, match="HEADGATE_VAULT_KEY_FILE"):
        seal("channel", ANN, HOOKS, said=said)
    keeps = ChannelChange(channel_id=1, name="ops", kind="slack", address=None)
    kept = orjson.loads(seal("channel_change", ANN, HOOKS, VAULT, keeps).on_bus(keeps.model_dump_json().encode()))
    assert not {"address", "secret", "fingerprint", "address_shown"} & set(kept)


def test_a_limit_moves_with_the_clock_and_callers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_200_000_000.0]  # a whole minute
    monkeypatch.setattr(time, "time", lambda: now[0])  # the library reads the wall
    limiter = limits.Limiter(2)
    assert [limiter.hit("a").allowed for _ in range(3)] == [True, True, False]
    assert limiter.hit("b").remaining == 1
    assert 1 <= limiter.hit("a").reset_s <= 60
    now[0] += 120
    assert limiter.hit("a").allowed
    monkeypatch.setattr(limits, "MAX_BUCKETS", 3)
    assert not limiter.spent("a")
    assert limiter.hit("a").allowed
    assert limiter.spent("a")
    assert not limiter.spent("nobody")
    for number in range(6):  # who was not heard of for the longest time is forgotten, never who comes again and again
        assert limiter.hit(f"new-{number}").allowed
        assert not limiter.hit("a").allowed


def test_the_minute_before_counts_by_what_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_200_000_000.0]  # a whole minute
    monkeypatch.setattr(time, "time", lambda: now[0])
    started, begin, here = list[threading.Thread](), threading.Thread.start, threading.get_ident()

    def start(thread: threading.Thread) -> None:
        if threading.get_ident() == here:  # other tests' servers may have threads that start threads
            started.append(thread)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    limiter = limits.Limiter(10)
    assert sum(limiter.hit("a").allowed for _ in range(20)) == 10
    now[0] += 60
    first = limiter.hit("a")
    assert (first.allowed, first.remaining, first.reset_s) == (False, 0, 1), "all ten still count"
    now[0] += 31
    assert [limiter.hit("a").allowed for _ in range(7)] == [True] * 6 + [False], "29 of 60 s are left: four still count"
    assert limiter.hit("a").reset_s == 5, "one of the ten leaves every six seconds"
    now[0] += 59
    assert limiter.hit("a").remaining == 10 - 3 - 1, "half of the six of the minute before still counts"
    now[0] += 600
    assert limiter.hit("a").remaining == 9
    assert started == [], "no thread sweeps the callers"


async def test_waiters_are_woken_by_their_own_outcome_only(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Outcomes()

    async def tell(digest: str, status: str = "200") -> None:
        headers = {"Command-Id": "c", "Digest": digest, "Status": status}
        await waiting.on_message(Msg(None, data=b"{}", headers=headers))  # type: ignore[arg-type]

    with waiting.waiter("c", "one") as first, waiting.waiter("c", "one") as second, waiting.waiter("c", "two") as third:
        await tell("two", "422")
        await tell("one", "not a number")
        await tell("one")
        await tell("one", "500")  # a repeat changes nothing
        for waiter, status in ((first, 200), (second, 200), (third, 422)):
            outcome = await waiter.wait(1)
            assert outcome is not None
            assert outcome.status == status
    with waiting.waiter("c", "one") as late:
        assert await late.wait(0.01) is None
    monkeypatch.setattr(outcomes, "MAX_WAITING", 0)
    with pytest.raises(Unavailable):
        waiting.waiter("c", "one")


def test_the_role_table() -> None:
    assert set(ROLES) == set(get_args(Role))
    assert not may("nobody", "me:read")
    assert not may("owner", "")
    everything = set().union(*ROLES.values())
    assert ROLES["owner"] == everything
    for role in ("viewer", "auditor"):
        assert not {name for name in ROLES[role] if name.endswith(":write")} - {"token:write", "me:write"}
    for name in ("identity:write", "site:write", "deadletter:write"):
        assert [role for role in ROLES if may(role, name)] == ["owner"]
    assert [role for role in ROLES if may(role, "remediation:complete")] == ["manager", "owner"]
