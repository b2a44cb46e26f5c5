"""Keys of the vault over all services: which is in use, which are still needed, which may be removed."""

from __future__ import annotations

from libs.common.contracts.base import GET, Model, Open, Query


class KeysAsked(Model):
    """Filled in by the edge: the keys that the gateway has, the one in use first."""

    known: list[str]


class KeyView(Open):
    """``secret_count``: stored secrets that only this key opens. ``missing_in``: services that need it and lack it.

    ``removable``: no service uses it, and no stored secret needs it. Backups of before still do.
    """

    key_id: str
    in_use: bool
    known_to: list[str]
    missing_in: list[str]
    secret_count: int
    removable: bool


class Keys(Open):
    """``agreed``: all services encrypt with the same key. ``waiting_count``: secrets to be encrypted anew by it."""

    agreed: bool
    waiting_count: int
    keys: list[KeyView]


get_keys = Query(
    "gateway.keys.get",
    params=KeysAsked,
    result=Keys,
    permission="operations:read",
    http=GET("/api/keys", seal="keys"),
    summary="Which keys encrypt stored secrets, how many secrets need each, and which may be removed",
    sited=False,
)
