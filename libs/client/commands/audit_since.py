"""What ``audit verify --since`` keeps between two runs: how far the log was verified, to go on from there."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

from libs.client.errors import UsageProblem
from libs.client.verify import Anchor
from libs.tlog.notes import Checkpoint
from libs.tlog.tiles import Growth

FORMAT = "headgate.audit.verified.v1"


@dataclass(frozen=True, slots=True)
class Verified:
    """The checkpoint that was verified, the hash of its last entry, and the edge of its tree."""

    checkpoint: Checkpoint
    last_hash: str
    edges: tuple[bytes, ...]

    @property
    def anchor(self) -> Anchor:
        """The last entry that was verified."""
        return Anchor(self.checkpoint.size, self.last_hash)

    def growth(self) -> Growth:
        """The tree as it was, to add what is new."""
        return Growth(self.checkpoint.size, list(self.edges))

    def contradiction(self, point: Checkpoint) -> str | None:
        """What a checkpoint of fewer entries shows. Raises `UsageProblem` for one of another log."""
        if point.origin != self.checkpoint.origin:
            raise UsageProblem(
                f"This is the log {point.origin}; what was verified before is {self.checkpoint.origin}. Verify it "
                "whole, with another file (a rollover gives a log another name: `headgate audit losses`)."
            )
        if point.size < self.checkpoint.size:
            verified = self.checkpoint.size
            return f"the log was cut: {verified} entries were verified before, {point.size} are signed"
        return None


def read_verified(path: Path) -> Verified | None:
    """What was verified before; None: the file is not there yet. Raises `UsageProblem`."""
    if not path.exists():
        return None
    try:
        held = json.loads(path.read_bytes())
        edges = tuple(base64.b64decode(one, validate=True) for one in held["edges"])
        point = Checkpoint(held["origin"], held["size"], bytes.fromhex(held["root_hash"]))
        found = Verified(point, held["last_hash"], edges)
        if held["format"] != FORMAT or found.growth().root() != point.root or len(found.last_hash) != 64:
            raise ValueError("its parts do not fit each other")
    except OSError as error:
        raise UsageProblem(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UsageProblem(f"{path} is not what --since has written ({error}); verify the log whole.") from error
    return found


def write_verified(path: Path, point: Checkpoint, last_hash: str, grown: Growth) -> None:
    """Note how far the log was verified, whole or not at all. Raises `UsageProblem`."""
    held = {
        "format": FORMAT,
        "origin": point.origin,
        "size": point.size,
        "root_hash": point.root.hex(),
        "last_hash": last_hash,
        "edges": [base64.b64encode(one).decode() for one in grown.edges],
    }
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("w") as file:
            json.dump(held, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise UsageProblem(f"{path} can't be written: {error.strerror}.") from error
