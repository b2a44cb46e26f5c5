"""What ``headgate audit verify`` wants of witnesses: whose cosignatures, of how many of them, and how new they are."""

from __future__ import annotations

from typing import Annotated

import typer

from libs.client.commands.audit_tree import witness_keys
from libs.client.errors import UsageProblem
from libs.client.moments import seconds_of
from libs.client.show import clean
from libs.tlog.quorum import Quorum

WitnessUrls = Annotated[
    list[str] | None,
    typer.Option("--witness", metavar="URL", help="A witness: the log must go on from what it saw; repeatable."),
]
WitnessKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--witness-key", metavar="KEY", help="The key of a witness that must have cosigned, or its file; repeatable."
    ),
]
WitnessCount = Annotated[
    int | None,
    typer.Option("--witnesses", metavar="N", help="So many of them must have cosigned; else all that have a key here."),
]
WitnessAge = Annotated[
    str | None,
    typer.Option("--witness-max-age", metavar="AGE", help="Their cosignatures are at most so old: 30m, 12h, 7d."),
]


def quorum_of(keys: list[str], count: int | None, max_age: str | None, now_s: float) -> Quorum | None:
    """What the options want; None: nothing. ``now_s``: seconds since 1970. Raises `UsageProblem`."""
    if not keys:
        if count is not None or max_age is not None:
            raise UsageProblem(
                "--witnesses and --witness-max-age are about the witnesses that --witness-key names; give their keys."
            )
        return None
    found = tuple(dict.fromkeys(witness_keys(keys)))
    if not found:
        raise UsageProblem("--witness-key names a file without a key.")
    if len({one.public_key for one in found}) < len(found):
        raise UsageProblem("--witness-key names one public key under two names; a witness counts once.")
    age_s = seconds_of(max_age) if max_age is not None else None
    if max_age is not None and age_s is None:
        raise UsageProblem(f"--witness-max-age {clean(max_age)[:40]} is no age; write 30m, 12h or 7d.")
    named = len({one.name for one in found})
    if count is not None and not 1 <= count <= named:
        raise UsageProblem(f"--witnesses {count}: your keys are of {named}, so that 1 to {named} can be wanted.")
    return Quorum(found, named if count is None else count, age_s, now_s)
