"""Where the gateway is and with which token: ``~/.config/headgate/config.toml`` (0600), or the environment.

``HEADGATE_URL`` and ``HEADGATE_TOKEN`` beat the file. Tokens are kept per address, so that a token is never sent to
another gateway than the one that it was given for.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from libs.client.addresses import checked_url
from libs.client.errors import UsageProblem

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the file holds: the address used by default and a token for each address."""

    url: str | None = None
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask. ``token`` None: nobody logged in there yet."""

    url: str
    token: str | None = field(repr=False)


def config_path(environ: Mapping[str, str]) -> Path:
    """The file, also under another ``XDG_CONFIG_HOME``. Raises `UsageProblem` when there is no home folder."""
    base = environ.get("XDG_CONFIG_HOME")
    try:
        folder = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    except RuntimeError:
        raise UsageProblem("There is no home folder; set HEADGATE_URL and HEADGATE_TOKEN instead.") from None
    return folder / "headgate" / "config.toml"


def load(path: Path) -> Profile:
    """The profile, empty if there is no file. Raises `UsageProblem` when the file can't be read."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Profile()
    except OSError as error:
        raise UsageProblem(f"{path} can't be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{path} is not TOML ({error}); mend it, or delete it and log in again.") from error
    url, tokens = document.get("url"), document.get("tokens", {})
    if not (url is None or isinstance(url, str)) or not _texts(tokens):
        raise UsageProblem(f"{path} has another shape than expected; delete it and log in again.")
    return Profile(url, tokens)


def _texts(tokens: Any) -> bool:
    return isinstance(tokens, dict) and all(isinstance(value, str) for value in tokens.values())


def save(path: Path, profile: Profile) -> None:
    """Write the file whole or not at all, readable by this user only. Raises `UsageProblem` when that can't be done."""
    # A JSON string of printable text is a TOML basic string too.
    lines = [f"url = {_quoted(profile.url)}"] if profile.url else []
    lines += ["", "[tokens]", *(f"{_quoted(url)} = {_quoted(token)}" for url, token in sorted(profile.tokens.items()))]
    write_private(path, "\n".join(lines) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by this user only. Raises `UsageProblem` when that can't be done."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")  # made with 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise UsageProblem(f"{path} can't be written: {error.strerror}.") from error


def _quoted(text: str | None) -> str:
    return orjson.dumps(text).decode()


def remember(path: Path, url: str, token: str | None) -> None:
    """Keep the token for this address, or none, and use the address from now on."""
    profile = load(path)
    tokens = {key: value for key, value in profile.tokens.items() if key != url}
    save(path, replace(profile, url=url, tokens=tokens if token is None else {**tokens, url: token}))


def forget(path: Path, url: str) -> bool:
    """Drop the token of this address; False if there was none."""
    profile = load(path)
    if url not in profile.tokens:
        return False
    save(path, replace(profile, tokens={key: value for key, value in profile.tokens.items() if key != url}))
    return True


def resolve(url: str | None, environ: Mapping[str, str]) -> Target:
    """Address: the given one, else ``HEADGATE_URL``, else the file's, else this machine's. Token: ``HEADGATE_TOKEN``,
    else the one that the file holds for exactly this address. Raises `UsageProblem`.
    """
    wanted, token = url or environ.get("HEADGATE_URL") or None, environ.get("HEADGATE_TOKEN") or None
    if wanted and token:
        return Target(checked_url(wanted), token.strip())
    profile = load(config_path(environ))
    address = checked_url(wanted or profile.url or DEFAULT_URL)
    return Target(address, token.strip() if token else profile.tokens.get(address))
