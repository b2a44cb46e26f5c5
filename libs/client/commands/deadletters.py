"""``headgate dead-letters …``: messages that a service could not apply."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from libs.client.errors import UsageProblem
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import facts, table
from libs.common.contracts import SERVICES
from libs.common.contracts.base import Page
from libs.common.contracts.common import DeadLetter

dead_letters = typer.Typer(no_args_is_help=True, help="Messages that could not be applied.")

ServiceArgument = Annotated[str, typer.Argument(help=", ".join(SERVICES))]
LetterArgument = Annotated[int, typer.Argument(help="The dead letter's number.")]


def _checked(service: str) -> str:
    if service not in SERVICES:
        raise UsageProblem(f"{service!r} is no service; these are: {', '.join(SERVICES)}.")
    return service


@command(dead_letters, "list")
def list_letters(
    session: Session,
    service: Annotated[str | None, typer.Argument(help="A service (else: all).")] = None,
    state: Annotated[str, typer.Option("--state", help="held, waiting, replayed or dropped.")] = "held",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many of each service at the most.")] = 50,
) -> None:
    """List dead letters."""
    answers: dict[str, Any] = {}
    rows: list[tuple[Any, ...]] = []
    for name in (_checked(service),) if service else SERVICES:
        answers[name] = session.client.call(f"{name}.deadletters.list", state=state, limit=limit)
        rows += [
            (name, one.letter_id, one.message_type, one.attempts, one.buried_at, one.reason)
            for one in read_as(Page[DeadLetter], answers[name]).items
        ]
    columns = ("service", "letter", "type", "attempts", "buried at", "reason")
    session.emit(answers, table(columns, rows) if rows else Text(f"No dead letters are {state}."))


@command(dead_letters, "show")
def show_letter(session: Session, service: ServiceArgument, letter_id: LetterArgument) -> None:
    """Show a dead letter with its bytes."""
    answer = session.client.call(f"{_checked(service)}.deadletters.show", letter_id=letter_id)
    session.emit(answer, facts(list(read_as(DeadLetter, answer))))


@command(dead_letters, "replay")
def replay(session: Session, service: ServiceArgument, letter_id: LetterArgument) -> None:
    """Apply a dead letter now, once its cause is mended."""
    answer = session.client.call(f"{_checked(service)}.deadletter.replay", letter_id=letter_id)
    session.emit(answer, Text(f"Dead letter {letter_id} of {service} is applied."))


@command(dead_letters, "drop")
def drop(session: Session, service: ServiceArgument, letter_id: LetterArgument) -> None:
    """Give a dead letter up; its record stays."""
    answer = session.client.call(f"{_checked(service)}.deadletter.drop", letter_id=letter_id)
    session.emit(answer, Text(f"Dead letter {letter_id} of {service} is dropped; its record stays."))
