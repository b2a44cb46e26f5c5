"""Makes a command of an operation: parameters from its model, the request by its route, the view by its result."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any

import orjson
import typer

from libs.client import completion, waiting
from libs.client.errors import ApiError, UsageProblem
from libs.client.files import read_input
from libs.client.generated.faces import FACES, Face
from libs.client.generated.fields import Field, fields_of, parameter
from libs.client.generated.places import places
from libs.client.requests import model_of
from libs.client.session import Session, register
from libs.client.show import clean
from libs.client.targets import target_fields
from libs.client.views import view_of
from libs.common.contracts.base import Command, Http, Operation, Query

PREFIX = "field_"  # own parameters never meet those that all commands share
RESERVED = frozenset(
    {"--json", "--site", "--url", "--file", "--all", "--csv", "--idempotency-key", "--help", "--output"}
)


class Made:
    """One operation's command."""

    def __init__(self, operation: Operation, http: Http, face: Face | None = None) -> None:
        self.operation, self.http = operation, http
        self.face = face or FACES.get(operation.name) or Face(places()[operation.name])
        offered = [one for one in fields_of(model_of(operation, http)) if one.name not in self.face.hidden]
        self.fields = {one.name: one for one in offered}

    def add_to(self, app: typer.Typer) -> None:
        """Register the command under the last word of its path."""
        name = self.face.path.rpartition(" ")[2]
        text = self.face.help or f"{self.operation.summary.rstrip('.')}."
        register(app, name, self._run, list(self._parameters()), text, judges=self.face.judges)

    # --- what may be given ------------------------------------------------------------------------------------------

    @property
    def _positional(self) -> tuple[str, ...]:
        return tuple(
            name for name in (*self.http.path_fields, *self.face.arguments)
            if name not in self.face.flags and name in self.fields
        )  # fmt: skip

    @property
    def _takes_file(self) -> bool:
        """Whether there is a body that one would rather write in a file than as options."""
        return isinstance(self.operation, Command) and any(one.is_json for one in self.fields.values())

    @property
    def _paged(self) -> bool:
        return isinstance(self.operation, Query) and "cursor" in self.fields

    def _parameters(self) -> Iterator[inspect.Parameter]:
        positional = self._positional
        for name in positional:
            yield self._parameter(self.fields[name], positional=True)
        if self.face.target:
            info = typer.Argument(
                metavar="[SUBJECT@VERSION]",
                help="What is judged; split at the last @.",
                autocompletion=completion.targets,
            )
            yield _keyword("target", Annotated[str | None, info], None)
        for name, one in self.fields.items():
            if name not in positional:
                yield self._parameter(one, positional=False)
        if self._takes_file:
            text = "A JSON object with the fields; - is stdin. Options go before it."
            yield _keyword("file", Annotated[str | None, typer.Option("--file", help=text)], None)
        if self.face.waits:
            yield _keyword("wait", Annotated[str | None, typer.Option("--wait", help=waiting.HELP)], None)
        if isinstance(self.operation, Command):
            text = "The same key applies it once."
            yield _keyword("idempotency_key", Annotated[str | None, typer.Option("--idempotency-key", help=text)], None)
        if self._paged:
            text = "All pages, not only the first."
            yield _keyword("every_page", Annotated[bool, typer.Option("--all", help=text)], False)
        if self.http.csv is not None:
            yield _keyword("csv", Annotated[bool, typer.Option("--csv", help="Print CSV.")], False)
        if self.http.file is not None:
            text = "The file to write; without it the answer goes to standard output."
            yield _keyword("output", Annotated[str, typer.Option("--output", "-o", help=text)], "-")

    def _parameter(self, one: Field, *, positional: bool) -> inspect.Parameter:
        default = self.face.defaults.get(one.name, one.default)
        needed = one.required and default is None and one.name not in self.face.copies
        text = self.face.helps.get(one.name, "")
        made = parameter(
            one, flag=self._flag(one), positional=positional, help_text=text, default=default,
            needed=needed and (positional or not self._takes_file),
            hint=" Needed." if needed and self._takes_file and not positional else "",
        )  # fmt: skip
        return made.replace(name=PREFIX + one.name)

    def _flag(self, one: Field) -> str:
        """The option's spelling; a boolean has its opposite with it."""
        if one.name in self.face.flags:
            return self.face.flags[one.name]
        if one.flag in RESERVED:
            return f"--{self.operation.name.split('.')[1].replace('_', '-')}-{one.flag[2:]}"
        return f"{one.flag}/--no-{one.flag[2:]}" if one.type is bool else one.flag

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments, as a usage line has them."""
        return (*(name.upper() for name in self._positional), *(("[SUBJECT@VERSION]",) if self.face.target else ()))

    @property
    def options(self) -> tuple[str, ...]:
        """The options that are not those of all commands."""
        own = [self._flag(one) for name, one in self.fields.items() if name not in self._positional]
        more = (("--file", self._takes_file), ("--all", self._paged), ("--csv", self.http.csv is not None))
        return (*own, *(flag for flag, there in more if there))

    # --- what is done -----------------------------------------------------------------------------------------------

    def _run(self, session: Session, **arguments: Any) -> int | None:
        csv, every = arguments.pop("csv", False), arguments.pop("every_page", False)
        key, file = arguments.pop("idempotency_key", None), arguments.pop("file", None)
        output, wait = arguments.pop("output", "-"), arguments.pop("wait", None)
        wait_s = waiting.span(wait) if wait is not None else None
        fields = self._given(arguments, _document(file, self.operation.name) if file else {})
        target = {name: fields.pop(name, None) for name in ("subject", "version")} if self.face.target else {}
        if self.face.target:
            fields |= target_fields(arguments.get("target"), target["subject"], target["version"])
        self._check(fields)
        if session.site is not None:
            if self.operation.sited or self.face.site_field != "site" or "site" in self.face.hidden:
                fields[self.face.site_field] = session.site
            else:
                session.note("headgate: this concerns the whole installation, so --site says nothing here.")
        if self.http.file is not None:
            session.save(self.operation.name, output, **fields)
            return None
        if csv:
            session.text(session.client.csv(self.operation.name, **fields))
            return None
        answer = self._answer(session, fields, key, every)
        if wait_s is not None:
            again = partial(self._answer, session, fields, None, False)
            answer = waiting.wait_for_go(session, answer, fields, wait_s, again)
        code = view_of(self.operation)(session, answer, fields)
        if self._paged and not every and not session.json and (cursor := self._following(answer, fields)):
            session.note(f"headgate: there are more; add --all, or --cursor {clean(cursor)}")
        return code

    def _given(self, arguments: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
        """The fields to send: from the file, and over them what was given (or is a default that the file lacks)."""
        fields = dict(document)
        for name, one in self.fields.items():
            value = arguments.get(PREFIX + name)
            if value is None or value == [] or (name in fields and value == one.default):
                continue
            fields[name] = [one.sent(item) for item in value] if isinstance(value, list) else one.sent(value)
        for name, other in self.face.copies.items():
            if name not in fields and other in fields:
                fields[name] = fields[other]
        return fields

    def _check(self, fields: Mapping[str, Any]) -> None:
        if self.face.needs and not set(fields) - set(self._positional):
            raise UsageProblem(self.face.needs)
        missing = [one for one in self.fields.values() if one.required and one.name not in fields]
        if missing:
            words = ", ".join(self.face.flags.get(one.name, one.flag) for one in missing)
            also = ", or as a field of --file" if self._takes_file else ""
            raise UsageProblem(f"{self.face.path} needs {words}; give it{also}.")

    def _following(self, answer: Any, fields: Mapping[str, Any]) -> str | None:
        if isinstance(answer, list):
            return self.http.following(answer, fields.get("limit"))
        return answer.get("next_cursor") if isinstance(answer, dict) else None

    def _answer(self, session: Session, fields: dict[str, Any], key: str | None, every: bool) -> Any:
        name = self.operation.name
        if every:
            with session.progress("Reading", None) as done:
                items: list[Any] = []
                for page in session.client.pages(name, **fields):
                    items += page
                    done(len(items))
            return items if self.http.after is not None else {"items": items, "next_cursor": None}
        try:
            return session.client.call(name, idempotency_key=key, **fields)
        except ApiError as error:
            for blocker in error.problem.get("blockers", []):
                session.note(f"  {clean(blocker)}")
            raise


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _document(file: str, name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(read_input(file))
    except orjson.JSONDecodeError as error:
        raise UsageProblem(f"{file} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise UsageProblem(f"{file} must hold one JSON object, the fields of {name}.")
    return value
