"""What must be whole after something broke: the audit log, messages that were buried, services that began anew."""

from __future__ import annotations

from deploy.dashboards.pages import BACKUPS as MADE
from deploy.dashboards.pages import ENTRIES, JOBS, LETTERS_OF_SERVICE, LOG, WITNESSES
from deploy.dashboards.parts import BYTES, COUNT, SECONDS, THIRD, Board, Query, graph, number
from deploy.dashboards.queries import DEAD_LETTERS, OUTBOX_DEPTH

AUDIT = (
    number(
        "The log refuses to append", "1 while the database stands behind what was signed.", COUNT,
        Query("max(headgate_audit_forked)", "forked"), pages=(LOG,), bad_from=1,
    ),
    number(
        "The log was found broken", "1 from a verification that found it broken, until a whole one is valid.", COUNT,
        Query("max(headgate_audit_verification_broken)", "broken"), pages=(LOG,), bad_from=1,
    ),
    number(
        "Witnesses with another history", "How many witnesses saw another history of the log.", COUNT,
        Query("max(headgate_audit_witness_forks)", "forks"), pages=(WITNESSES,), bad_from=1,
    ),
    number(
        "Witnesses", "How many are asked to cosign the log; without any nobody outside knows its head.", COUNT,
        Query("max(headgate_audit_witnesses)", "asked"), pages=(WITNESSES,),
    ),
    graph(
        "Since the log was last verified", "The alert fires after ten days.", SECONDS,
        Query("time() - (max(headgate_audit_verified_timestamp_seconds) > 0)", "verified"), pages=(LOG,),
    ),
    graph(
        "Since the log was last witnessed", "By the witness that cosigned longest ago; no line without witnesses.",
        SECONDS, Query("time() - (max(headgate_audit_witnessed_timestamp_seconds) > 0)", "witnessed"),
        pages=(WITNESSES,),
    ),
    graph(
        "Entries and what the tree covers", "Both grow together; the tree lags while older entries are taken in.",
        COUNT, Query("max(headgate_audit_head_seq)", "entries"), Query("max(headgate_audit_tree_size)", "in the tree"),
        pages=(ENTRIES,),
    ),
)  # fmt: skip
BACKUPS = (
    graph(
        "Since the newest good backup", "Of what came before it nothing can be lost; the alert fires after 26 hours.",
        SECONDS, Query("time() - (max(headgate_backup_timestamp_seconds) > 0)", "backup"), pages=(MADE,), width=THIRD,
    ),
    graph(
        "Since a rehearsal held", "When a backup was last restored whole; no line before the first time.",
        SECONDS, Query("time() - (max(headgate_rehearsal_valid_timestamp_seconds) > 0)", "rehearsal"), pages=(MADE,),
        width=THIRD,
    ),
    graph(
        "Room for backups", "What is free where they lie, and the newest one's size; no line where nobody can say.",
        BYTES, Query("max by (place) (headgate_backup_free_bytes)", "free in the {{place}}"),
        Query("max(headgate_backup_size_bytes)", "the newest one"), pages=(MADE,), width=THIRD,
    ),
)  # fmt: skip
LEFT_OVER = (
    graph(
        "Dead letters held", "By service; replay or drop each.", COUNT,
        Query("max by (service) (headgate_dead_letters_held)", "{{service}}"), DEAD_LETTERS,
        leads=(LETTERS_OF_SERVICE,),
    ),
    graph("Waiting in the outboxes", "After a break this falls to 0 by itself.", COUNT, OUTBOX_DEPTH),
    graph(
        "Since each service began", "A line that falls to 0 is a start: ours, or a crash.", SECONDS,
        Query('time() - max by (service) (process_start_time_seconds{job="headgate"})', "{{service}}"), pages=(JOBS,),
    ),
)  # fmt: skip


def board() -> Board:
    """After a crash, a restore or a full disk: is all whole again?"""
    return Board(
        "recovery",
        "headgate-recovery",
        "Headgate: recovery and the audit log",
        "After a crash, a restore or a full disk: is all whole again?",
        (("The audit log", AUDIT), ("Backups", BACKUPS), ("What was left over", LEFT_OVER)),
        period="now-24h",
    )
