"""Logins that renew themselves: ``~/.config/headgate/logins.json`` (0600) holds a token of minutes for each address.

Beside it is what renews it.

What the next secret is to be is kept before it is asked for. So whenever this program is killed, the same request once
more goes on from there; see docs/decisions/0045. Programs of one person take turns by a lock on a file beside it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from libs.client.config import Target, config_path, write_private
from libs.client.errors import ApiError, UsageProblem
from libs.client.http import Client
from libs.common.contracts.gateway.logins import LoginView
from libs.judge.token_text import ALPHABET, BODY_LENGTH, REFRESH, has_form, with_checksum

EARLY = timedelta(seconds=30)  # a request takes its time, and clocks differ


@dataclass(frozen=True, slots=True)
class Login:
    """``until``: how long ``access`` works. ``following``: the next ``refresh``, once that was asked for."""

    access: str = field(repr=False)
    until: datetime
    refresh: str = field(repr=False)
    following: str | None = field(default=None, repr=False)


def logins_path(config: Path) -> Path:
    """The file, beside that of the profile."""
    return config.with_name("logins.json")


def load(path: Path) -> dict[str, Login]:
    """The logins by address. Raises `UsageProblem` for a file that can't be read."""
    try:
        found = orjson.loads(path.read_bytes())
        return {url: _login(one) for url, one in found.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageProblem(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UsageProblem(f"{path} has another shape than expected; delete it and log in again.") from None


def _login(one: dict[str, Any]) -> Login:
    return Login(one["access"], datetime.fromisoformat(one["until"]), one["refresh"], one.get("following"))


def keep(path: Path, url: str, login: Login | None) -> None:
    """Write the login of this address, or remove it. Raises `UsageProblem`."""
    kept = {address: one for address, one in load(path).items() if address != url}
    if login is not None:
        kept[url] = login
    whole = {
        address: {"access": one.access, "until": one.until, "refresh": one.refresh, "following": one.following}
        for address, one in sorted(kept.items())
    }
    write_private(path, orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode() + "\n")


@contextmanager
def taking_turns(path: Path) -> Iterator[None]:
    """Until the end of this, no other program of this user renews a login. Raises `UsageProblem`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path.with_name("logins.lock").open("a")
    except OSError as error:
        raise UsageProblem(f"{path} can't be written: {error.strerror}.") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def taken_over(view: LoginView, refresh: str) -> Login:
    """What is kept of an answer. Raises `UsageProblem` where its secrets were not shown."""
    if view.access_token is None:
        raise UsageProblem(f"The login's token was not shown: {view.note}")
    return Login(view.access_token, view.access_until, refresh)


def make_refresh() -> str:
    """A secret for the next renewal: 256 random bits."""
    return with_checksum("".join(secrets.choice(ALPHABET) for _ in range(BODY_LENGTH)), REFRESH)


def is_refresh(text: str) -> bool:
    """Whether a person gave a secret that renews a login, and no token."""
    return has_form(REFRESH, text)


class Renewing:
    """Gives the token of the login at an address, renewed when it is nearly over."""

    def __init__(self, path: Path, url: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path, self._url, self._now = path, url, now
        self._known: Login | None = None

    def __call__(self) -> str:
        """The token. Raises `UsageProblem` when the login is over, and what `Client` raises."""
        if self._known is None or not self._fresh(self._known):
            with taking_turns(self._path):
                self._known = self._renewed()
        return self._known.access

    def _fresh(self, login: Login) -> bool:
        return self._now() + EARLY < login.until

    def _renewed(self) -> Login:
        login = load(self._path).get(self._url)
        if login is None:
            raise UsageProblem(f"No login is kept for {self._url} any more; run headgate login --url {self._url}.")
        if self._fresh(login):
            return login  # another program of this user has renewed it
        following = login.following or make_refresh()
        keep(self._path, self._url, replace(login, following=following))
        with Client(self._url, None) as client:
            try:
                view = client.renew_login(login.refresh, sha256(following.encode()).hexdigest())
            except ApiError as error:
                if error.status != 401:
                    raise
                keep(self._path, self._url, None)
                raise UsageProblem(f"{error} Run: headgate login --url {self._url}") from None
        renewed = taken_over(view, following)
        keep(self._path, self._url, renewed)
        return renewed


def credentials(target: Target) -> str | Renewing | None:
    """With what to come to an address: the token that is known, else the login that is kept; None: nothing."""
    if target.token is not None:
        return target.token
    path = logins_path(config_path(os.environ))
    return Renewing(path, target.url) if target.url in load(path) else None
