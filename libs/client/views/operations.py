"""The installation: preflight, runbook and daily check, what is not ok first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, plain, table
from libs.common.contracts.operations.checklist import Checklist
from libs.common.contracts.operations.daily import DailyCheck
from libs.common.contracts.operations.deployments import Deployment
from libs.common.contracts.operations.preflight import Preflight
from libs.common.contracts.operations.runbook import Runbook, RunbookCheck

_ORDER = ("critical", "error", "warning", "ok")


def check_rows(checks: Sequence[RunbookCheck]) -> list[tuple[Any, ...]]:
    """A line for each check; what to do only where it is not ok."""
    ordered = sorted(checks, key=lambda one: _ORDER.index(one.status))
    return [(one.id, one.status, one.message, "" if one.status == "ok" else one.action) for one in ordered]


def headline(done: DailyCheck) -> Text:
    """How the check ended, in a line."""
    said = f"  run {done.run_id}: {done.critical_count} critical, {done.warning_count} warning of {done.check_count}"
    kept = f"; archive: {done.archive.error}" if done.archive.error else ""
    return Text.assemble(plain(done.overall_status), f"{said}; {done.site_count} sites were told{kept}")


def daily(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A daily check."""
    done = read_as(DailyCheck, answer)
    session.emit(answer, headline(done), Text(), table(("check", "status", "found", "do"), check_rows(done.checks)))


def runbook(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Every check, made now."""
    found = read_as(Runbook, answer)
    said = f"  {found.critical_count} critical, {found.warning_count} warning of {found.check_count}"
    rows = table(("check", "status", "found", "do"), check_rows(found.checks))
    session.emit(answer, Text.assemble(plain(found.overall_status), said), Text(), rows)


def preflight(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """All services; of their checks what is not ok."""
    found = read_as(Preflight, answer)
    said = f"  {found.error_count} in error, {found.warning_count} warning of {found.check_count}"
    services = [
        (one.service, one.overall_status, one.spoke_at or "", one.instance, one.headgate_version)
        for one in found.services
    ]
    shown = [Text.assemble(plain(found.overall_status), said), Text()]
    bad = [(one.service, one.id, one.status, one.message) for one in found.checks if one.status != "ok"]
    columns = ("service", "status", "spoke at", "instance", "version")
    tables = [table(columns, services)]
    if bad:
        tables += [table(("service", "check", "status", "found"), bad)]
    session.emit(answer, *shown, *tables)


def deployed(found: Deployment) -> list[RenderableType]:
    """A recorded deployment: a line on the whole, and its checks, what is not ok first."""
    said = found.detail
    where = f"  {said.deploy_id} to {said.environment}, run {found.run_id}, checklist {said.checklist_version_expected}"
    told = "" if said.tells_gates else "; gates go by another record"
    ordered = sorted(said.checks, key=lambda one: _ORDER.index(one.status))
    rows = table(("check", "status", "found"), [(one.id, one.status, one.message) for one in ordered])
    return [Text.assemble(plain(found.status), clean(where), told), Text(), rows]


def deployment(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A recorded deployment."""
    session.emit(answer, *deployed(read_as(Deployment, answer)))


def checklist(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The checklist: its version, the guide that is bound, and the steps."""
    found = read_as(Checklist, answer)
    guide = found.policy.rollback_guide_sha256 or "the server holds none: headgate guides upload FILE"
    head = f"{found.version} (signature {found.signature}), {found.policy.rollback_guide_path}: {guide}"
    rows = [(one.id, one.phase, one.title, one.done_by) for one in found.steps]
    session.emit(answer, clean(head), Text(), table(("step", "phase", "what", "done by"), rows))


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    DailyCheck: daily,
    Runbook: runbook,
    Preflight: preflight,
    Deployment: deployment,
    Checklist: checklist,
}
