"""How many witnesses must have seen a log, and how lately: what a verifier wants beside the log's own signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from libs.tlog.cosignatures import WitnessKey, witnessed_by
from libs.tlog.notes import Checkpoint, Note, NoteProblem, Verifier

AHEAD_S = 300  # so far a witness's clock may be ahead of ours


@dataclass(frozen=True, slots=True)
class Sight:
    """That a witness cosigned the first ``size`` entries at ``time_s`` (seconds since 1970)."""

    witness: str
    size: int
    time_s: int


@dataclass(frozen=True, slots=True)
class Quorum:
    """``count`` of the witnesses whose keys these are must have cosigned, at most ``max_age_s`` before ``now_s``.

    Keys of one name are one witness: of each kind that is given, one must have signed, as with a log's own keys.
    """

    keys: tuple[WitnessKey, ...]
    count: int
    max_age_s: int | None = None
    now_s: float = 0.0

    @property
    def names(self) -> list[str]:
        """The witnesses, in the order in which their keys were given."""
        return list(dict.fromkeys(key.name for key in self.keys))

    def require_others(self, logs: Iterable[Verifier]) -> None:
        """A log is no witness of itself. Raises `NoteProblem` if a key is one of the log's."""
        own = {log.public_key for log in logs}
        for key in self.keys:
            if key.public_key in own:
                raise NoteProblem(f"the key of the witness {key.name} is the log's own: nobody is a witness of oneself")

    def sights(self, note: Note) -> list[Sight]:
        """What these witnesses cosigned of a checkpoint. Raises `NoteProblem` for a cosignature that does not fit."""
        found, size = witnessed_by(note, self.keys), Checkpoint.read(note.text).size
        sights = []
        for name in self.names:
            newest: dict[bytes, int] = {}
            for key, time_s in found.items():
                if key.name == name:
                    newest[key.kind] = max(time_s, newest.get(key.kind, 0))
            if newest and newest.keys() == {key.kind for key in self.keys if key.name == name}:
                sights.append(Sight(name, size, min(newest.values())))
        return sights

    def met(self, sights: Iterable[Sight]) -> list[Sight]:
        """Each witness's newest sight, if enough are new enough. Raises `NoteProblem`, which says what is missing."""
        newest: dict[str, Sight] = {}
        for one in sights:
            held = newest.get(one.witness)
            if held is None or (one.time_s, one.size) > (held.time_s, held.size):
                newest[one.witness] = one
        missing = [name for name in self.names if name not in newest]
        if len(newest) < self.count:
            raise NoteProblem(
                f"{len(newest)} of {len(self.names)} witnesses have cosigned the checkpoint, {self.count} are wanted: "
                f"{', '.join(missing)} did not, or not by each kind of key that you gave"
            )
        fresh = [one for one in newest.values() if self._wrong_time(one) is None]
        if len(fresh) < self.count:
            wrong = "; ".join(said for one in newest.values() if (said := self._wrong_time(one)))
            raise NoteProblem(f"{len(fresh)} of the {self.count} cosignatures that are wanted are new enough: {wrong}")
        return fresh

    def _wrong_time(self, sight: Sight) -> str | None:
        if self.max_age_s is None:
            return None
        if sight.time_s > self.now_s + AHEAD_S:
            return f"{sight.witness} says {moment_text(sight.time_s)}, which is later than the clock here"
        if sight.time_s < self.now_s - self.max_age_s:
            return f"{sight.witness} cosigned last at {moment_text(sight.time_s)}, more than {self.max_age_s} s ago"
        return None


def moment_text(time_s: int) -> str:
    """Seconds since 1970 as RFC 3339 in UTC; a number that is beyond the calendar is told as a number."""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_s} s after 1970"
