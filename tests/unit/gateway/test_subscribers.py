"""What subscribers hear, what is passed on of what they ask, and how their rights are signed."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.installation import Callout, NatsUser, callout, nats_config
from libs.common.topology import Topology
from libs.common.user_jwt import BadClaims, account_seed, public_key, read, sign
from services.gateway.domain.filters import matches, names_of, shortest
from services.gateway.domain.narrowing import Narrowing, narrowing
from services.gateway.subscribing.callout import may_stay
from services.gateway.subscribing.carrier import MAX_BATCH, MAX_EXPIRES_NS, ack_of, answers_home, pull_of
from services.gateway.subscribing.durables import Wanted
from services.gateway.subscribing.subscribers import subjects, visible

EVERY = ("a.x.one", "a.x.two", "a.y.one", "b.x.one")
SEED = account_seed("a secret of a test only")


@pytest.mark.parametrize(
    ("names", "ends"),
    [
        (EVERY, [">"]),
        ((), []),
        (("a.x.one", "a.x.two", "a.y.one"), ["a.>"]),
        (("a.x.one", "a.x.two"), ["a.x.*"]),
        (("a.x.one", "a.y.one", "b.x.one"), ["a.x.one", "a.y.*", "b.>"]),
    ],
)
def test_filters_are_as_few_as_can_be(names: tuple[str, ...], ends: list[str]) -> None:
    assert shortest(names, EVERY) == ends


def test_a_type_means_whole_tokens() -> None:
    assert names_of(["a.x.*"], EVERY) == {"a.x.one", "a.x.two"}
    assert not matches("a.x.*", "a.xy.one")
    assert not matches("a.*", "ab.x.one")
    assert not matches("a.x.one", "a.x.one2")


def test_no_role_hears_what_it_may_not_read() -> None:
    assert not any(name.startswith("gateway.") or ".deadletter." in name for name in visible("operator"))
    assert visible("nobody") == frozenset()
    own = visible("own", None, ["event:read", "identity:read"])
    assert own >= visible("viewer") | {"gateway.user.created"}
    assert not any(".deadletter." in name for name in own)
    found = subjects(Topology(), ["north"], ["*"], "operator")
    assert not any(subject.endswith(".north.>") or "gateway" in subject or "deadletter" in subject for subject in found)
    assert subjects(Topology(), ["*"], ["*"], "owner") == ["headgate.event.*.>"]
    for sites, types, role in (
        ([], ["*"], "owner"),
        (["north"], ["gateway.*"], "operator"),
        (["north"], ["*"], "none"),
    ):
        assert subjects(Topology(), sites, types, role) == ["headgate.event._.none.none.none"]


@pytest.mark.parametrize(
    ("reply", "good"),
    [
        ("_INBOX_subscriber.7.x", True),
        ("_INBOX_subscriber.7.x.y", True),
        ("_INBOX_subscriber.7", False),
        ("_INBOX_subscriber.70.x", False),
        ("_INBOX_subscriber.x", False),
        ("_INBOX_gateway.x", False),
        ("$JS.API.STREAM.PURGE.EVENTS", False),
        ("", False),
    ],
)
def test_answers_go_home_only(reply: str, good: bool) -> None:
    assert answers_home("subscriber-7", reply) is good
    for user in ("subscriber-07", "subscriber-", "gateway-events", "subscriber-7x"):
        assert not answers_home(user, reply)


def test_a_pull_is_bounded_and_asks_for_nothing_else() -> None:
    assert pull_of(b"") == {"batch": 1, "expires": MAX_EXPIRES_NS}
    assert pull_of(b"7") == {"batch": 7, "expires": MAX_EXPIRES_NS}
    assert pull_of(b'{"batch": 5, "no_wait": true, "expires": 9, "group": "g", "id": "x", "priority": 1}') == {
        "batch": 5, "no_wait": True, "expires": 9,
    }  # fmt: skip
    assert pull_of(b'{"batch": 1000000, "expires": 99999999999999}') == {"batch": MAX_BATCH, "expires": MAX_EXPIRES_NS}
    assert pull_of(b'{"batch": -1, "expires": 5}') == {"batch": 1, "expires": 5}
    for broken in (b"{", b"[]", b'"x"', b"\xff"):
        assert pull_of(broken) is None


def test_an_acknowledgement_is_for_ones_own_event_and_never_pulls() -> None:
    old, new = "$JS.ACK.EVENTS.subscriber-7.1.2.3.4.0", "$JS.ACK._.HASH.EVENTS.subscriber-7.1.2.3.4.0.token"
    for reply in (old, new):
        assert ack_of(reply.encode(), "EVENTS", "subscriber-7") == (old, b"+ACK")
        assert ack_of(f'{reply} -NAK {{"delay": 5}}'.encode(), "EVENTS", "subscriber-7") == (old, b'-NAK {"delay": 5}')
        for word in ("+NXT", '+NXT {"batch": 1}', "+ack", "x", "+ACKx"):
            assert ack_of(f"{reply} {word}".encode(), "EVENTS", "subscriber-7") is None
        assert ack_of(reply.encode(), "EVENTS", "subscriber-8") is None
        assert ack_of(reply.encode(), "COMMANDS", "subscriber-7") is None
    for broken in (b"", b"$JS.ACK", b"$JS.API.STREAM.PURGE.EVENTS", b"$JS.ACK.EVENTS.subscriber-7.>", b"\xff"):
        assert ack_of(broken, "EVENTS", "subscriber-7") is None


def test_keys_are_written_as_nats_writes_them() -> None:
    """Made with the PyPI package nkeys 0.2.1 of the seed's 32 bytes 0, 1, 2 and so on."""
    seed = "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI"
    assert public_key(seed) == "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV"
    for wrong in ("", "SA", seed[:-1], seed[:-1] + "J", seed.replace("SA", "SU", 1), seed.lower(), public_key(seed)):
        with pytest.raises(ValueError, match="not an account seed"):
            public_key(wrong)
    assert account_seed("a secret of a test") == account_seed("a secret of a test") != account_seed("another")


def test_claims_are_read_only_as_they_were_signed() -> None:
    token = sign(SEED, {"sub": "U", "nats": {"type": "user"}}).encode()
    assert read(token)["iss"] == public_key(SEED)
    head, body, signature = token.split(b".")
    other = sign(account_seed("another secret of a test"), {"sub": "U"}).encode().split(b".")
    for broken in (
        b"",
        b"a.b",
        head + b"." + other[1] + b"." + signature,
        head + b"." + body + b"." + other[2],
        b"a.b.c",
    ):
        with pytest.raises(BadClaims):
            read(broken)
    with pytest.raises(ValueError, match="not an account seed"):
        public_key("SAAA")


def test_every_user_of_the_file_is_the_servers_own_business() -> None:
    users = [NatsUser("admin", "a" * 20, (">",)), NatsUser("tracker", "b" * 20)]
    places = {"port": 1, "monitor_port": 2, "store_dir": "/x", "server_name": "x", "users": users, "durable": True}
    made = callout("a secret of a test only")
    text = nats_config(**places, callout=made)  # type: ignore[arg-type]
    assert f'issuer: "{public_key(SEED)}", auth_users: ["admin", "tracker", "gateway-system"]' in text
    assert "auth_callout" not in nats_config(**places)  # type: ignore[arg-type]
    for broken in (Callout("A'; x", made.system), Callout(made.issuer, users[0])):
        with pytest.raises(ValueError, match=r"issuer|same name"):
            nats_config(**places, callout=broken)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bounds", "may"),
    [
        (narrowing(None, None, None), True),
        (narrowing(["event:read"], None, None), True),
        (narrowing(["event:read", "identity:read"], None, ["10.0.0.0/8"]), True),
        (narrowing(["signal:write"], None, None), False),
        (narrowing(["event:read"], ["app"], None), False),
        (narrowing(None, ["*"], None), False),
    ],
)
def test_a_narrow_token_comes_in_where_it_may_hear_all_that_is_to_be_heard(bounds: Narrowing, may: bool) -> None:
    row = {"removed_at": None, "active": True, "sites": ["*"], "owner_sites": ["*"], "types": ["tracker.item.*"]}
    assert may_stay(Wanted({**row, "role": "owner", "own_permissions": None}), ["*"], bounds) is may


def test_a_narrow_token_hears_no_guarded_events_of_its_user() -> None:
    row: dict[str, Any] = {"removed_at": None, "active": True, "sites": ["*"], "owner_sites": ["*"], "types": ["*"]}
    row |= {"role": "owner", "own_permissions": None}
    assert may_stay(Wanted(row), ["*"], narrowing(None, None, None))
    assert not may_stay(Wanted(row), ["*"], narrowing(["event:read"], None, None))
    assert not may_stay(Wanted({**row, "types": ["gateway.*"]}), ["*"], narrowing(["event:read"], None, None))
    operators = Wanted({**row, "role": "operator"})
    assert not may_stay(operators, ["*"], narrowing(["event:read"], None, None))
    assert may_stay(operators, ["*"], narrowing(["event:read", "channel:read"], None, None))
