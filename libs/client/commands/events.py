"""``headgate events tail``: what happens, live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from libs.client.events import Events
from libs.client.session import Session, command
from libs.client.show import clean

events = typer.Typer(no_args_is_help=True, help="Live events.")

START = "0-0"  # no stream was born then: the server goes on with the first event that it still has


@command(events, "tail")
def tail(
    session: Session,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this type; may be given ten times.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Go on after this event's id.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest event that is held.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
) -> None:
    """Show events as they happen, until Ctrl-C; a broken connection is taken up where it ended."""
    stream = Events(session.client, site=session.site, types=types or [], after=START if from_start else since)
    seen = 0
    try:
        for event in stream:
            if event.event == "gap":
                if not from_start or seen:
                    session.note(f"headgate: some events are no longer held: {event.data}")
                continue
            if event.event == "end":
                session.note("headgate: your token or your rights changed; connecting again")
                continue
            _print(session, event.id, event.event, event.data)
            seen += 1
            if count is not None and seen >= count:
                return
    except KeyboardInterrupt:
        return  # the usual end of watching


def _print(session: Session, position: str, name: str, data: str) -> None:
    if session.json:
        session.text(data)
        return
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        event = {}
    line = Text(clean(event.get("time", ""))[:19] + "Z ", style="dim")
    line.append(f"{clean(name):32}", style="bold")
    line.append(f" {clean(event.get('site'))}  {clean(event.get('actor'))}  {_gist(event.get('data'))}")
    line.append(f"  [{clean(position)}]", style="dim")
    session.out.print(line, soft_wrap=True)


def _gist(data: Any) -> str:
    """What is most telling of an event's data, whatever its kind."""
    if not isinstance(data, Mapping):
        return ""
    inner = data.get("item")
    shown: Mapping[str, Any] = inner if isinstance(inner, Mapping) else data
    names = (
        "gate",
        "subject",
        "line",
        "version",
        "kind",
        "part",
        "rule_id",
        "decision",
        "status",
        "username",
        "reason",
    )
    return clean("  ".join(f"{name}={shown[name]}" for name in names if shown.get(name)))[:160]
