"""The ``headgate`` command-line tool.

Exit codes: 0 GO or done; 1 NO-GO or refused; 2 could not judge, could not reach, or wrong usage.
"""

from __future__ import annotations

import sys

import stamina.instrumentation
import typer

from libs.client.commands import general, verify
from libs.client.groups import Root, add_made
from libs.client.session import Session, fail, guarded

app = typer.Typer(
    name="headgate",
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Release gates with reasons. Exit codes: 0 GO or done, 1 NO-GO or refused, 2 could not judge or reach.",
)
general.add_to(app)
verify.add_to(app)
add_made(app, "")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs the tool and ends the process with its exit code; never shows a traceback."""
    stamina.instrumentation.set_on_retry_hooks([])  # a retry is no news to a person, and stdout is for answers
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the tool to its exit code."""
    session = Session()

    def work() -> int:
        try:
            code = typer.main.get_command(app).main(arguments, prog_name="headgate", standalone_mode=False)
        except typer.Abort:
            fail(session.err, "Stopped.")
            return 2
        except Exception as error:
            fail(session.err, _sentence(error))
            return 2
        return code if isinstance(code, int) else 0

    return guarded(session, work)


def _sentence(error: Exception) -> str:
    """Wrong usage says how to do better; anything else here is a mistake of ours."""
    message = getattr(error, "format_message", None)
    if callable(message):
        text = str(message()).strip()
        context = getattr(error, "ctx", None)
        where = f" Try: {context.command_path} --help" if context is not None else ""
        return f"{text}{'' if text.endswith('.') else '.'}{where}"
    return f"Something went wrong that should not ({type(error).__name__}: {error}); please report it."


if __name__ == "__main__":
    main()
