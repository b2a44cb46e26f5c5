"""What docs/operations.md says about backup and restore, done: a dump of one installation becomes another one."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.embedded.postgres import postgres_bin
from deploy.embedded.server import clean_environment
from deploy.local import LocalStack
from tests.local_traffic import client, story

pytestmark = pytest.mark.integration


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(postgres_bin() / program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stderr


def _database_url(stack: LocalStack) -> str:
    return str(json.loads((stack.data_dir / "running.json").read_text())["admin_database_url"])


def test_a_dump_is_restored_into_an_empty_folder(tmp_path: Path) -> None:
    dump = str(tmp_path / "headgate.dump")
    first = LocalStack(tmp_path / "first")
    first.start()
    try:
        first.wait_ready()
        story(first)
        token = first.token
        with client(first) as http:
            head = http.get("/api/audit/verify").json()
            items = http.get("/api/ops/governance/gate/remediation/tracker/items").json()
        _run("pg_dump", "--format=custom", f"--file={dump}", _database_url(first))
    finally:
        first.stop()

    empty = LocalStack(tmp_path / "second", services=())
    empty.start()
    try:
        assert set(empty.pids) == {"postgres", "nats"}
        _run("pg_restore", "--clean", "--if-exists", f"--dbname={_database_url(empty)}", dump)
    finally:
        empty.stop()

    second = LocalStack(tmp_path / "second", env={"HEADGATE_BOOTSTRAP_TOKEN": token})
    second.start()
    try:
        second.wait_ready()
        with client(second) as http:
            entry = http.get("/api/audit/entries", params={"limit": 200}).json()["items"]
            assert next(row["hash"] for row in entry if row["seq"] == head["head_seq"]) == head["head_hash"]
            assert http.get("/api/audit/verify").json()["valid"]
            found = http.get("/api/ops/governance/gate/remediation/tracker/items").json()
        assert {row["item_id"]: row["opened_at"] for row in found} == {
            row["item_id"]: row["opened_at"] for row in items
        }
        story(second)
    finally:
        second.stop()
