"""What every command of the tool shares: options, the client, output, and how errors end it.

Exit codes: 0 GO or done; 1 NO-GO or refused; 2 could not judge, could not reach, or wrong usage.
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

import orjson
import typer
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from libs.client import passwords
from libs.client.completion import sites
from libs.client.config import resolve
from libs.client.errors import ApiError, ClientError, UsageProblem
from libs.client.http import Client, given
from libs.client.logins import credentials
from libs.client.packing import MEMORY_BYTES, write_output
from libs.client.show import clean
from libs.client.transport import SteppingUp

PIPED_WIDTH = 200  # a file or a pipe has no width; 80 would fold every table

JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
SiteOption = Annotated[
    str | None, typer.Option("--site", help="The site that this is about (else: global).", autocompletion=sites)
]
UrlOption = Annotated[str | None, typer.Option("--url", help="The gateway's address (else: HEADGATE_URL, or login's).")]
SHARED: dict[str, tuple[Any, Any]] = {
    "as_json": (JsonOption, False),
    "site": (SiteOption, None),
    "url": (UrlOption, None),
}


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough where there is none."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console


@dataclass
class Session:
    """One run of the tool."""

    json: bool = False
    site: str | None = None
    url: str | None = None
    out: Console = field(default_factory=make_console)
    err: Console = field(default_factory=lambda: make_console(stderr=True))
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """The client for the chosen gateway; raises `UsageProblem` when nobody logged in there."""
        if self._client is None:
            target = resolve(self.url, os.environ)
            token = credentials(target)
            if token is None:
                raise UsageProblem(
                    f"No token is kept for {target.url}; run headgate login --url {target.url}, or set HEADGATE_TOKEN."
                )
            self._client = Client(target.url, token)
            if not isinstance(token, str):  # a token shows no code
                self._client.http.auth = SteppingUp(self._client.base_url, token, passwords.typed_fresh_code)
        return self._client

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    @property
    def sited(self) -> dict[str, str]:
        """The field ``site`` for operations that concern a site, if one was chosen."""
        return given(site=self.site)

    def emit(self, answer: Any, *shown: RenderableType) -> None:
        """Print the answer: as JSON if asked for, else as it looks best for people."""
        if self.json:
            self.text(orjson.dumps(answer, default=str, option=orjson.OPT_INDENT_2).decode())
            return
        for part in shown:
            self.out.print(part)

    def text(self, text: str) -> None:
        """Print text exactly as it is, without folding."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()

    def save(
        self, operation: str, output: str, check: Callable[[Mapping[str, str]], None] | None = None, /, **fields: Any
    ) -> None:
        """Write the file that is an operation's answer to ``output`` (``-``: stdout) once all of it is there.

        ``check`` looks at the answer's headers before; what it raises leaves nothing written.
        """
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
            headers = self.client.download(operation, file, **fields)
            if check is not None:
                check(headers)
            size = file.tell()
            write_output(file, output)
        if output != "-":
            name = headers.get("content-disposition", "").partition('filename="')[2].rstrip('"') or "file"
            self.emit({"file": output, "name": name, "bytes": size}, f"{output}: {size} bytes ({clean(name)})")

    def note(self, text: str) -> None:
        """Tell something beside the answer, on stderr."""
        self.err.print(text, soft_wrap=True)

    @contextmanager
    def progress(self, what: str, total: int | None, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
        """A bar on stderr (only on a terminal); the function that is given sets how much is done."""
        count = DownloadColumn() if in_bytes else MofNCompleteColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), count, TimeElapsedColumn())
        with Progress(*columns, console=self.err, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    @contextmanager
    def stages(self, names: Mapping[str, str]) -> Iterator[Callable[[str, int, int], None]]:
        """A bar for each stage of a long work, in per cent; the function that is given takes stage, done and total."""
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.err, transient=True, disable=not sys.stderr.isatty()) as bar:
            tasks: dict[str, TaskID] = {}

            def told(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(names.get(stage, stage), total=total)
                bar.update(tasks[stage], completed=done, total=total)

            yield told


Function = Callable[..., int | None]


def command(app: typer.Typer, name: str, *, judges: bool = False) -> Callable[[Function], Function]:
    """Add a function to ``app``: its first parameter is the `Session`, its result the exit code (None: 0).

    The shared options are added to its own. ``judges``: 1 means NO-GO here, so that every error must end with 2.
    """

    def add(function: Function) -> Function:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        ]
        register(app, name, function, own, function.__doc__ or "", judges=judges)
        return function

    return add


def register(
    app: typer.Typer, name: str, function: Function, own: Sequence[inspect.Parameter], text: str, *, judges: bool
) -> None:
    """The same for a function whose parameters beside the session are given as ``own``, and whose help is ``text``."""

    def run(**arguments: Any) -> None:
        json, site, url = (arguments.pop(option) for option in SHARED)
        session = Session(json=json, site=site, url=url)
        code = guarded(session, lambda: function(session, **arguments), judges=judges)
        if code:
            raise typer.Exit(code)

    shared = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for option, (annotation, default) in SHARED.items()
    ]
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    run.__doc__ = text
    app.command(name)(run)


def guarded(session: Session, work: Callable[[], int | None], *, judges: bool = False) -> int:
    """Run a command to its exit code; every expected failure becomes one sentence on stderr."""
    try:
        return work() or 0
    except ApiError as error:
        fail(session.err, str(error))
        return 1 if error.refused and not judges else 2
    except ClientError as error:
        fail(session.err, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        fail(session.err, "Stopped.")
        return 2
    except BrokenPipeError:
        # The reader of our output went away (`| head`). Python would complain once more at exit when it flushes.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        session.close()


def fail(console: Console, sentence: str) -> None:
    """Print an error."""
    console.print(f"headgate: {clean(sentence)}", style="red", soft_wrap=True)
