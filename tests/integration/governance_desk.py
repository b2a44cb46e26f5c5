"""What the stories about governance share: good signals, reports, and how they are sent."""

from __future__ import annotations

import base64
import zlib
from datetime import datetime, timedelta
from typing import Any

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.runs import run_gate
from libs.common.contracts.governance.signals import record_signals
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.stack import Answer, Stack
from tests.unit.governance.samples import case, junit, sarif, webhook

COBERTURA = """<coverage line-rate="{rate}" lines-valid="{valid}" lines-covered="{covered}" version="7"><packages>
<package name="p"><classes><class name="c" filename="c.py"><lines>{lines}</lines></class></classes></package>
</packages></coverage>"""
WATCHDOG = webhook("heartbeat", ("Watchdog", "firing", "none"))


async def start(stack: Stack) -> None:
    """Governance with the packaged policies."""
    await stack.start(make_service(packaged_policies()))


def ops_data(now: datetime) -> dict[str, dict[str, Any]]:
    """Data of each kind with which the operations gate says GO without a warning."""
    latest = {"latest_run_at": format_time(now - timedelta(hours=1)), "latest_status": "success"}
    return {
        "ops.preflight": {"overall_status": "ok", "error_count": 0, "warning_count": 0},
        "ops.runbook": {"overall_status": "ok", "critical_count": 0, "check_count": 25},
        "ops.security": {"risk_level": "low", "risk_score": 10},
        "ops.daily_check": latest,
        "ops.dr": {"enabled": True, **latest, "latest_restore_valid": True},
        "ops.deploy_smoke": {
            **latest,
            **dict.fromkeys(("rollback_ready", "runbook_gate_passed", "rollback_reference_match"), True),
            "rollback_reference_sha256_match": True,
            **dict.fromkeys(("current_checklist_version", "latest_checklist_version"), "v1"),
            **dict.fromkeys(("checklist_version_match", "ui_main_shell_checked"), True),
            "ui_main_shell_status": "ok",
        },
        "ops.quality_streak": {"current_streak_weeks": 6},
    }


def event(event_id: str, kind: str, data: Any, **more: Any) -> dict[str, Any]:
    """An outside event."""
    return {"id": event_id, "source": "/test", "type": kind, "data": data, **more}


async def send(stack: Stack, *events: dict[str, Any], site: str = "global", **more: Any) -> Answer:
    """Record outside events."""
    return await stack.command(record_signals, {"signals": list(events), **more}, site=site)


async def send_ops(stack: Stack, prefix: str = "first", site: str = "global", **changes: Any) -> Answer:
    """Record all kinds of the operations gate, with ``changes`` (such as ``runbook={...}``) or left out (None)."""
    events = []
    for kind, data in ops_data(stack.clock()).items():
        change = changes.get(kind.removeprefix("ops."), {})
        if change is not None:
            events.append(event(f"{prefix}-{kind}", kind, {**data, **change}))
    return await send(stack, *events, site=site)


async def report(stack: Stack, format_: str, content: bytes, **more: Any) -> Answer:
    """Record a report as the edge packs it."""
    packed = base64.b64encode(zlib.compress(content)).decode()
    return await stack.command(record_report, {"format": format_, "content_zlib_base64": packed, **more})


async def send_release(
    stack: Stack, version: str, tests: tuple[str, ...] = ("a", "b"), results: list[dict[str, Any]] | None = None
) -> None:
    """The reports of one version of the subject ``app``, and a heartbeat."""
    of = {"subject": "app", "version": version}
    for format_, content in (
        ("junit", junit(*(case(name) for name in tests))),
        ("cobertura", cobertura(9, 10)),
        ("sarif", sarif(results or [])),
    ):
        answer = await report(stack, format_, content, **of)
        assert answer.status == 201, answer
    await heartbeat(stack)


async def heartbeat(stack: Stack) -> Answer:
    """The Watchdog of the subject ``app``."""
    answer = await report(stack, "alertmanager", WATCHDOG, subject="app")
    assert answer.status == 201, answer
    return answer


def cobertura(covered: int, valid: int) -> bytes:
    """A Cobertura report with so many lines."""
    lines = "".join(f'<line number="{n + 1}" hits="{int(n < covered)}"/>' for n in range(valid))
    return COBERTURA.format(rate=covered / valid, valid=valid, covered=covered, lines=lines).encode()


async def run(stack: Stack, gate: str = "operations", site: str = "global", **target: str) -> Any:
    """Run a gate; the result."""
    answer = await stack.command(run_gate, {"gate": gate, **target}, site=site)
    assert answer.status == 201, answer
    return answer.json


def rule(result: Any, rule_id: str) -> Any:
    """One rule of a run."""
    return next(one for one in result["rules"] if one["id"] == rule_id)
