"""What every report format shares: the parsed signal, the refusal, what a reader remarks, and values of JSON.

A report comes from outside, so its size, depth and number of nodes are bounded before anything looks at its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

MAX_REPORT_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 64
MAX_ID_CHARS = 500
MAX_PART_CHARS = 80
MAX_NAME_CHARS = 200  # of subjects, versions and parts as they are sent
MAX_COUNT = 2**53  # the largest whole number that JSON readers agree on
MAX_MESSAGE_CHARS = 1_000
MAX_NOTES = 20
MAX_NOTE_CHARS = 300
DEFAULT_PART = "default"

# NUL and lone surrogates are legal in Python and in JSON escapes, but no Postgres text can hold them.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_PLAIN_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_WHOLE = re.compile(r"(\d{1,15}|\d{1,3}(,\d{3}){1,4})(\.0{1,15})?")
_PART_CHARS = re.compile(r"[^A-Za-z0-9._:-]+")


class BadReport(ValueError):
    """A report that can't be judged. The message is a sentence that says what is wrong and where, and can be stored."""

    def __init__(self, message: str) -> None:
        # It may quote a key or a value of the report, and what can't be stored would undo the whole refusal.
        self.message = clean_text(message, MAX_MESSAGE_CHARS)
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class ParsedSignal:
    """One fact read from a report: ``kind`` such as ``test.junit``, ``part`` such as a scanner's name, and its data."""

    kind: str
    part: str
    data: dict[str, JSON]


def clean_text(text: str, max_chars: int = MAX_ID_CHARS) -> str:
    """``text`` without what a database can't store, at most ``max_chars`` long.

    A cut text ends in a hash of the whole, so that two long ids with one beginning stay two.
    """
    text = _UNSTORABLE.sub("\ufffd", text)
    if len(text) <= max_chars:
        return text
    digest = sha256(text.encode()).hexdigest()[:12]
    return f"{text[: max_chars - 15]}...{digest}"


def part_name(text: str) -> str:
    """A part's name from a tool's: in the letters ``[A-Za-z0-9._:-]``, first a letter or digit, at most 80."""
    name = _PART_CHARS.sub("-", text).strip("-._:")
    return (
        clean_text(name, MAX_PART_CHARS)
        if name
        else "unnamed-" + sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    )


def joined_part(asked: str, own: str) -> str:
    """A sender's part before the one that a report names itself, such as ``unit tests:semgrep``.

    In the letters of `part_name` and at most 80 long if ``asked`` is in these, as it always was; else as it was asked.
    """
    if len(asked) <= MAX_PART_CHARS and _PLAIN_PART.fullmatch(asked):
        return part_name(f"{asked}:{own}")
    return clean_text(f"{asked}:{own}", MAX_NAME_CHARS)


def file_part(name: str) -> str:
    """The part that a file's name gives: without its folders and its last extension (``out/unit.xml`` gives unit).

    A name in other letters than ASCII's stays as it is, since without them two files would be one part.
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem.strip()
    if not stem.isascii() and stem.isprintable():
        return clean_text(stem, MAX_NAME_CHARS)
    return part_name(stem)


class Remarks:
    """What a reader has to say beside the numbers: notes, and what is announced and not there."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}
        self._short: list[dict[str, JSON]] = []

    def note(self, sentence: str) -> None:
        """Keep a sentence once; beyond ``MAX_NOTES`` none is kept."""
        if len(self._notes) < MAX_NOTES:
            self._notes[clean_text(sentence, MAX_NOTE_CHARS)] = None

    def short(self, what: str, announced: int, found: int) -> None:
        """The report announces more ``what`` (a plural, such as tests) than it holds: it is incomplete."""
        self._short.append({"what": what, "announced": min(announced, MAX_COUNT), "found": found})

    def data(self, summary: str) -> dict[str, JSON]:
        """The keys that every report's data has: ``summary, notes, incomplete``."""
        if self._short:
            summary += "; incomplete: " + ", ".join(map(announced_words, self._short))
        return {"summary": clean_text(summary, MAX_ID_CHARS), "notes": list(self._notes), "incomplete": [*self._short]}


@dataclass(frozen=True, slots=True)
class Remarked:
    """What `Remarks.data` put into a signal's data."""

    summary: str = ""
    notes: tuple[str, ...] = ()
    incomplete: bool = False


def remarked(data: object) -> Remarked:
    """The remarks in any data: a signal that no reader made may hold something else under these names, or nothing."""
    if not isinstance(data, Mapping):
        return Remarked()
    summary, notes, incomplete = data.get("summary"), data.get("notes"), data.get("incomplete")
    texts = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    return Remarked(
        clean_text(summary) if isinstance(summary, str) else "",
        tuple(clean_text(note, MAX_NOTE_CHARS) for note in texts[:MAX_NOTES]),
        bool(incomplete) and isinstance(incomplete, list),
    )


def announced_words(short: Mapping[str, Any]) -> str:
    """An entry of ``incomplete`` in words: ``1000 lines are announced and 2 are there``."""
    announced, found, what = short["announced"], short["found"], str(short["what"])
    first = f"1 {what.removesuffix('s')} is" if announced == 1 else f"{announced} {what} are"
    return f"{first} announced and {found} {'is' if found == 1 else 'are'} there"


def counted(number: int, noun: str) -> str:
    """``1 test``, ``2 tests``: the number with its noun, which takes an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def whole_number(text: str | None) -> int | None:
    """An announced count: ``3``, ``3.0`` and ``1,234`` say something; empty, broken, NaN and negative ones nothing."""
    text = (text or "").strip()
    if not text.isascii() or _WHOLE.fullmatch(text) is None:
        return None
    return min(int(text.partition(".")[0].replace(",", "")), MAX_COUNT)


def as_object(value: JSON, where: str) -> Mapping[str, JSON]:
    """``value`` as an object, an absent one as empty. Raises BadReport that names ``where``."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadReport(f"{where} is not an object.")
    return value


def as_list(value: JSON, where: str) -> Sequence[JSON]:
    """``value`` as a list, an absent one as empty. Raises BadReport that names ``where``."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadReport(f"{where} is not a list.")
    return value


def as_text(value: JSON, where: str, max_chars: int = MAX_ID_CHARS) -> str:
    """``value`` as cleaned text, an absent one as "". Raises BadReport that names ``where``."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadReport(f"{where} is not text.")
    return clean_text(value, max_chars)
