"""Addresses of NATS: one server or several, with one login for all."""

from libs.common.bus import login_of, servers_of


def test_an_address_may_name_several_servers() -> None:
    url = "nats://audit:se%40cret@one:4222,two:4223, three"
    assert servers_of(url) == [
        "nats://audit:se%40cret@one:4222",
        "nats://audit:se%40cret@two:4223",
        "nats://audit:se%40cret@three",
    ]
    assert login_of(url) == {"user": "audit", "password": "se@cret"}


def test_one_server_without_a_login() -> None:
    assert servers_of("nats://127.0.0.1:4222") == ["nats://127.0.0.1:4222"]
    assert login_of("nats://127.0.0.1:4222") == {}
