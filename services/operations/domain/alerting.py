"""What is said of an alert that was raised, by what became of its deliveries so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """``dispatched``: at least one delivery arrived; None: nobody can say yet. ``settled``: it stays so."""

    dispatched: bool | None = None
    error: str | None = None
    settled: bool = False


def word_of(*, heard: bool, total: int, delivered: int, failing: int, error: str | None) -> Word:
    """Dispatched is at least one success; without a target nothing is dispatched, and that is no error."""
    if not heard:
        return Word()
    if total == 0:
        return Word(dispatched=False, settled=True)
    why = f": {error}" if error else ""
    failed = f"{failing}/{total} failed{why}" if failing else None
    if delivered:
        return Word(dispatched=True, error=failed, settled=delivered == total)
    if failing == total:
        return Word(dispatched=False, error=f"all alert channels failed{why}")
    return Word(dispatched=False if failing else None, error=failed)
