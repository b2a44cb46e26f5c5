"""What a command is about, as its contract says it: the same thing as its events, for all that are declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import orjson
import pytest
from pydantic import BaseModel

from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS, find
from libs.common.contracts.base import Command, Event
from libs.common.ids import uuid7
from libs.common.resources import about, kind_of, names_in, resource_id

COMMANDS = [command for contract in CONTRACTS.values() for command in contract.commands]
EVENTS = [event for contract in CONTRACTS.values() for event in contract.events]
# Kinds of which a service tells about a part, or about a whole that holds many.
MORE_IDS = {
    "tracker.autopilot": "a run, and the switch of a site",
    "notifier.delivery": "one, and all of a site that failed",
    "governance.policies": "a gate's policy, and a backtest of it",
    "tracker.escalation": "an item's, and all of a site's",
    "gateway.sign_in": "the document of the rules, and a person who was linked",
    "operations.rehearsal": "what was asked for, and the run of it",
}

SAME = {
    ("gateway.sessions", "{actor}"): "{username}",
    ("gateway.password", "{actor}"): "{username}",
    ("gateway.second_factor", "{actor}"): "{username}",
    ("gateway.subscriber", "{user}"): "subscriber-{subscriber_id}",
}


def message(name: str, asked: Any) -> CloudEvent:
    return CloudEvent(
        id=str(uuid7()), source="/headgate/gateway", type=f"headgate.{name}.v1", site="north", actor="ann", data=asked
    )


def holds(model: Any, way: list[str]) -> bool:
    """Whether a model has this field, on this way."""
    if not way:
        return True
    if isinstance(model, type) and issubclass(model, BaseModel):
        field = model.model_fields.get(way[0])
        return field is not None and holds(field.annotation, way[1:])
    return any(holds(part, way[1:] if way[0].isdigit() else way) for part in get_args(model))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_every_command_says_what_it_is_about(command: Command) -> None:
    said = about(command)
    assert said, "say it with about= in the contract"
    if isinstance(said, str):
        for name in names_in(said):
            known = name in command.body.model_fields or name in ("site", "actor")
            assert known or holds(command.result, name.split(".")), f"neither asked nor answered: {name}"


def ids_of(kind: str) -> Iterator[tuple[str, str]]:
    """Commands, and what names their id; some name the same in two ways."""
    for command in COMMANDS:
        said = about(command)
        if kind_of(command) == kind:
            words = said if isinstance(said, str) else said.__name__
            yield command.name, SAME.get((kind, words), words)


@pytest.mark.parametrize("kind", sorted({kind_of(command) for command in COMMANDS}))
def test_the_commands_of_a_kind_are_about_the_same_kind_of_id(kind: str) -> None:
    found = {said for _, said in ids_of(kind)}
    assert len(found) == 1 or kind in MORE_IDS, dict(ids_of(kind))


@pytest.mark.parametrize("event", EVENTS, ids=lambda one: one.name)
def test_an_event_says_the_id_that_the_commands_of_its_kind_say(event: Event) -> None:
    kind = event.name.rpartition(".")[0]
    names = {said for _, said in ids_of(kind) if said not in ("items", "board_id")}
    told = [{name for name in names_in(said) if name not in ("site", "actor")} for said in names]
    held = [all(any(holds(event.data, way) for way in ways(name)) for name in one) for one in told]
    assert not held or any(held), (names, list(event.data.model_fields))


# How an event calls what a command names so; an approval's event names what was approved by it.
OF_EVENTS = {
    "letter_id": ("message_id",), "items.0.signal_id": ("signal_ids",), "deployment_id": ("run_id",),
    "approval_id": ("evidence_sha256",),
}  # fmt: skip


def ways(name: str) -> Iterator[list[str]]:
    """Where an event may hold what a command names so."""
    yield name.split(".")
    yield [name.rpartition(".")[2]]
    yield from ([name] for name in OF_EVENTS.get(name, ()))
    if name == "item_id":  # an event about a part of an item holds the item, or is about it alone
        yield from (["item", "id"], ["id"], ["link"], ["comment"])


@pytest.mark.parametrize(
    ("name", "asked", "status", "body", "expected"),
    [
        ("governance.override.give", {"gate": "release", "run_id": 7}, 201, {"override_id": 3}, "3"),
        ("governance.override.give", {"gate": "release", "run_id": 7}, 409, {"detail": "no"}, "new:release/7"),
        ("governance.override.confirm", {"override_id": 7}, 404, {}, "7"),
        ("governance.gate.run", {"gate": "release"}, 200, {"run_id": 70}, "70"),
        ("governance.gate.run", {"gate": "release"}, 500, {}, "new:release"),
        ("governance.waiver.request", {"gate": "release"}, 422, {}, "new"),
        ("governance.signal.record", {"signals": []}, 201, {"items": [{"signal_id": 5}]}, "5"),
        ("governance.signal.record", {"signals": []}, 201, {"items": []}, ""),
        ("governance.line.halt", {"reason": "stop"}, 201, {"halt_id": 2}, "2"),
        ("governance.freezes.import", {}, 422, {}, "north"),
        ("tracker.comment.withdraw", {"item_id": 4, "comment_id": 9}, 403, {}, "4"),
        ("tracker.link.remove", {"item_id": 4, "link_id": 9}, 200, {}, "4"),
        ("tracker.board.complete", {"gate": "release", "subject": "app"}, 409, {}, "release/app"),
        ("tracker.board.complete", {"gate": "release", "subject": "app", "line": "2"}, 409, {}, "release/app#2"),
        ("tracker.board.complete", {}, 200, {"readiness": {"line": "2"}}, "operations/site#2"),
        ("tracker.bulk.patch", {"item_ids": [1]}, 422, {}, "items"),
        ("gateway.site.create", {"site": "west", "title": "W"}, 409, {}, "west"),
        ("gateway.account.create", {"name": "ci"}, 409, {}, "account:ci"),
        ("gateway.subscriber.remove", {"subscriber_id": 3}, 404, {}, "subscriber-3"),
        ("gateway.sessions.end_all", {}, 200, {"session_ids": []}, "ann"),
        ("gateway.token.issue", {"label": "ci"}, 201, {"token_id": 12}, "12"),
        ("gateway.token.issue", {"label": "ci"}, 201, [], ""),
        ("audit.archive.make", {}, 200, {"month": "2026-03"}, "2026-03"),
        ("audit.archive.make", {"month": "2026-02"}, 409, {}, "2026-02"),
        ("operations.guide.upload", {"path": "a"}, 201, {"guide": {"path": "a", "version": 2}}, "a:2"),
        ("tracker.item.patch", {"item_id": "x" * 500}, 422, {}, "x" * 300),
        ("tracker.item.patch", [], 422, {}, "new:"),
        ("tracker.thing.unknown", {"thing_id": 4}, 200, {}, ""),
        ("gateway.site.created", {"site": "west"}, 200, {}, ""),
    ],
)
def test_what_a_command_is_about(name: str, asked: Any, status: int, body: Any, expected: str) -> None:
    assert resource_id(message(name, asked), status, orjson.dumps(body)) == expected


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("governance.override.give", {"gate": "release", "run_id": 7}, "new:release/7"),
        ("governance.waiver.request", {}, "new"),
        ("gateway.site.create", {}, "new"),  # not the site that the envelope names
        ("gateway.user.patch", {"username": "bob"}, "bob"),
        ("tracker.board.complete", {}, "new"),  # not the board that nobody asked for
        ("tracker.item.patch", {"item_id": 4}, "4"),
        ("tracker.chains.publish", {}, "north"),
        ("gateway.sessions.end_all", {}, "ann"),
    ],
)
def test_what_was_refused_before_its_body_was_read(name: str, asked: Any, expected: str) -> None:
    assert resource_id(message(name, asked), 403, b'{"detail": "no"}', read=False) == expected


def test_a_command_that_is_about_another_kind_says_one_that_there_is() -> None:
    nouns = {one.name.rpartition(".")[0] for one in (*COMMANDS, *EVENTS)}
    assert {command.kind for command in COMMANDS if command.kind} <= nouns
    assert isinstance(find("governance.gate.decided"), Event)
