"""Which keys may go is said of all services together."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.keys import KeysOf, KeyUse
from services.gateway.keys import summed


def of(service: str, *known: str, **uses: int) -> KeysOf:
    return KeysOf(
        service=service, known=list(known), uses=[KeyUse(key_id=key, secret_count=count) for key, count in uses.items()]
    )


def shown(*told: KeysOf) -> tuple[bool, int, dict[str, tuple[Any, ...]]]:
    found = summed(list(told))
    views = {one.key_id: (one.in_use, one.secret_count, one.removable, one.missing_in) for one in found.keys}
    assert [one.in_use for one in found.keys] == sorted((one.in_use for one in found.keys), reverse=True)
    return found.agreed, found.waiting_count, views


def test_an_old_key_may_go_when_nothing_needs_it_anywhere() -> None:
    assert shown(of("gateway", "new", "old"), of("notifier", "new", "old", new=3)) == (
        True, 0, {"new": (True, 3, False, []), "old": (False, 0, True, [])},
    )  # fmt: skip
    assert shown(of("gateway", "new", "old"), of("notifier", "new", "old", new=3, old=1)) == (
        True, 1, {"new": (True, 3, False, []), "old": (False, 1, False, [])},
    )  # fmt: skip


def test_nothing_may_go_while_the_services_do_not_agree() -> None:
    agreed, _, views = shown(of("gateway", "new", "old"), of("notifier", "old", old=1))
    assert (agreed, views["new"][2], views["old"][2]) == (False, False, False)
    assert shown(of("gateway", "new", "old"), of("notifier"))[0] is False


def test_a_key_that_is_needed_and_not_there_is_named() -> None:
    _, waiting, views = shown(of("gateway", "new"), of("notifier", "new", gone=2))
    assert (waiting, views["gone"]) == (2, (False, 2, False, ["notifier"]))
