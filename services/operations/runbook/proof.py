"""Checks of what proves: the audit log and the archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from libs.common.contracts.audit.archives import Archiving
from libs.common.contracts.audit.witnesses import WitnessView
from libs.common.contracts.operations.integrity import IntegrityRun
from services.operations.runbook.found import Check, Found, age_text, some
from services.operations.runbook.readings import Readings

HEAD_OLD = timedelta(hours=26)
COSIGNED_LATE = timedelta(minutes=30)
ARCHIVE_DUE, ARCHIVE_LATE = timedelta(hours=3), timedelta(days=7)  # the job tries each hour
BATCH_OLD = timedelta(hours=26)


def audit_chain_integrity(at: Readings) -> Found:
    """The end of the log, recomputed, and what a verification of all of it found, which nothing newer takes back."""
    if (broken := at.of("head").broken) is not None:
        return "critical", broken, {}
    try:
        found = at.of("chain")
    except LookupError as error:
        if "is running already" in str(error):
            return "warning", "another verification is running; look again in a moment", {}
        raise
    figures = {"head_seq": found.head_seq, "head_hash": found.head_hash, "checked_count": found.checked_count}
    if not found.valid:
        return "critical", found.problem or "the chain does not hold", {**figures, "first_bad_seq": found.first_bad_seq}
    return "ok", f"the newest {found.checked_count} links hold, up to {found.head_seq}", figures


def audit_head_recent(at: Readings) -> Found:
    """How old the newest entry is."""
    head = at.of("head")
    if head.recorded_at is None:
        return "warning", "the log is empty", {"seq": 0}
    age = at.now - head.recorded_at
    text = f"the newest entry is {age_text(max(age, timedelta()))} old"
    return "warning" if age > HEAD_OLD else "ok", text, {"seq": head.seq, "age_s": round(age.total_seconds(), 1)}


def audit_witnessed(at: Readings) -> Found:
    """What the witnesses saw of the log, if any are asked."""
    found: Sequence[WitnessView] = at.of("witnesses")
    figures = {one.witness: one.state for one in found}
    if not found:
        return "ok", "no witness is named; HEADGATE_AUDIT_WITNESSES names them", figures
    if forks := [one.problem or one.witness for one in found if one.state == "forked"]:
        return "critical", some(forks), figures
    late = [
        f"{one.witness} ({one.state})"
        for one in found
        if one.state != "cosigned" or one.cosigned_at is None or at.now - one.cosigned_at > COSIGNED_LATE
    ]
    return "warning" if late else "ok", some(late) or f"{len(found)} of {len(found)} witnesses cosign the log", figures


def ops_daily_check_archive(at: Readings) -> Found:
    """What the newest daily check left in the store."""
    files: Mapping[str, str] = at.of("archive")
    if not files:
        return "warning", "no daily check is archived yet", {"files": []}
    bad = [f"{name} {state}" for name, state in files.items() if state != "ok"]
    return (
        "critical" if bad else "ok",
        some(bad) or f"{some(sorted(files))} lie there whole",
        {"files": sorted(files)},
    )


def audit_archive_signing(at: Readings) -> Found:
    """Whether each month that is over was archived, signed by the log's key."""
    found: Archiving = at.of("archiving")
    figures = {"verifier": found.verifier, "frozen_month": found.frozen_month, "waiting_month": found.waiting_month}
    if found.verifier is None:
        return (
            "warning",
            "the log is not signed, so none of its months is archived: set HEADGATE_AUDIT_KEY_FILE",
            figures,
        )
    if found.waiting_month is not None and found.waiting_since is not None:
        waits = at.now - found.waiting_since
        text = f"{found.waiting_month} waits for {age_text(max(waits, timedelta()))} to be archived"
        return "critical" if waits > ARCHIVE_LATE else "warning" if waits > ARCHIVE_DUE else "ok", text, figures
    newest = f"{found.frozen_month} is archived and signed" if found.frozen_month else "no month is over yet"
    return "ok", newest, figures


def evidence_archive_integrity_batch(at: Readings) -> Found:
    """What the newest batch found that read stored evidence anew."""
    found: IntegrityRun | None = at.of("evidence")
    if found is None:
        return "warning", "no batch has read stored evidence yet, or the newest one failed", {"run_id": None}
    age = at.now - found.checked_at
    figures = {
        "run_id": found.run_id,
        "age_s": round(age.total_seconds(), 1),
        "checked_count": found.checked_count,
        "issue_count": found.issue_count,
    }
    if found.status != "critical" and age > BATCH_OLD:
        return "warning", f"the newest batch is {age_text(age)} old; it said: {found.message}", figures
    return found.status, found.message, figures


CHECKS: tuple[Check, ...] = (
    audit_chain_integrity,
    audit_head_recent,
    audit_witnessed,
    audit_archive_signing,
    evidence_archive_integrity_batch,
    ops_daily_check_archive,
)
