"""Commands made from the contracts: each operation has one, and what it sends is what the operation takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from pydantic import Field as ModelField
from typer.testing import CliRunner

from libs.client import reference
from libs.client.cli import app
from libs.client.generated import fields
from libs.client.generated.build import Made
from libs.client.generated.faces import FACES, Face, by_hand
from libs.client.generated.places import groups, places, with_routes
from libs.client.requests import model_of
from libs.common import contracts
from libs.common.contracts.base import GET, POST, Command, Model, Open, Operation, Page, Query, Time
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import Asked, FakeGateway, Says, refusal

ROOT = typer.main.get_command(app)
MADE = [operation for operation in with_routes() if by_hand(operation) is None]
# What a person could type for a field: text for those that only look like text to the schema.
TYPED = {
    "types": "*", "permission": "gate:run", "permissions": "signal:write", "cidrs": "10.0.0.0/8",
    "artifact_digest": "sha256:" + "7" * 64,
    "command_id": "0" * 8, "content": "{}", "after": "2026-03-01T09:00:00Z", "before": "2026-03-02T09:00:00Z",
    "item_ids": "[1]", "patch": "{}", "patches": "[]", "policy": '{"shadow": true}', "plan_hash": "0" * 64,
    "digest": "0" * 64, "expected_digest": "0" * 64, "trace_id": "0" * 32, "resource_type": "tracker.item",
    "subjects": "{}", "webhook_id": "0" * 32, "priorities": "[1]", "event_types": "*", "endpoint": "https://a.example",
    "address": "https://a.example", "zone": "UTC", "quiet_hours": "[]", "urgent_priorities": "[1]",
    "month": "2026-03", "checks": "[]", "backup_id": "20260501T120000Z-abcdef", "audit_hash": "0" * 64,
    "urgent_event_types": "*", "signing_secret": "whsec_" + "A" * 43 + "=",
    "reason": "a reason that has many words, so that it suits an emergency, too", "claims": "{}",
}  # fmt: skip
# What goes with what: of these operations a person types other values.
TYPED_FOR = {
    "audit.checkpoints.list": {"cursor": "0.300"},
    "gateway.team.create": {"roles": "[]"},
    "gateway.team.patch": {"roles": '[{"role": "viewer", "sites": ["*"]}]'},
    "notifier.templates.preview": {"template": '{"name": "night", "body": "b"}', "event": "{}"},
    "notifier.subscription.create": {"endpoint": ""},
    "operations.rehearsal.report": {"restore_valid": "no"},  # as there are problems
    "operations.backup_report.send": {"good": "no", "removed": "20260501T120000Z-abcdef"},
    "notifier.subscription.change": {"endpoint": ""},
}
UUID = "01a1fbbb-89e7-78b2-af93-eb949575d519"


def every_path(group: Any = ROOT, before: str = "") -> Iterator[str]:
    """Every command of the tool, as it is typed."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if hasattr(found, "list_commands"):
            yield from every_path(found, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_every_operation_with_a_route_has_one_command() -> None:
    paths, placed = list(every_path()), places()
    assert set(placed) == {operation.name for operation in with_routes()}
    assert set(placed.values()) <= set(paths), set(placed.values()) - set(paths)
    assert len(paths) == len(set(paths))
    made = [placed[operation.name] for operation in MADE]
    assert len(made) == len(set(made)), "two operations share a command"
    assert sum(len(operations) for operations in groups().values()) == len(MADE)
    assert set(FACES) <= set(placed), "a face of an operation that is gone"


def test_the_list_of_commands_is_what_make_docs_writes() -> None:
    committed = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
    assert committed.read_text(encoding="utf-8") == reference.page(), "run `make docs` and commit"


def test_every_option_says_what_it_is() -> None:
    silent = []
    for operation in MADE:
        assert operation.http is not None
        made = Made(operation, operation.http)
        silent += [
            f"{operation.name}: {name}"
            for name, one in made.fields.items()
            if not (one.schema.get("description") or made.face.helps.get(name))
        ]
    assert silent == [], "say it with description= in the contract"


def typed(one: fields.Field) -> str:
    """A value that a person could type."""
    if one.choices:
        return one.choices[-1]
    if one.name in TYPED:
        return TYPED[one.name]
    if one.schema.get("format") == "uuid":
        return UUID
    if one.is_time:
        return "2026-03-01T09:00:00Z"
    if one.schema.get("format") == "date":
        return "2026-03-01"
    if one.schema.get("format") == "uri":
        return "https://a.example"
    return {"integer": str(one.schema.get("minimum", 7)), "number": "1.5"}.get(str(one.schema.get("type")), "7")


@pytest.mark.parametrize("operation", MADE, ids=lambda one: one.name)
def test_what_a_command_sends_is_what_its_operation_takes(
    gateway: FakeGateway, tool: Tool, monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    assert operation.http is not None
    made = Made(operation, operation.http)
    given: dict[str, Any] = {}
    arguments: list[str] = []
    for name, one in made.fields.items():
        value = TYPED_FOR.get(operation.name, {}).get(name, typed(one))
        given[name] = value
        if name in made._positional:
            continue
        flag = made.face.flags.get(name, one.flag).split("/")[0]
        if one.type is bool:
            arguments.append(flag if value != "no" else f"--no-{flag.removeprefix('--')}")
        else:
            arguments += [flag, value]
    positional = [given[name] for name in made._positional]

    def answer(asked: Asked) -> Says:
        gateway.asked.append(asked)
        return refusal(418, "seen")

    monkeypatch.setattr(gateway, "answer", answer)
    result = tool(*made.face.path.split(" "), *positional, *arguments)
    assert result.stderr == "headgate: seen\n", result.output
    asked = gateway.asked[-1]
    pattern = re.sub(r"{([a-z_]+)}", r"(?P<\1>[^/]+)", operation.http.path)
    matched = re.fullmatch(pattern, asked.path)
    assert asked.method == operation.http.method
    assert matched, asked.path
    body = asked.json if asked.body else {}
    sent = {**matched.groupdict(), **{name: values[0] for name, values in asked.query.items()}, **body}
    sent.pop("site", None) if operation.sited else None
    assert set(sent) == set(given), "a field was lost or invented"
    model_of(operation, operation.http).model_validate(sent)


class Inner(Model):
    """A nested thing."""

    host: str
    port: int


class Wish(Model):
    """All kinds of fields."""

    name: str
    url: str = ModelField("", description="Where it is.")
    kind: Literal["mail", "chat"] = "mail"
    ratio: float | None = ModelField(None, ge=0, le=1)
    tags: list[str] = ModelField([])
    loud: bool = True
    inner: Inner
    rules: list[Inner] = ModelField([])
    anything: Any = None


class Row(Open):
    """A row of a list."""

    number: int
    kind: Literal["mail", "chat"]
    at: Time
    tags: list[str]
    inner: Inner
    detail: dict[str, Any]


class Rows(Model):
    """A filter of a list."""

    cursor: str | None = None
    limit: int = ModelField(2, ge=1, le=9)


create = Command("notifier.channel.create", body=Wish, result=Row, http=POST("/api/channels/{name}"), permission="x")
listed = Query("notifier.channels.list", params=Rows, result=Page[Row], http=GET("/api/channels"), permission="x")
ROW = {"number": 1, "kind": "chat", "at": "2026-03-01T09:00:00Z", "tags": ["a", "b"],
       "inner": {"host": "h", "port": 1}, "detail": {"k": [1]}}  # fmt: skip


@pytest.fixture
def channel(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """The commands of a service that is not there yet."""
    monkeypatch.setattr(contracts, "find", {create.name: create, listed.name: listed}.get)
    made = typer.Typer()
    Made(create, create.http, Face("channels create")).add_to(made)  # type: ignore[arg-type]
    Made(listed, listed.http, Face("channels list")).add_to(made)  # type: ignore[arg-type]
    return lambda *arguments, stdin=None: CliRunner().invoke(made, list(arguments), input=stdin)


def test_a_new_capability_needs_no_code_here(gateway: FakeGateway, channel: Tool) -> None:
    gateway.on("POST /api/channels/a%2Fb", Says(ROW, 201))
    result = channel(
        "create", "a/b", "--channel-url", "http://x", "--kind", "chat", "--ratio", "0.5", "--tags", "a", "--tags", "b",
        "--no-loud", "--inner", '{"host":"h","port":1}', "--rules", "[]", "--anything", "null",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert gateway.asked[0].json == {
        "url": "http://x", "kind": "chat", "ratio": 0.5, "tags": ["a", "b"], "loud": False,
        "inner": {"host": "h", "port": 1}, "rules": [], "anything": None,
    }  # fmt: skip
    for text in ("number      1", "kind        chat", "tags        a, b", "inner.port  1", '{"k":[1]}'):
        assert text in result.stdout


def test_fields_come_from_a_file_and_options_go_before_it(gateway: FakeGateway, channel: Tool) -> None:
    gateway.on("POST /api/channels/a", Says(ROW, 201))
    document = {"kind": "chat", "inner": {"host": "h", "port": 1}, "loud": False, "url": "http://file"}
    result = channel("create", "a", "--file", "-", "--channel-url", "http://option", stdin=json.dumps(document))
    assert result.exit_code == 0, result.output
    assert gateway.asked[0].json == document | {"url": "http://option"}
    for wrong, words in (("[1]", "one JSON object"), ("{", "is not JSON"), ('{"surprise": 1}', "no field surprise")):
        refused = channel("create", "a", "--inner", "{}", "--file", "-", stdin=wrong)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert words in refused.stderr
    assert len(gateway.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--inner"),
        (("--inner", "{"), "inner: '{' is not JSON"),
        (("--inner", "{}", "--kind", "fax"), "'fax' is not one of 'mail', 'chat'"),
        (("--inner", "{}", "--ratio", "2"), "--ratio"),
        (("--inner", "{}", "--ratio", "x"), "--ratio"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_sent(
    gateway: FakeGateway, channel: Tool, arguments: tuple[str, ...], words: str
) -> None:
    result = channel("create", "a", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert gateway.asked == []


def test_pages_are_followed_when_asked_for(gateway: FakeGateway, channel: Tool) -> None:
    first, last = Says({"items": [ROW], "next_cursor": "c1"}), Says({"items": [ROW | {"number": 2}]})
    gateway.on("GET /api/channels", first, first, last)
    one = channel("list")
    assert one.stdout.splitlines()[0].split() == ["number", "kind", "at", "tags"]
    assert one.stderr == "headgate: there are more; add --all, or --cursor c1\n"
    result = channel("list", "--all", "--json")
    assert [row["number"] for row in json.loads(result.stdout)["items"]] == [1, 2]
    assert [asked.query for asked in gateway.asked] == [
        {"limit": ["2"]}, {"limit": ["2"]}, {"limit": ["2"], "cursor": ["c1"]},
    ]  # fmt: skip


def test_a_bare_list_says_that_there_may_be_more(gateway: FakeGateway, tool: Tool) -> None:
    row = {"role": "viewer", "sites": ["*"], "display_name": "", "active": True, "created_at": "2026-01-01T00:00:00Z"}
    first, last = Says([row | {"username": "ann"}, row | {"username": "bob"}]), Says([row | {"username": "cem"}])
    gateway.on("GET /api/users", first, first, last)
    said = "headgate: there are more; add --all, or --cursor bob\n"
    assert tool("users", "list", "--limit", "2").stderr == said
    result = tool("users", "list", "--limit", "2", "--all", "--json")
    assert [user["username"] for user in json.loads(result.stdout)] == ["ann", "bob", "cem"]
    gateway.on("GET /api/users", last)
    assert tool("users", "list").stderr == ""


def test_singular_and_plural_find_the_same_group(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("GET /api/gates", Says([]))
    assert tool("gates", "list").exit_code == 0
    gateway.on("GET /api/users", Says([]))
    assert tool("user", "list").exit_code == 0
    assert tool("nothings", "list").exit_code == 2


def test_a_site_of_an_operation_without_one_is_said_to_say_nothing(gateway: FakeGateway, tool: Tool) -> None:
    gateway.on("GET /api/users", Says([]))
    result = tool("users", "list", "--site", "plant-1")
    assert result.exit_code == 0
    assert "--site says nothing here" in result.stderr
    assert gateway.asked[0].query == {}
