"""The demo's look at the console: its address, and at a terminal the time to open it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import NoReturn, Protocol

import httpx2
from rich.console import Console

from deploy.demo.screen import Screen
from deploy.local import LocalStack


class Shown(Protocol):
    """The demo, as far as this step needs it."""

    screen: Screen
    console: Console
    stack: LocalStack

    def fail(self, text: str) -> NoReturn: ...


def show(demo: Shown) -> None:
    """It must answer, unless it could not be built here. A person at a terminal says when to go on."""
    url = f"{demo.stack.gateway_url}/console"
    try:
        answer = httpx2.get(url, trust_env=False)
    except httpx2.HTTPError as error:
        demo.fail(f"The console does not answer: {error!r}")
    if answer.status_code == 503:
        demo.screen.say("The console was not built here, since npm is missing (make assets).")
        return
    if answer.status_code != 200:
        demo.fail(f"The console answers {answer.status_code}")
    demo.screen.done(f"The console: {url}")
    if sys.stdin.isatty() and demo.console.is_terminal:
        demo.screen.say(f"Sign in with this token, which is gone with the demo: {demo.stack.token}")
        with suppress(EOFError):
            demo.console.input("  Press Enter when you have seen enough. ")
