"""Keys of the vault: which a service knows, and how many of its secrets each has encrypted."""

from __future__ import annotations

from libs.common.contracts.base import Open


class KeyUse(Open):
    """``key_id`` tells nothing of the key. ``secret_count``: stored secrets that it has encrypted."""

    key_id: str
    secret_count: int


class KeysOf(Open):
    """``known``: the keys that the service has, the one in use first. ``uses``: those that its secrets need."""

    service: str
    known: list[str]
    uses: list[KeyUse]


class Rewrapped(Open):
    """``rewrapped_count``: secrets that the key in use has encrypted anew. ``left_count``: those that wait.

    ``unreadable_count``: those whose key is not at hand, or that were altered; nothing was done to them.
    """

    key_id: str
    rewrapped_count: int
    left_count: int
    unreadable_count: int
