"""``headgate verify``: a decision's capsule is judged again here, with nothing but a public key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from libs.client.errors import UsageProblem
from libs.client.files import read_input
from libs.client.session import Session, command
from libs.client.show import STYLES, clean, counted

if TYPE_CHECKING:
    from libs.judge.dsse import PublicKey

FileArgument = Annotated[str, typer.Argument(metavar="CAPSULE", help="The capsule's file; - is stdin.")]
KeyOption = Annotated[
    list[str], typer.Option("--key", metavar="FILE", help="A public key that you trust (PEM); may be given again.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tool."""
    command(app, "verify", judges=True)(verify_capsule)


def verify_capsule(session: Session, capsule: FileArgument, key: KeyOption) -> int:
    """Verify a decision without asking anybody: signature, contents, and the verdict judged anew.

    Exit code 0: it is proven, 1: it is not (each difference is said), 2: the files can't be read.
    """
    # The judge's engine takes a moment to load, which no other command should wait for.
    from libs.judge.capsule import MAX_CAPSULE_BYTES, check
    from libs.judge.dsse import public_keys

    keys = public_keys(*(_read_key(name) for name in key))
    content = read_input(capsule, MAX_CAPSULE_BYTES)
    problems, body = check(content, keys)
    answer = {"proven": not problems, "problems": problems, "about": body.get("about"), "decided_at": body.get("clock")}
    session.emit(answer, *(_refused(problems) if problems else _proven(body)))
    return 1 if problems else 0


def _read_key(name: str) -> PublicKey:
    from libs.judge.dsse import KeyProblem, PublicKey

    try:
        return PublicKey.read(Path(name).read_bytes())
    except OSError as error:
        raise UsageProblem(f"{name} can't be read: {error.strerror}.") from error
    except KeyProblem as error:
        raise UsageProblem(f"{name}: {error}.") from error


def _refused(problems: list[str]) -> list[Text]:
    lines = [Text("NOT PROVEN: this capsule does not hold.", style="red")]
    return lines + [Text(f"- {clean(problem)}") for problem in problems]


def _proven(body: Mapping[str, Any]) -> list[Text]:
    about, verdict = body["about"], body["verdict"]
    style = STYLES[verdict["decision"]]
    what = f"{about['gate']} gate, {about['subject']} {about['version']}".strip()
    fact_count = sum(len(held) for held in body["facts"].values() if isinstance(held, list))
    counts = f"{counted(len(verdict['rules']), 'rule')} over {counted(fact_count, 'fact')}"
    when = f"decided at {body['clock']} by Headgate {clean(about['headgate'])}"
    return [
        Text.assemble("PROVEN: ", (verdict["verdict"].replace("_", " "), style), f"  {clean(what)}"),
        Text(f"run {about['run_id']} of site {clean(about['site'])}, {when}"),
        Text(f"The signature holds, and judging {counts} again gives the same verdict, byte for byte."),
        *(Text(f"- {clean(reason)}") for reason in verdict["reasons"]),
    ]
