"""Answers of a gateway, in the shapes of the contracts."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = "2026-03-01T09:00:00Z"


def gate_run(decision: str = "go", **changed: Any) -> dict[str, Any]:
    """A verdict with one rule."""
    good = decision == "go"
    rule = {
        "id": "tests_passed", "status": "pass" if good else "fail", "required": True, "passed": good, "weight": 1.0,
        "message": "0 of 5 failed; wanted 0." if good else "2 of 5 tests failed; wanted 0 failed.",
        "observed": "2 of 5 tests failed", "wanted": "0 failed", "owner_role": "QA Lead", "sla_hours": 8,
        "action": "Mend the failing tests.", "facts_used": [7], "baseline": "none",
    }  # fmt: skip
    summary = {
        "total_rules": 1, "required_rules": 1, "passed_rules": int(good), "failure_count": int(not good),
        "warning_count": 0, "weighted_total": 1.0, "weighted_passed": float(good),
        "weighted_score_percent": 100.0 if good else 0.0,
    }  # fmt: skip
    return {
        "run_id": 3, "gate": "release", "site": "global", "subject": "app", "version": "1.0", "run_number": 3,
        "trigger": "api", "decision": decision, "status": "success" if good else "critical", "decided_at": NOW,
        "summary": summary, "rules": [rule], "policy_digest": "ab", **changed,
    }  # fmt: skip


def item(**changed: Any) -> dict[str, Any]:
    """A remediation item."""
    return {
        "id": 4, "item_id": "GR-001", "gate": "release", "site": "global", "subject": "app", "version": "1.0",
        "rule_id": "tests_passed", "rule_status": "fail", "required": True, "priority": 1, "owner_role": "QA Lead",
        "sla_hours": 8, "due_at": "2026-03-01T15:00:00Z", "action": "Mend.", "reason": "2 failed", "detail": {},
        "assignee": "ann", "status": "pending", "completion_checked": False, "completion_note": "",
        "completed_at": None, "is_active": True, "episode": 1, "opened_at": NOW, "gate_generated_at": NOW,
        "gate_run_id": 3, "created_by": "owner", "updated_by": "owner", "created_at": NOW, "updated_at": NOW, **changed,
    }  # fmt: skip


def receipts(**changed: Any) -> dict[str, Any]:
    """What became of one signal."""
    one = {
        "signal_id": 1, "kind": "test.junit", "part": "unit", "subject": "app", "version": "1.0", "judged": True,
        "valid": True, "duplicate": False, "problems": [], **changed,
    }  # fmt: skip
    return {"count": 1, "recorded": 1, "items": [one]}


def me(**changed: Any) -> dict[str, Any]:
    """Who one is."""
    return {
        "username": "ann", "role": "auditor", "sites": ["*"], "permissions": ["audit:read"], "token_id": 1,
        "expires_at": NOW, **changed,
    }  # fmt: skip


def entries(count: int, payload_of: Any = None, recorded_of: Any = None) -> list[dict[str, Any]]:
    """A chain of audit entries, oldest first, made as docs/audit-log.md says."""
    found: list[dict[str, Any]] = []
    previous = bytes(32)
    for seq in range(1, count + 1):
        recorded = datetime(2026, 3, 1, 9, tzinfo=UTC) + timedelta(seconds=seq, microseconds=123)
        recorded = recorded if recorded_of is None else recorded_of(seq, recorded)
        event = {
            "specversion": "1.0", "id": str(uuid.UUID(int=seq)), "type": "headgate.tracker.item.opened.v1",
            "source": "/headgate/tracker", "subject": str(seq), "time": "2026-03-01T08:59:59.5Z", "site": "global",
            "actor": "ann", "causationid": str(uuid.UUID(int=99)), "data": {"n": seq},
        }  # fmt: skip
        payload = json.dumps(event) if payload_of is None else payload_of(event)
        digest = hashlib.sha256(payload.encode()).digest()
        micros = (recorded - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        link = b"headgate.audit.v1\n" + previous + seq.to_bytes(8, "big") + micros.to_bytes(8, "big", signed=True)
        hashed = hashlib.sha256(link + digest).digest()
        found.append(
            {
                "seq": seq, "event_id": event["id"], "type": event["type"], "source": event["source"],
                "site": "global", "actor": "ann", "subject": event["subject"], "time": "2026-03-01T08:59:59.500000Z",
                "causationid": event["causationid"], "correlationid": None,
                "recorded_at": recorded.isoformat().replace("+00:00", "Z"), "prev_hash": previous.hex(),
                "hash": hashed.hex(), "payload_bytes": len(payload), "payload_sha256": digest.hex(),
                "payload": payload, "event": json.loads(payload),
            }
        )  # fmt: skip
        previous = hashed
    return found


def verification(chain: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    """What the server says of a chain."""
    head = chain[-1]
    return {
        "valid": True, "checked_count": len(chain), "from_seq": 1, "to_seq": head["seq"], "head_seq": head["seq"],
        "head_hash": head["hash"], "verified_at": NOW, **changed,
    }  # fmt: skip


def unsigned_log(**changed: Any) -> dict[str, Any]:
    """A log whose service has no key."""
    return {
        "state": "unsigned", "entry_count": 5, "tree_size": 5, "origin": "", "verifier": None, "checkpoint": None,
        "signed_at": None, "problem": None, **changed,
    }  # fmt: skip
