"""Addresses of gateways, as people and settings write them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from libs.client.errors import UsageProblem


def checked_url(url: str) -> str:
    """The address without a trailing slash; raises `UsageProblem` when it is none."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username or parts.query or parts.fragment:
        raise UsageProblem(f"{url!r} is no address of a gateway; it reads like http://127.0.0.1:8080.")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the address is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
