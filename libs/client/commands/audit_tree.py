"""The signed tree for ``headgate audit``: keys, checkpoints, and a folder that is checked without our server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from rich.text import Text

from libs.client.errors import ApiError, BadAnswer, UsageProblem
from libs.client.http import Client, read_as
from libs.client.show import clean, facts
from libs.client.tree_check import Differs, Digests, check_root, check_tiles
from libs.common.contracts.audit.tree import LogKey, LogState
from libs.tlog.cosignatures import WitnessKey
from libs.tlog.notes import MAX_NOTE_BYTES, Checkpoint, NoteProblem, Verifier, read_checkpoint, read_note, read_trusted
from libs.tlog.quorum import Quorum, Sight, moment_text
from libs.tlog.tiles import Growth

ENTRIES_FILE, CHECKPOINT_FILE, KEY_FILE = "entries.jsonl", "checkpoint", "keys"
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Tree:
    """How the check of the tree went. ``state``: signed, unsigned (nothing to check) or broken.

    ``trusted``: the key was given by who checks, not taken from what is checked. ``witnesses``: what each saw of those
    that were wanted; ``witnessed_size``: how many entries as many of them cosigned as were wanted. ``beyond_size``: how
    many entries a kept checkpoint is over, if the folder holds fewer: whether the log went on so is not proven here.
    """

    state: str
    size: int = 0
    root_hash: str = ""
    origin: str = ""
    trusted: bool = False
    tile_count: int = 0
    witnesses: tuple[Sight, ...] = ()
    witnessed_size: int = 0
    beyond_size: int | None = None
    first_bad_seq: int | None = None
    problem: str | None = None

    @property
    def valid(self) -> bool:
        """Whether nothing contradicts what was signed."""
        return self.state != "broken"

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        seen = [
            {"witness": one.witness, "size": one.size, "cosigned_at": moment_text(one.time_s)} for one in self.witnesses
        ]
        return asdict(self) | {"witnesses": seen, "valid": self.valid}

    def shown(self) -> list[Any]:
        """As people read it."""
        if self.state == "unsigned":
            said = "The log is not signed: nothing shows whether its newest entries were cut off."
            return [Text(said, style="yellow")]
        if self.problem is not None:
            return [Text(f"The signed tree: {clean(self.problem)}", style="red")]
        line = Text.assemble("The signed tree ", ("holds", "green"), f": {self.size} entries, as {self.origin} signed.")
        parts: list[Any] = [line]
        if not self.trusted:
            said = "The key was taken from what is checked; give yours with --key to be sure."
            parts.append(Text(said, style="yellow"))
        for one in self.witnesses:
            at = moment_text(one.time_s)
            parts.append(Text(f"{clean(one.witness)} cosigned the first {one.size} entries at {at}."))
        if self.witnesses and self.witnessed_size < self.size:
            said = f"Entries {self.witnessed_size + 1} to {self.size} are newer than what was cosigned."
            parts.append(Text(said, style="yellow"))
        if self.beyond_size is not None:
            said = (
                f"The folder holds the first {self.size} entries, your checkpoint is over {self.beyond_size}: it was "
                "mirrored earlier, or the log was cut since. Bring it up to date (headgate audit mirror FOLDER) and "
                "verify again, or ask the log itself (headgate audit verify --checkpoint FILE)."
            )
            parts.append(Text(said, style="yellow"))
        return parts


def trusted_keys(given: list[str]) -> list[Verifier]:
    """Keys from the command line: the text itself, or a file that holds one a line. Raises `UsageProblem`."""
    return _keys(given, Verifier.read, "--key")


def witness_keys(given: list[str]) -> list[WitnessKey]:
    """Keys of witnesses, as `trusted_keys`. Raises `UsageProblem`."""
    return _keys(given, WitnessKey.read, "--witness-key")


def _keys(given: list[str], read: Callable[[str], Key], option: str) -> list[Key]:
    found = []
    for one in given:
        try:
            # os.path: a key may be longer than any name of a file, which Path.is_file would raise for
            lines = [one] if one.count("+") >= 2 and "\n" not in one and not os.path.isfile(one) else _lines(one)  # noqa: PTH113
            found += [read(line) for line in lines if line.strip()]
        except OSError as error:
            raise UsageProblem(f"{one[:100]} can't be read: {error.strerror}.") from error
        except NoteProblem as error:
            raise UsageProblem(f"{option} {clean(one)[:100]}: {error}.") from error
    return found


def _lines(name: str) -> list[str]:
    return Path(name).read_text(errors="replace").splitlines()


@dataclass(frozen=True, slots=True)
class Older:
    """What was signed before, and by whom it was kept. ``note``: as a note, if its cosignatures count."""

    checkpoint: Checkpoint
    kept_by: str
    note: str = ""


def older_checkpoint(name: str | None, keys: list[Verifier]) -> list[Older]:
    """A checkpoint that was kept before. Raises `UsageProblem`."""
    if name is None:
        return []
    try:
        note = Path(name).read_text()
        return [Older(read_checkpoint(note, keys) if keys else Checkpoint.read(read_note(note).text), "you")]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{name} can't be read: {error}.") from error
    except NoteProblem as error:
        raise UsageProblem(f"{name} is no checkpoint that can be used: {error}.") from error


def seen_by_witnesses(urls: list[str], origin: str, keys: list[Verifier], quorum: Quorum | None = None) -> list[Older]:
    """The checkpoints of this log that witnesses have cosigned; with ``quorum`` each bears the line of one of its keys.

    Raises `UsageProblem` if one can't be asked, or what it shows can't be used.
    """
    name_hash, found = hashlib.sha256(origin.encode()).hexdigest(), []
    for url in urls:
        try:
            note = _note_at(f"{url.rstrip('/')}/{name_hash}/checkpoint")
            if note is None:
                raise UsageProblem(f"The witness {clean(url)} has cosigned nothing of {clean(origin)}.")
            older = Older(read_checkpoint(note, keys), f"the witness {clean(url)}", note)
            if quorum is not None and not quorum.sights(read_note(note)):
                raise NoteProblem("none of the witnesses that you named by --witness-key has cosigned it")
            found.append(older)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise UsageProblem(f"The witness {clean(url)} can't be asked: {error}.") from error
        except NoteProblem as error:
            raise UsageProblem(f"The witness {clean(url)} has no checkpoint that can be used: {error}.") from error
    return found


def _note_at(url: str) -> str | None:
    """The note that a witness shows; None: it shows none. Raises `NoteProblem`, and what httpx2 raises."""
    body = b""
    with httpx2.stream("GET", url, timeout=10, trust_env=False) as answer:
        if answer.status_code != 200:
            return None
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > MAX_NOTE_BYTES:
                raise NoteProblem("it is longer than any note")
    return body.decode(errors="replace")


@dataclass(slots=True)
class Check:
    """A check in progress: the checkpoint to meet, who must have cosigned it, and the digests that pass by.

    ``published``: the note that a server shows to everybody, which may be a little older and cosigned instead.
    ``from_folder``: of a folder, which may have been mirrored before something was kept.
    """

    note: str | None
    keys: list[Verifier]
    trusted: bool
    older: list[Older]
    quorum: Quorum | None = None
    sights: list[Sight] = field(default_factory=list)
    published: str | None = None
    from_folder: bool = False
    problem: str | None = None
    checkpoint: Checkpoint | None = None
    digests: Digests | None = None
    grown: Growth | None = None

    def begin(self) -> None:
        """Look at the signature first: what it does not cover need not be read."""
        if self.note is None:
            return
        try:
            self.checkpoint = self.read(self.note)
            self.digests = Digests(self.checkpoint.size)
            if self.quorum is not None:
                self.quorum.require_others(self.keys)
                notes = [read_note(note) for note in (self.note, *(one.note for one in self.older)) if note]
                self.sights = self.quorum.met(sight for note in notes for sight in self.quorum.sights(note))
        except NoteProblem as error:
            self.problem = str(error)

    def read(self, note: str) -> Checkpoint:
        """The checkpoint in a note, signed as these keys want it. Raises `NoteProblem`."""
        return (read_trusted if self.trusted else read_checkpoint)(note, self.keys)

    def go_on(self, start: int, grown: Growth) -> None:
        """The first ``start`` entries were verified before, and gave the edge ``grown``: only the others pass by."""
        if self.checkpoint is not None:
            self.digests, self.grown = Digests(self.checkpoint.size, start), grown

    def passing(self, entries: Iterable[Any]) -> Iterable[Any]:
        """The entries, noted on their way."""
        return self.digests.passing(entries) if self.digests is not None else entries

    def end(self, tile: Callable[[str], bytes | None], progress: Callable[[int], None] | None = None) -> Tree:
        """What the signed tree says of the entries that passed; with ``progress`` each tile is looked at, too."""
        if self.problem is not None:
            return Tree("broken", trusted=self.trusted, problem=self.problem)
        if self.note is None:
            if self.trusted or self.older:
                return Tree("broken", problem="there is no checkpoint, though a key or an older checkpoint was given")
            if self.quorum is not None:
                return Tree("broken", problem="there is no checkpoint that a witness could have cosigned")
            return Tree("unsigned")
        if self.checkpoint is None or self.digests is None:
            return Tree("broken", trusted=self.trusted, problem="the checkpoint was not looked at")
        point = self.checkpoint
        seen: dict[str, Any] = {
            "size": point.size, "root_hash": point.root.hex(), "origin": point.origin, "trusted": self.trusted,
        }  # fmt: skip
        older = [one.checkpoint for one in self.older]
        if self.from_folder:  # a mirror of yesterday is none of a log that was cut
            beyond = [one for one in older if one.size > point.size and one.origin == point.origin]
            seen["beyond_size"] = max((one.size for one in beyond), default=None)
            older = [one for one in older if one not in beyond]
        try:
            self.grown = check_root(self.digests, point, older, tile, self.grown)
            count = check_tiles(self.digests, point, tile, progress) if progress is not None else 0
        except Differs as error:
            return Tree("broken", **seen, first_bad_seq=error.seq or None, problem=self._named(error))
        return Tree("signed", **seen, tile_count=count, witnesses=tuple(self.sights), witnessed_size=self._witnessed())

    def _witnessed(self) -> int:
        """How many entries were cosigned by as many as are wanted."""
        sizes = sorted((one.size for one in self.sights), reverse=True)
        return sizes[self.quorum.count - 1] if self.quorum is not None and sizes else 0

    def _named(self, error: Differs) -> str:
        """The problem, and who kept the checkpoint that the log does not go on from."""
        names = [one.kept_by for one in self.older if one.checkpoint is error.older]
        return f"{error.problem} ({names[0]} kept the checkpoint)" if names else error.problem


def online(
    client: Client,
    keys: list[Verifier],
    older: list[Older],
    witnesses: list[str] | None = None,
    quorum: Quorum | None = None,
) -> Check:
    """A check against the server's last checkpoint, which must go on from what ``witnesses`` (addresses) saw.

    For ``quorum`` count what those show and what the server publishes.
    """
    trusted, keys = bool(keys), keys or _server_keys(client)
    if witnesses:  # first what they saw, then what is signed, so that it may have grown meanwhile
        origin = read_as(LogState, client.call("audit.log.get")).origin
        older = older + seen_by_witnesses(witnesses, origin, keys, quorum)
    state = read_as(LogState, client.call("audit.log.get"))
    check = Check(state.checkpoint, keys, trusted, older, quorum, published=state.published)
    unusable = None
    if quorum is not None and state.published is not None and state.published != state.checkpoint:
        try:  # one hardly older than the last, which its witnesses have cosigned meanwhile
            check.older = [*older, Older(check.read(state.published), "the server", state.published)]
        except NoteProblem as error:
            unusable = f"what the server publishes can't be used: {error}"
    check.begin()
    check.problem = unusable or check.problem
    if state.state in ("forked", "disarmed"):
        check.problem = f"the server says that its log was set back: {state.problem}"
    if state.state == "disarmed":
        check.problem = f"the server can't tell whether its log was set back: {state.problem}"
    if state.fork is not None:
        check.problem = f"the log was forked. {state.fork}"
    return check


def _server_keys(client: Client) -> list[Verifier]:
    try:
        return Verifier.read_known(key.verifier for key in read_as(list[LogKey], client.call("audit.log_keys.list")))
    except NoteProblem as error:
        raise BadAnswer(f"The server lists something that is no key: {error}.") from error


def server_tile(client: Client) -> Callable[[str], bytes | None]:
    """Reads tiles from the server; None for one that is not there."""

    def read(path: str) -> bytes | None:
        try:
            return client.content(f"/audit/{path}")
        except ApiError as error:
            if error.status in (404, 422):
                return None
            raise

    return read


def from_folder(folder: Path, keys: list[Verifier], older: list[Older], quorum: Quorum | None = None) -> Check:
    """A check of a folder that `mirror` has written. Raises `UsageProblem`."""
    try:
        note = (folder / CHECKPOINT_FILE).read_text()
        mine = keys or Verifier.read_known(line for line in _lines(str(folder / KEY_FILE)) if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{folder} is no mirror of an audit log: {error}.") from error
    except NoteProblem as error:
        raise UsageProblem(f"{folder / KEY_FILE}: {error}.") from error
    check = Check(note, mine, bool(keys), older, quorum, from_folder=True)
    check.begin()
    return check


def folder_tile(folder: Path) -> Callable[[str], bytes | None]:
    """Reads tiles from a folder; None for one that is not there."""

    def read(path: str) -> bytes | None:
        try:
            return (folder / path).read_bytes()
        except OSError:
            return None

    return read


def noted(tree: Tree, last_seq: int, last_hash: str) -> Any:
    """What to keep outside: the root that was signed where there is one, else the last entry's hash."""
    if tree.state == "signed":
        return facts([("keep this outside Headgate", f"{tree.origin} {tree.size} {tree.root_hash}")])
    return facts([("note this outside Headgate", f"{last_seq}:{last_hash}")])
