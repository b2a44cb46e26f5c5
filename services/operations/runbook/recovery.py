"""Checks of what is left when everything else is gone: backups, their room, and whether one was ever restored."""

from __future__ import annotations

from datetime import timedelta

from services.operations.backups.told import Known
from services.operations.runbook.found import Check, Found, age_text
from services.operations.runbook.readings import Readings

BACKUP_WARNING, BACKUP_CRITICAL = timedelta(hours=26), timedelta(hours=50)
REHEARSAL_OLD = timedelta(days=35)
ROOM_WARNING, ROOM_CRITICAL = 3.0, 1.2  # how many more backups of the newest one's size have room


def backup_recent(at: Readings) -> Found:
    """How old the newest good backup is, and whether the newest one is good."""
    known: Known = at.of("backups")
    latest, age = known.latest, at.now - known.good_at if known.good_at else None
    figures = {
        "backup_id": latest.backup_id if latest else None,
        "age_s": round(age.total_seconds(), 1) if age is not None else None,
    }
    if latest is not None and latest.backup_id is not None and not latest.good:
        return "critical", f"{latest.backup_id} is damaged: {latest.problems[0]}", figures
    why = f"; the last try failed: {latest.problems[0]}" if latest is not None and not latest.good else ""
    if age is None:
        chance = at.now - known.watched_since if known.watched_since else timedelta()
        return "critical" if chance >= BACKUP_CRITICAL else "warning", f"no good backup is known{why}", figures
    text = f"the newest good backup is {age_text(max(age, timedelta()))} old"
    if age >= BACKUP_WARNING:
        return "critical" if age >= BACKUP_CRITICAL else "warning", text + why, figures
    return "warning" if why else "ok", text + why, figures


def backup_room(at: Readings) -> Found:
    """Whether the next backups have room where they lie, as the keeper told it."""
    known: Known = at.of("backups")
    if known.latest is None:
        return "warning", "nobody has told of the room for backups yet", {}
    free, size = known.latest.free_bytes, known.size_bytes
    figures = {"free_bytes": free, "backup_bytes": size}
    if free is None:
        if known.latest.place == "folder":
            return "warning", "nobody can say how much room is left for backups", figures
        return "ok", "they lie in a bucket", figures
    if not size:
        return "ok", f"{free >> 20} MiB are free, and there is no backup yet", figures
    times = free / size
    text = f"{free >> 20} MiB are free, enough for {times:.1f} more of the newest's size"
    return "critical" if times < ROOM_CRITICAL else "warning" if times < ROOM_WARNING else "ok", text, figures


def dr_rehearsal_recent(at: Readings) -> Found:
    """When a backup was last really restored, and whether that held."""
    last = at.of("rehearsal")
    if last is None:
        return "warning", "no backup was ever restored and compared", {"run_id": None}
    age = at.now - last.finished_at
    figures = {"run_id": last.run_id, "age_s": round(age.total_seconds(), 1), "restore_valid": last.restore_valid}
    if not last.restore_valid:
        return "critical", f"{last.backup_file} could not be restored whole: {'; '.join(last.notes[:2])}", figures
    text = f"{last.backup_file} was restored and compared {age_text(max(age, timedelta()))} ago"
    return "warning" if age > REHEARSAL_OLD else "ok", text, figures


CHECKS: tuple[Check, ...] = (
    backup_recent,
    backup_room,
    dr_rehearsal_recent,
)
