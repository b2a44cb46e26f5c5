"""What a recorded smoke test is worth: what was sent, held against what the server knows; never better than sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Word = Literal["ok", "warning", "critical"]
Status = Literal["success", "warning", "critical"]
WORST: tuple[Word, ...] = ("ok", "warning", "critical")
_OK = frozenset({"ok", "success", "healthy"})
_CRITICAL = frozenset({"critical", "failed", "error"})
UI = "ui_main_shell"
# Of these a failed runbook gate is told, which has its own place in the record and is a warning there.
GATE_CHECKS = frozenset({"runbook_gate", "runbook_checks"})


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its word."""

    id: str
    status: Word
    message: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the sender says. ``sha256`` is lower case, None if no sum was sent."""

    status: str | None
    checks: Sequence[Check]
    runbook_gate_passed: bool
    rollback_ready: bool
    checklist_version: str
    guide_path: str
    guide_sha256: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the server knows. ``guide_sha256`` is None where it holds no guide of that path."""

    require_runbook_gate: bool
    checklist_version: str
    guide_path: str
    guide_sha256: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """The status of the record, the checks that the server adds, and how the bindings came out."""

    status: Status
    added: tuple[Check, ...]
    version_match: bool
    path_match: bool
    sha256_match: bool | None
    ui_status: Word | None


def word(text: str | None, absent: Word = "ok") -> Word:
    """What a status says: an unknown word is a warning."""
    if text is None or not text.strip():
        return absent
    said = text.strip().lower()
    return "ok" if said in _OK else "critical" if said in _CRITICAL else "warning"


def judge(said: Said, expected: Expected) -> Judged:
    """The record's status by the table of docs/operations.md, which also says why a sent check counts."""
    path_match = said.guide_path == expected.guide_path
    sha_match = None if said.guide_sha256 is None else said.guide_sha256 == expected.guide_sha256
    version_match = said.checklist_version == expected.checklist_version
    ui_status = next((one.status for one in said.checks if one.id == UI), None)
    reasons: list[Word] = [
        word(said.status),
        *(one.status for one in said.checks if one.id not in GATE_CHECKS),
        "ok" if said.runbook_gate_passed or not expected.require_runbook_gate else "warning",
        "ok" if said.rollback_ready and version_match and path_match else "warning",
        "warning" if sha_match is False or ui_status is None else "ok",
        "critical" if expected.guide_sha256 is None else "ok",
    ]
    worst = max(reasons, key=WORST.index)
    added = [
        _guide(said, expected, path_match=path_match, sha_match=sha_match),
        _version(said, expected, match=version_match),
    ]
    if ui_status is None:
        added.append(Check("ui_main_shell_binding", "warning", "the main page was not checked"))
    status: Status = "success" if worst == "ok" else worst
    return Judged(status, tuple(added), version_match, path_match, sha_match, ui_status)


def _guide(said: Said, expected: Expected, *, path_match: bool, sha_match: bool | None) -> Check:
    name = "rollback_guide_binding"
    if expected.guide_sha256 is None:
        return Check(name, "critical", f"the server holds no rollback guide {expected.guide_path}: upload it")
    if not path_match:
        given = f"is {said.guide_path}" if said.guide_path else "was not named"
        return Check(name, "warning", f"the guide at hand {given}, the server's is {expected.guide_path}")
    if sha_match is None:
        return Check(name, "warning", f"no SHA-256 of {expected.guide_path} was sent")
    if not sha_match:
        return Check(name, "warning", f"the guide at hand is another version of {expected.guide_path}")
    return Check(name, "ok", f"{expected.guide_path} is the server's, by path and SHA-256")


def _version(said: Said, expected: Expected, *, match: bool) -> Check:
    name = "checklist_version_binding"
    if match:
        return Check(name, "ok", f"the checklist is {expected.checklist_version}")
    given = said.checklist_version or "not named"
    return Check(name, "warning", f"the checklist that was gone by is {given}, now it is {expected.checklist_version}")
