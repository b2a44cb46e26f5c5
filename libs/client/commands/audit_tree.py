"""The signed tree for ``headgate audit``: keys, checkpoints, and a folder that is checked without our server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from libs.client.errors import ApiError, BadAnswer, UsageProblem
from libs.client.http import Client, read_as
from libs.client.show import clean, facts
from libs.client.tree_check import Differs, Digests, check_root, check_tiles
from libs.common.contracts.audit.tree import LogKey, LogState
from libs.tlog.notes import Checkpoint, NoteProblem, Verifier, read_checkpoint, read_note

ENTRIES_FILE, CHECKPOINT_FILE, KEY_FILE = "entries.jsonl", "checkpoint", "keys"


@dataclass(frozen=True, slots=True)
class Tree:
    """How the check of the tree went. ``state``: signed, unsigned (nothing to check) or broken.

    ``trusted``: the key was given by who checks, not taken from what is checked.
    """

    state: str
    size: int = 0
    root_hash: str = ""
    origin: str = ""
    trusted: bool = False
    tile_count: int = 0
    first_bad_seq: int | None = None
    problem: str | None = None

    @property
    def valid(self) -> bool:
        """Whether nothing contradicts what was signed."""
        return self.state != "broken"

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"valid": self.valid}

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
        return parts


def trusted_keys(given: list[str]) -> list[Verifier]:
    """Keys from the command line: the text itself, or a file that holds one a line. Raises `UsageProblem`."""
    found = []
    for one in given:
        try:
            lines = [one] if one.count("+") >= 2 and "\n" not in one and not Path(one).is_file() else _lines(one)
            found += [Verifier.read(line) for line in lines if line.strip()]
        except OSError as error:
            raise UsageProblem(f"{one} can't be read: {error.strerror}.") from error
        except NoteProblem as error:
            raise UsageProblem(f"--key {clean(one)[:100]}: {error}.") from error
    return found


def _lines(name: str) -> list[str]:
    return Path(name).read_text(errors="replace").splitlines()


def older_checkpoint(name: str | None, keys: list[Verifier]) -> list[Checkpoint]:
    """A checkpoint that was kept before. Raises `UsageProblem`."""
    if name is None:
        return []
    try:
        note = Path(name).read_text()
        return [read_checkpoint(note, keys) if keys else Checkpoint.read(read_note(note).text)]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{name} can't be read: {error}.") from error
    except NoteProblem as error:
        raise UsageProblem(f"{name} is no checkpoint that can be used: {error}.") from error


@dataclass(slots=True)
class Check:
    """A check in progress: the checkpoint to meet, and the digests that pass by."""

    note: str | None
    keys: list[Verifier]
    trusted: bool
    older: list[Checkpoint]
    problem: str | None = None
    checkpoint: Checkpoint | None = None
    digests: Digests | None = None

    def begin(self) -> None:
        """Look at the signature first: what it does not cover need not be read."""
        if self.note is None:
            return
        try:
            self.checkpoint = read_checkpoint(self.note, self.keys)
            self.digests = Digests(self.checkpoint.size)
        except NoteProblem as error:
            self.problem = str(error)

    def passing(self, entries: Iterable[Any]) -> Iterable[Any]:
        """The entries, noted on their way."""
        return self.digests.passing(entries) if self.digests is not None else entries

    def end(self, tile: Callable[[str], bytes | None], progress: Callable[[int], None] | None = None) -> Tree:
        """What the signed tree says of the entries that passed; with ``progress`` each tile is looked at, too."""
        if self.note is None:
            if self.trusted or self.older:
                return Tree("broken", problem="there is no checkpoint, though a key or an older checkpoint was given")
            return Tree("unsigned")
        if self.problem is not None or self.checkpoint is None or self.digests is None:
            return Tree("broken", trusted=self.trusted, problem=self.problem)
        point = self.checkpoint
        seen: dict[str, Any] = {
            "size": point.size, "root_hash": point.root.hex(), "origin": point.origin, "trusted": self.trusted,
        }  # fmt: skip
        try:
            check_root(self.digests, point, self.older, tile)
            count = check_tiles(self.digests, point, tile, progress) if progress is not None else 0
        except Differs as error:
            return Tree("broken", **seen, first_bad_seq=error.seq or None, problem=error.problem)
        return Tree("signed", **seen, tile_count=count)


def online(client: Client, keys: list[Verifier], older: list[Checkpoint]) -> Check:
    """A check against the server's last checkpoint."""
    state = read_as(LogState, client.call("audit.log.get"))
    if state.state == "forked":
        raise BadAnswer(f"The server says that its log was set back: {state.problem}")
    check = Check(state.checkpoint, keys or _server_keys(client), bool(keys), older)
    check.begin()
    return check


def _server_keys(client: Client) -> list[Verifier]:
    try:
        return [Verifier.read(key.verifier) for key in read_as(list[LogKey], client.call("audit.log_keys.list"))]
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


def from_folder(folder: Path, keys: list[Verifier], older: list[Checkpoint]) -> Check:
    """A check of a folder that `mirror` has written. Raises `UsageProblem`."""
    try:
        note = (folder / CHECKPOINT_FILE).read_text()
        mine = keys or [Verifier.read(line) for line in _lines(str(folder / KEY_FILE)) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{folder} is no mirror of an audit log: {error}.") from error
    except NoteProblem as error:
        raise UsageProblem(f"{folder / KEY_FILE}: {error}.") from error
    check = Check(note, mine, bool(keys), older)
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
