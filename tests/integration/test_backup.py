"""What docs/operations.md says about backup and restore, done: one installation becomes another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.local import LocalStack
from tests.local_traffic import await_that, client, story

pytestmark = [pytest.mark.integration, pytest.mark.whole]


def _environment(stack: LocalStack, backups: Path) -> dict[str, str]:
    """Of a person on the stack's machine who has logged in nowhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
    return kept | {
        "HEADGATE_DATA_DIR": str(stack.data_dir), "HEADGATE_BACKUP_DIR": str(backups),
        "HEADGATE_URL": stack.gateway_url, "XDG_CONFIG_HOME": str(backups.parent / "config"),
    }  # fmt: skip


def _headgate(stack: LocalStack, backups: Path, *arguments: str) -> tuple[int, Any, str]:
    """Run ``headgate …`` on this stack's machine; its exit code, what it answered as JSON, and what else it said."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("headgate")), *arguments, "--json"],
        capture_output=True, text=True, check=False, env=_environment(stack, backups),
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def _rehearsed(stack: LocalStack, backups: Path) -> None:
    """A rehearsal that is asked for over HTTP is done by the administrator's process, and turns the gate's rule."""
    environment = _environment(stack, backups)
    command = [str(Path(sys.executable).with_name("headgate")), "dr", "work", "--every-s=1"]
    with client(stack) as http, subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            assert http.post("/api/ops/dr/rehearsal/run").status_code == 201
            await_that("a rehearsal", lambda: http.get("/api/ops/dr/rehearsal/latest").status_code == 200)
            run = http.get("/api/ops/dr/rehearsal/latest").json()
            assert (run["restore_valid"], run["notes"]) == (True, [])
            assert run["counts"]["rows"] > 100
            assert http.get("/api/ops/dr/rehearsal/pending").json()["count"] == 0
            told = "/api/ops/backups/latest"
            await_that("its backup", lambda: http.get(told).json().get("backup_id") == run["backup_file"])

            def passes() -> bool:
                rules = http.post("/api/ops/governance/gate/run", json={}).json()["rules"]
                return bool(next(one["passed"] for one in rules if one["id"] == "dr_restore_valid_recent"))

            await_that("the rule to pass", passes)
        finally:
            process.terminate()
            assert process.wait(20) == 0


def _kept(stack: LocalStack, backups: Path, http: httpx2.Client) -> None:
    """The supervisor's keeper has made a first backup by itself; and whoever rehearses then need not log in."""

    def newest() -> Any:
        found = http.get("/api/ops/backups", params={"limit": 1}).json()
        return found[0] if found and found[0]["place"] == "folder" and found[0]["backup_s"] is not None else None

    first = await_that("the keeper's first backup", newest)
    assert (first["good"], first["kept_count"]) == (True, 1)
    code, done, said = _headgate(stack, backups, "dr", "rehearse")
    assert (code, done["restore_valid"]) == (0, True), said
    assert http.get("/api/ops/dr/rehearsal/latest").json()["backup_file"] == done["backup_id"]
    assert http.get("/api/ops/backups/latest").json()["backup_id"] == done["backup_id"]
    checks = {one["id"]: one["status"] for one in http.get("/api/ops/runbook/checks").json()["checks"]}
    assert [checks[name] for name in ("backup_recent", "dr_rehearsal_recent")] == ["ok", "ok"]


@pytest.mark.faults  # three installations after each other
def rollovers_told(http: httpx2.Client) -> list[Any]:
    """The entries that tell of rollovers."""
    found: list[Any] = http.get("/api/audit/entries", params={"type": "audit.log.rolled_over"}).json()["items"]
    return found


def test_a_backup_is_restored_into_an_empty_folder(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    first = LocalStack(tmp_path / "first")
    first.start()
    try:
        first.wait_ready()
        story(first)
        token = first.token
        with client(first) as http:
            items = http.get("/api/ops/governance/gate/remediation/tracker/items").json()
            signals = http.get("/api/signals").json()["items"]
            code, made, said = _headgate(first, backups, "backup", "create")
            assert (code, said) == (0, "")
            head = http.get("/api/audit/verify").json()
        assert made["state"] == "complete"
        _rehearsed(first, backups)
        assert 0 < made["audit_seq"] <= head["head_seq"]
    finally:
        first.stop()

    env = {"HEADGATE_BOOTSTRAP_TOKEN": token, "HEADGATE_BACKUP_DIR": str(tmp_path / "new" / "backups")}
    second = LocalStack(tmp_path / "second", env=env, keeper=True)
    code, restored, said = _headgate(second, backups, "backup", "restore", made["backup_id"])
    assert code == 0, said
    assert (restored["audit_seq"], restored["audit_hash"]) == (made["audit_seq"], made["audit_hash"])
    assert "another cluster secret" in restored["notes"][0]
    second.start()
    try:
        second.wait_ready()
        with client(second) as http:  # the old token
            entries = http.get("/api/audit/entries", params={"limit": 200}).json()["items"]
            assert next(row["hash"] for row in entries if row["seq"] == made["audit_seq"]) == made["audit_hash"]
            assert http.get("/api/audit/verify").json()["valid"]
            # What was signed after the backup may be in other hands: the log goes on under another name.
            (rollover,) = http.get("/api/audit/rollovers").json()
            assert rollover["reason"] == f"the backup {made['backup_id']} was restored"
            assert http.get("/api/audit/log").json()["origin"] == rollover["origin"] == "headgate/audit/2"
            told = await_that("the rollover in the log", lambda: rollovers_told(http))
            assert [one["event"]["data"] for one in told] == [rollover]
            found = http.get("/api/ops/governance/gate/remediation/tracker/items").json()
            assert {row["item_id"]: row["opened_at"] for row in found} == {
                row["item_id"]: row["opened_at"] for row in items
            }
            report = next(one for one in signals if one["kind"] == "test.junit")
            assert http.get(f"/api/signals/{report['signal_id']}/report").status_code == 200  # from its bucket
            _kept(second, tmp_path / "new" / "backups", http)
        story(second)
    finally:
        second.stop()
