"""Whom a level is for, as channels."""

from __future__ import annotations

from services.notifier.domain.addressees import Addressee, address, channel_name

OWN = {"bob": [1, 2], "mia": [3]}
NAMED = {"ops": 7, "pager": 8}


def test_people_are_told_by_their_own_and_each_channel_once() -> None:
    found = address(
        [
            Addressee("assignee", "bob", ("bob",)),
            Addressee("role", "manager", ("mia", "bob")),
            Addressee("channel", "ops"),
            Addressee("channel", "all"),
        ],
        OWN,
        NAMED,
    )
    assert (found.channel_ids, found.without_channel, found.lacking) == ((1, 2, 3, 7, 8), (), "")


def test_who_has_none_is_named_once() -> None:
    found = address(
        [
            Addressee("user", "eve", ("eve",)),
            Addressee("role", "owner", ("eve", "bob")),
            Addressee("owner_role", "Ops Lead"),
            Addressee("channel", "gone"),
        ],
        OWN,
        NAMED,
    )
    assert found.channel_ids == (1, 2)
    assert found.lacking == "No active channel for: eve, owner role Ops Lead, the channel gone."
    assert address([Addressee("channel", "all")], OWN, {}).without_channel == ("any channel of the site",)


def test_who_has_no_account_may_have_a_channel_of_the_site() -> None:
    named = NAMED | {"ops-lead": 9, "team": 10, "eve": 11}
    told = [
        Addressee("owner_role", "Ops Lead"),
        Addressee("user", "team", ("team",)),
        Addressee("user", "eve", ("eve",)),
    ]
    assert address(told, OWN, named).channel_ids == (9, 10, 11)
    assert address([Addressee("user", "bob", ("bob",))], OWN, NAMED | {"bob": 12}).channel_ids == (1, 2)
    assert (channel_name("Ops  Lead!"), channel_name("운영")) == ("ops-lead", "")
    assert address([Addressee("role", "운영")], OWN, NAMED).without_channel == ("role 운영",)


def test_a_long_list_is_counted() -> None:
    people = tuple(f"p{number}" for number in range(25))
    assert address([Addressee("role", "operator", people)], {}, {}).lacking.endswith("p19 and 5 more.")
