"""Old backups go: those that no day, week or month keeps (`retention`)."""

from __future__ import annotations

from deploy.backup.retention import Keep, kept
from deploy.backup.store import Store
from libs.common.settings import Settings


def keep_of(settings: Settings) -> Keep:
    """How many the settings keep."""
    return Keep(settings.backup_keep_daily, settings.backup_keep_weekly, settings.backup_keep_monthly)


def prune(store: Store, keep: Keep, *, dry_run: bool = False) -> tuple[dict[str, str], list[str]]:
    """Remove what is not kept; returns what stays, each with why, and what went (``dry_run``: would go).

    Only whole backups are counted and removed: damaged ones are left to people. Raises `BackupError`.
    """
    with store.writing():
        whole = {one.backup_id: one.manifest.began_at for one in store.all() if one.manifest and not one.problem}
        staying = kept(whole, keep)
        going = [one for one in whole if one not in staying]
        for one in going if not dry_run else ():
            store.remove(one)
    return staying, going
