"""What a webhook's delivery says, in the words that all systems share, and whom it concerns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from libs.judge.checks import parse_time
from libs.judge.report_base import JSON, MAX_NAME_CHARS, BadReport, clean_text, part_name
from libs.judge.states import UNFINISHED

MAX_WHY_CHARS = 300
_SPACED_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) (UTC|[+-]\d{4})", re.ASCII)
MAX_ORDERED = 300  # attempts that are told apart within one second


class Ignored(Exception):
    """Nothing of the delivery is to be judged; the message is a sentence that says why."""

    def __init__(self, why: str) -> None:
        self.why = clean_text(why, MAX_WHY_CHARS)
        super().__init__(self.why)


@dataclass(frozen=True, slots=True)
class Told:
    """One signal of a delivery. ``repository``, ``sha`` and ``ref`` say whom it concerns; ``time`` is the sender's own.

    ``deployment_id`` tells deployments of one environment apart, and ``replaced`` that another took this one's place.
    """

    kind: str
    part: str
    repository: str
    sha: str
    ref: str
    time: datetime | None
    data: dict[str, JSON]
    deployment_id: int | None = None
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Mapped:
    """Of whom a webhook speaks: subjects by repository (none: each is one under its own name), and of which version.

    ``refs`` are patterns (``*``: anything) of the branches and tags that count (none: all); ``drop_prefix`` is cut off
    a ref that is a version, such as the ``v`` of ``v1.4.0``.
    """

    subjects: Mapping[str, str]
    version_from: Literal["sha", "ref"] = "sha"
    refs: tuple[str, ...] = ()
    drop_prefix: str = ""

    def target(self, told: Told) -> tuple[str, str]:
        """Subject and version. Raises `Ignored` for what the webhook is not about."""
        known = {name.casefold(): subject for name, subject in self.subjects.items()}
        subject = known.get(told.repository.casefold()) if known else told.repository
        if subject is None:
            raise Ignored(f"the repository {told.repository} is none of those that the webhook maps to a subject")
        if self.refs and not any(_fits(told.ref, pattern) for pattern in self.refs):
            raise Ignored(f"{told.ref or 'no branch or tag'} fits none of the webhook's refs ({', '.join(self.refs)})")
        version = told.sha if self.version_from == "sha" else told.ref.removeprefix(self.drop_prefix)
        if not version:
            wanted = "commit" if self.version_from == "sha" else "branch or tag"
            raise Ignored(f"it names no {wanted} that could be the version")
        for what, name in (("subject", subject), ("version", version)):
            if len(name) > MAX_NAME_CHARS or name != name.strip() or not name.isprintable():
                raise Ignored(f"{name[:60]!r} can't be the name of a {what}")
        return subject, version


def _fits(ref: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), ref) is not None


def ordered(time: datetime | None, status: str, attempt: int = 1, *, failed_last: bool = False) -> datetime | None:
    """The sender's time, which knows whole seconds, with what must come later within one: a later attempt, then an end.

    So the end of a run is newer than its begin, whatever arrives first. ``failed_last``: of two ends the bad one.
    """
    if time is None:
        return None
    stage = UNFINISHED.index(status) if status in UNFINISHED else 3 if failed_last and status != "succeeded" else 2
    return time + timedelta(milliseconds=3 * min(attempt, MAX_ORDERED) + stage)


def object_in(body: Mapping[str, JSON], key: str) -> Mapping[str, Any]:
    """The object under ``key``. Raises BadReport if there is none."""
    value = body.get(key)
    if not isinstance(value, Mapping):
        raise BadReport(f"The body has no object {key}.")
    return value


def text_in(body: Mapping[str, Any], *keys: str, max_chars: int = MAX_NAME_CHARS) -> str:
    """The text at the end of ``keys``, "" if there is none, or nothing but space."""
    found: Any = body
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return clean_text(found, max_chars) if isinstance(found, str) and found.strip() else ""


def number_in(body: Mapping[str, Any], key: str) -> int | None:
    """The whole number of at least 0 under ``key``, None if there is none."""
    value = body.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def time_of(value: object) -> datetime | None:
    """A time as GitHub (RFC 3339) or GitLab (``2016-08-12 15:23:28 UTC`` or ``… +0200``) writes it, in UTC."""
    if not isinstance(value, str):
        return None
    spaced = _SPACED_TIME.fullmatch(value)
    found = parse_time(f"{spaced[1]}T{spaced[2]}{spaced[3].replace('UTC', 'Z')}" if spaced else value)
    try:
        return None if found is None else found.astimezone(UTC)
    except OverflowError:
        return None


def shown_time(value: object) -> str | None:
    """The same as RFC 3339 text."""
    found = time_of(value)
    return None if found is None else found.isoformat().replace("+00:00", "Z")


def part_of(*words: str) -> str:
    """A part's name made of the words that there are, such as ``ci.yml push main``."""
    name = " ".join(word.strip() for word in words if word.strip())
    return clean_text(name, MAX_NAME_CHARS) if name.isprintable() and name else part_name(name)
