"""A smoke test of a Headgate from outside: what a person would look at after a deployment, each with a word.

A check that can't be made is critical with the reason, never missing. Times are the server's, so that a clock that is
wrong here does no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from libs.client.errors import ApiError, ClientError
from libs.client.http import Client, read_as
from libs.client.show import clean
from libs.common.contracts.operations.checklist import Checklist
from libs.common.contracts.operations.guides import SHIPPED, shipped_guide
from libs.common.contracts.operations.preflight import Preflight
from libs.common.contracts.operations.rehearsals import RehearsalRun
from libs.common.contracts.operations.runbook import Runbook

REHEARSED_WITHIN = timedelta(days=35)
QUICK_LINKS = 500
# About the test before this one: one that failed must not make the next one fail.
OF_THE_TEST_BEFORE = "deploy_smoke_checklist"
_OF_DATABASE = ("schema", "postgres_")
_OF_POSTURE = ("key_", "nats_rights", "postgres_rights", "required_env_")
Word = tuple[str, str]  # status and what was found


@dataclass(frozen=True, slots=True)
class Found:
    """A check as it is recorded."""

    id: str
    status: str
    message: str


class Smoke:
    """One test against one gateway; ``checklist`` says what page to look for, and what time it is there."""

    def __init__(self, client: Client, checklist: Checklist) -> None:
        self._client, self._checklist = client, checklist
        self._preflight: Preflight | None = None
        self._runbook: Runbook | None = None
        self.found: list[Found] = []

    def run(self, told: Callable[[int], None]) -> None:
        """Make every check; ``told`` hears how many are done."""
        checks: Mapping[str, Callable[[], Word]] = {
            "health": self._health,
            "readiness": self._readiness,
            "auth": self._auth,
            "database": self._database,
            "posture": self._posture,
            "runbook_gate": self._runbook_gate,
            "audit_chain": self._audit_chain,
            "ui_main_shell": self._page,
            "rollback_rehearsal": self._rehearsal,
        }
        for number, (name, check) in enumerate(checks.items(), 1):
            try:
                status, message = check()
            except ClientError as error:
                status, message = "critical", str(error)
            self.found.append(Found(name, status, clean(message)[:1000]))
            told(number)

    def word(self, name: str) -> str:
        """The status of a check that was made."""
        return next(one.status for one in self.found if one.id == name)

    @property
    def running_version(self) -> str:
        """The version that all services run; empty if they differ, or nobody knows."""
        versions = {one.headgate_version for one in self._preflight.services} if self._preflight else set()
        return versions.pop() if len(versions) == 1 else ""

    def _health(self) -> Word:
        _, answer = self._client.document("/healthz")
        return ("ok", "it answers") if isinstance(answer, dict) else ("critical", "something else answers there")

    def _readiness(self) -> Word:
        code, report = self._client.document("/readyz", also=(503,))
        checks, degraded = report.get("checks", {}), report.get("degraded", [])
        if code != 200:
            bad = [f"{name}: {state}" for name, state in checks.items() if state != "ok"]
            return "critical", f"it is not ready: {', '.join(bad)}"
        if degraded:
            return "critical", f"these services do not answer: {', '.join(degraded)}"
        return "ok", "the gateway is ready and every service answers"

    def _auth(self) -> Word:
        me = self._client.me()
        return "ok", f"{me.username} is {me.role}"

    def _looked(self) -> Preflight:
        if self._preflight is None:
            answer = self._client.call("operations.preflights.get", refresh=True)
            self._preflight = read_as(Preflight, answer)
        return self._preflight

    def _in_order(self, names: tuple[str, ...], good: str) -> Word:
        """By the preflight's checks whose ids begin so."""
        checks = [one for one in self._looked().checks if one.id.startswith(names)]
        bad = [f"{one.service}: {one.message}" for one in checks if one.status == "error"]
        if not checks:
            return "critical", "no service says anything about it"
        return ("critical", " ".join(bad[:3])) if bad else ("ok", good)

    def _database(self) -> Word:
        silent = [one.service for one in self._looked().checks if one.id in ("answers", "spoken")]
        if silent:
            return "critical", f"these services do not say what they found: {', '.join(silent)}"
        versions = sorted({one.headgate_version for one in self._looked().services})
        if len(versions) > 1:
            return "critical", f"services of several versions run: {', '.join(versions)}"
        said = f"PostgreSQL is durable, with the schema and the rights of {versions[0]}"
        return self._in_order(_OF_DATABASE, said)

    def _posture(self) -> Word:
        stranger = Client(self._client.base_url, None, self._client.timeout_s)
        try:
            stranger.call("gateway.me.get")
        except ApiError as error:
            if error.status != 401:
                return "critical", f"a stranger is answered with {error.status}, not with 401"
        else:
            return "critical", "a stranger is let in"
        finally:
            stranger.close()
        return self._in_order(_OF_POSTURE, "strangers are refused, keys are there, no right is missing or too many")

    def _read_runbook(self) -> Runbook:
        if self._runbook is None:
            self._runbook = read_as(Runbook, self._client.call("operations.runbook.get"))
        return self._runbook

    def _runbook_gate(self) -> Word:
        checks = [one for one in self._read_runbook().checks if one.id != OF_THE_TEST_BEFORE]
        bad = [f"{one.id}: {one.message}" for one in checks if one.status == "critical"]
        if bad:
            return "critical", "; ".join(bad[:5])
        warnings = sum(one.status == "warning" for one in checks)
        return "ok", f"none of {len(checks)} checks is critical, {warnings} warn"

    def _audit_chain(self) -> Word:
        """Recomputed by the server up to its end; who may not order that goes by the runbook, which does the same."""
        told = next(one for one in self._read_runbook().checks if one.id == "audit_chain_integrity")
        try:
            found = self._client.verify_audit(from_seq=max(1, int(told.detail.get("head_seq") or 1) - QUICK_LINKS))
        except ApiError as error:
            if error.status != 403:
                raise
            return told.status, told.message
        if not found.valid:
            return "critical", found.problem or "the chain does not hold"
        return "ok", f"the newest {found.checked_count} links hold, up to {found.head_seq}"

    def _page(self) -> Word:
        policy = self._checklist.policy
        text = self._client.content(policy.ui_core_path).decode(errors="replace")
        missing = [marker for marker in policy.ui_core_markers if marker not in text]
        if missing:
            return "warning", f"{policy.ui_core_path} lacks {', '.join(missing)}"
        return "ok", f"{policy.ui_core_path} comes with its {len(policy.ui_core_markers)} markers"

    def _rehearsal(self) -> Word:
        """Whether one could go back: the way back is a backup, and this one was really restored."""
        try:
            newest = read_as(RehearsalRun, self._client.call("operations.rehearsals.latest"))
        except ApiError as error:
            if error.status != 404:
                raise
            return "warning", "no backup was restored yet: headgate dr rehearse"
        age = self._checklist.generated_at - newest.finished_at
        if not newest.restore_valid:
            return "warning", f"the newest rehearsal (run {newest.run_id}) was not valid: headgate rehearsals latest"
        if age > REHEARSED_WITHIN:
            return "warning", f"the newest rehearsal is {age.days} days old: headgate dr rehearse"
        return "ok", f"backup {newest.backup_file} was restored and compared"


def bound_guide(file: str | None, content: bytes | None, expected: str) -> dict[str, Any]:
    """The fields that bind a rollback guide: of ``file``, else of the guide that comes with this tool.

    A file whose path ends as the expected one does is that one, wherever the checkout lies; any other is told as it is.
    """
    if file is None or content is None:
        path, content = SHIPPED, shipped_guide()
    else:
        wanted = PurePath(expected).parts
        path = expected if PurePath(file).parts[-len(wanted) :] == wanted else PurePath(file).as_posix()[-200:]
    return {"rollback_reference": path, "rollback_reference_sha256": hashlib.sha256(content).hexdigest()}
