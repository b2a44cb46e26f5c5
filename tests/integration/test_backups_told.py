"""Backups as the operations service knows them: reported by the keeper's own login, judged by the runbook."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from deploy.installation import gateway_secrets, keeper_token
from libs.common.contracts.gateway.tokens import token_issued, token_revoked
from libs.common.contracts.operations.backups import backup_finished
from libs.common.settings import Settings
from services.gateway.identity.keeper import USER, admit_keeper
from services.operations.backups import series
from services.operations.service import make_service
from tests.http_edge import OWNER, Http
from tests.integration.backup_desk import SECRET, worker_environment
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]
BACKUPS, DUTIES = "/api/ops/backups", "/api/ops/keeper/duties"
DIGEST = gateway_secrets(SECRET)["HEADGATE_KEEPER_TOKEN_SHA256"]


@pytest_asyncio.fixture
async def edge(stack: Stack) -> AsyncIterator[Http]:
    await stack.start(make_service(Settings()))
    made = await Http(stack).open(keeper_token_sha256=DIGEST)
    yield made
    await made.close()


def result(stack: Stack, *, hours_ago: float = 0.0, **changed: Any) -> dict[str, Any]:
    """A good backup whose work ended a moment ago."""
    ended = stack.clock() - timedelta(seconds=1)
    values: dict[str, Any] = {
        "backup_id": "20260501T021500Z-abcdef",
        "started_at": (ended - timedelta(seconds=20)).isoformat(),
        "finished_at": ended.isoformat(),
        "recovery_point": (ended - timedelta(hours=hours_ago)).isoformat(),
        "good": True,
        "backup_s": 12.5,
        "size_bytes": 100 << 20,
        "free_bytes": 1000 << 20,
        "kept_count": 1,
        **changed,
    }
    return values


async def checks(client: httpx2.AsyncClient) -> dict[str, Any]:
    """The runbook's word on recovery, by check."""
    answer = await client.get("/api/ops/runbook/checks")
    assert answer.status_code == 200, answer.text
    watched = ("backup_recent", "backup_room", "dr_rehearsal_recent")
    return {one["id"]: one for one in answer.json()["checks"] if one["id"] in watched}


async def test_the_keeper_comes_in_by_itself_and_may_do_nothing_else(edge: Http) -> None:
    keeper = edge.of(keeper_token(SECRET))
    me = (await keeper.get("/api/me")).json()
    assert (me["username"], me["role"], me["permissions"]) == (USER, "keeper", ["me:read", "operations:rehearse"])
    assert (await keeper.get(DUTIES)).status_code == 200
    for path in ("/api/ops/backups", "/api/ops/runbook/checks", "/api/users", "/api/signals", "/api/events"):
        assert (await keeper.get(path)).status_code == 403, path
    for path in (
        "/api/ops/runbook/checks/run",
        "/api/ops/dr/rehearsal/run",
        "/api/tokens",
        "/api/ops/governance/gate/run",
    ):
        assert (await keeper.post(path, json={"label": "x"} if path == "/api/tokens" else {})).status_code == 403, path
    # Operators read what was told and tell nothing.
    operator = await edge.user("olga", "operator")
    assert (await operator.get(BACKUPS)).status_code == 200
    assert (await operator.post(f"{BACKUPS}/report", json=result(edge.stack))).status_code == 403
    assert (await operator.get(DUTIES)).status_code == 403


def shown(name: str, **labels: str) -> float | None:
    """A series of the operations service as a scraper sees it."""
    return REGISTRY.get_sample_value(name, labels)


async def test_a_scraper_sees_how_old_backups_are_and_what_room_is_left(edge: Http) -> None:
    stack, keeper = edge.stack, edge.of(keeper_token(SECRET))
    pool = stack.running["operations"].pool
    at, free = "headgate_backup_timestamp_seconds", "headgate_backup_free_bytes"
    await series.measure(pool, REGISTRY)
    assert (shown(at), shown("headgate_rehearsal_valid_timestamp_seconds"), shown(free, place="folder")) == (0, 0, None)
    told = result(stack, hours_ago=3)
    assert (await keeper.post(f"{BACKUPS}/report", json=told)).status_code == 201
    await series.measure(pool, REGISTRY)
    assert shown(at) == pytest.approx(datetime.fromisoformat(told["recovery_point"]).timestamp(), rel=0, abs=0.01)
    assert (shown(free, place="folder"), shown("headgate_backup_size_bytes")) == (1000 << 20, 100 << 20)
    # One that could not be made changes nothing of the newest good one, but tells of the room.
    stack.clock.advance(hours=1)
    broken = result(stack, backup_id=None, recovery_point=None, good=False, problems=["no room"], free_bytes=5)
    assert (await keeper.post(f"{BACKUPS}/report", json=broken)).status_code == 201
    await series.measure(pool, REGISTRY)
    assert shown(at) == pytest.approx(datetime.fromisoformat(told["recovery_point"]).timestamp(), rel=0, abs=0.01)
    assert shown(free, place="folder") == 5
    # In a bucket nobody can say what room is left, and so nothing is said.
    stack.clock.advance(hours=1)
    assert (await keeper.post(f"{BACKUPS}/report", json=result(stack, place="s3", free_bytes=None))).status_code == 201
    await series.measure(pool, REGISTRY)
    assert (shown(free, place="folder"), shown(free, place="s3")) == (None, None)
    # A rehearsal counts if it held.
    held = stack.clock()
    for valid in (True, False):
        stack.clock.advance(hours=1)
        ended = stack.clock() - timedelta(seconds=1)
        rehearsal = {
            "backup_id": "20260501T021500Z-abcdef", "restore_valid": valid, "problems": [] if valid else ["a row"],
            "started_at": (ended - timedelta(seconds=9)).isoformat(), "finished_at": ended.isoformat(),
        }  # fmt: skip
        assert (await keeper.post("/api/ops/dr/rehearsal/report", json=rehearsal)).status_code == 201
        held = ended if valid else held
        await series.measure(pool, REGISTRY)
        assert shown("headgate_rehearsal_valid_timestamp_seconds") == pytest.approx(held.timestamp(), rel=0, abs=0.01)


async def test_a_new_cluster_secret_is_a_new_token_and_what_people_decided_stays(edge: Http) -> None:
    stack, old, new = edge.stack, edge.of(keeper_token(SECRET)), edge.of(keeper_token("another cluster secret"))
    await admit_keeper(edge.running)  # a start like any other changes nothing
    issued = [one for one in stack.events if one.type == token_issued.type and one.data["username"] == USER]
    assert len(issued) <= 1
    digest = hashlib.sha256(keeper_token("another cluster secret").encode()).hexdigest()
    edge.running.settings = edge.running.settings.model_copy(update={"keeper_token_sha256": digest})
    assert (await new.get("/api/me")).status_code == 401
    await admit_keeper(edge.running)
    await stack.heard(token_revoked, lambda event: event.data["username"] == USER)
    await stack.heard(token_issued, lambda event: event.data["username"] == USER)
    assert (await edge.of(keeper_token("another cluster secret")).get("/api/me")).status_code in (200, 401)
    current = partial(edge.edge.identity.current, address="127.0.0.1")
    assert await current(keeper_token("another cluster secret")) is not None
    assert await current(keeper_token(SECRET)) is None
    del old
    number = next(row["token_id"] for row in (await edge.client.get("/api/tokens")).json() if row["standing"])
    refused = await edge.client.post(f"/api/tokens/{number}/rotate", json={})
    assert (refused.status_code, "made of the cluster secret" in refused.json()["detail"]) == (409, True)
    # An owner who shuts the keeper out is not overruled by the next start.
    shut = await edge.client.patch(f"/api/users/{USER}", json={"active": False})
    assert shut.status_code == 200, shut.text
    await admit_keeper(edge.running)
    assert await current(keeper_token("another cluster secret")) is None


async def test_a_backup_is_reported_kept_and_judged(edge: Http) -> None:
    stack, client, keeper = edge.stack, edge.client, edge.of(keeper_token(SECRET))
    assert (await client.get(f"{BACKUPS}/latest")).status_code == 404
    assert (await keeper.get(DUTIES)).json() == {
        "rehearsal_count": 0, "last_backup_id": None, "last_good": None, "last_finished_at": None,
    }  # fmt: skip
    fresh = await checks(client)
    assert {one["status"] for one in fresh.values()} == {"warning"}  # no chance yet, and no word is not ok
    assert "headgate backup create" in fresh["backup_recent"]["action"]

    told = await keeper.post(f"{BACKUPS}/report", json=result(stack))
    assert told.status_code == 201, told.text
    run = told.json()
    assert (run["status"], run["job_name"], run["good"]) == ("success", "backup", True)
    assert (await client.get(f"{BACKUPS}/latest")).json() == run
    heard = await stack.heard(backup_finished)
    assert (heard.actor, heard.data["run_id"]) == (USER, run["run_id"])
    assert (await keeper.get(DUTIES)).json()["last_backup_id"] == run["backup_id"]
    good = await checks(client)
    assert (good["backup_recent"]["status"], good["backup_room"]["status"]) == ("ok", "ok")

    for hours, word in ((25.9, "ok"), (0.2, "warning"), (23.8, "warning"), (0.2, "critical")):
        stack.clock.advance(hours=hours)
        assert (await checks(client))["backup_recent"]["status"] == word
    # One that could not be made is a warning with its reason; a damaged one is critical, whatever there was before.
    assert (await keeper.post(f"{BACKUPS}/report", json=result(stack))).status_code == 201
    stack.clock.advance(minutes=1)
    failed = result(stack, backup_id=None, recovery_point=None, good=False, problems=["The disk is full."])
    assert (await keeper.post(f"{BACKUPS}/report", json=failed)).json()["status"] == "warning"
    found = (await checks(client))["backup_recent"]
    assert (found["status"], "The disk is full." in found["message"]) == ("warning", True)
    stack.clock.advance(minutes=1)
    bad = result(stack, good=False, problems=["database.dump is damaged: its SHA-256 differs."], free_bytes=100 << 20)
    assert (await keeper.post(f"{BACKUPS}/report", json=bad)).json()["status"] == "critical"
    found = await checks(client)
    assert (found["backup_recent"]["status"], found["backup_room"]["status"]) == ("critical", "critical")
    history = (await client.get(BACKUPS, params={"limit": 2})).json()
    assert [one["status"] for one in history] == ["critical", "warning"]


async def test_an_installation_that_never_had_a_backup_is_critical_after_its_chance(edge: Http) -> None:
    run = await edge.client.post("/api/ops/runbook/checks/run")
    assert run.status_code == 200, run.text
    edge.stack.clock.advance(hours=49)
    assert (await checks(edge.client))["backup_recent"]["status"] == "warning"
    edge.stack.clock.advance(hours=2)
    assert (await checks(edge.client))["backup_recent"]["status"] == "critical"


async def test_what_can_not_be_is_refused(edge: Http) -> None:
    stack, keeper = edge.stack, edge.of(keeper_token(SECRET))
    later = (stack.clock() + timedelta(hours=1)).isoformat()
    for changed in (
        {"problems": ["something"]},  # good with a problem
        {"good": False},  # not good, and no word why
        {"backup_id": None},  # good, and nothing there
        {"recovery_point": None},
        {"recovery_point": later},
        {"finished_at": later},
        {"started_at": "2026-05-01T12:00:00"},
        {"started_at": (stack.clock() - timedelta(days=8)).isoformat()},
        {"backup_id": "../../etc"},
        {"place": "ftp"},
    ):
        refused = await keeper.post(f"{BACKUPS}/report", json=result(stack, **changed))
        assert refused.status_code == 422, (changed, refused.text)
    first = result(stack)
    assert (await keeper.post(f"{BACKUPS}/report", json=first)).status_code == 201
    # The same again, and one that comes late, are no news: they never push out what is known.
    late = {**first, "started_at": (stack.clock() - timedelta(hours=3)).isoformat(),
            "finished_at": (stack.clock() - timedelta(hours=2)).isoformat(),
            "recovery_point": (stack.clock() - timedelta(hours=3)).isoformat()}  # fmt: skip
    for body in (first, late):
        refused = await keeper.post(f"{BACKUPS}/report", json=body)
        assert refused.status_code == 409, refused.text


class Clockwork:
    """A job that another clock starts, such as a CronJob's: ``python -m deploy.backup …`` that is told the gateway."""

    def __init__(self, edge: Http, folder: Path) -> None:
        self._edge = edge
        edge.stack.clock.advance(minutes=10)  # it stands still, and what the job tells has ended before
        self.said = ""  # by the last one, in one line
        self.environment = worker_environment(edge.stack, folder) | {"HEADGATE_URL": edge.url}

    async def run(self, *arguments: str, **changed: str) -> int:
        """Its exit code. The gateway answers meanwhile."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "deploy.backup", *arguments],
            env=self.environment | changed,
            capture_output=True,
            text=True,
            check=False,
        )
        self.said = " ".join((done.stdout + done.stderr).split())
        print(done.stdout, done.stderr)
        return done.returncode

    async def latest(self) -> dict[str, Any]:
        """What was told last of a backup."""
        answer = await self._edge.client.get(f"{BACKUPS}/latest")
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return found


async def test_a_job_without_a_keeper_tells_what_it_made_and_what_it_could_not(edge: Http, tmp_path: Path) -> None:
    job = Clockwork(edge, tmp_path)
    assert await job.run("create", HEADGATE_URL="") == 0
    assert await job.run("verify", HEADGATE_URL="") == 0
    assert await job.latest() == {}  # nobody was named
    assert [await job.run("create"), await job.run("verify")] == [0, 0]
    told = await job.latest()
    made = told["backup_id"]
    assert (told["good"], told["kept_count"], told["problems"]) == (True, 2, [])
    assert (await checks(edge.client))["backup_recent"]["status"] == "ok"
    assert await job.run("create", HEADGATE_NAMESPACE="nothing") == 2
    told = await job.latest()
    assert (told["good"], told["backup_id"], "is missing" in told["problems"][0]) == (False, None, True)
    warned = (await checks(edge.client))["backup_recent"]
    assert (warned["status"], "the last try failed" in warned["message"]) == ("warning", True)
    (tmp_path / made / "database.dump").write_bytes(b"r")
    assert await job.run("verify", made) == 1  # looked up by somebody: that is no news
    assert (await job.latest())["backup_id"] is None
    # A gateway that is away keeps nothing from being backed up.
    assert await job.run("create", HEADGATE_URL="http://127.0.0.1:1") == 0


async def test_a_rehearsal_that_there_could_not_be_is_told(edge: Http, tmp_path: Path) -> None:
    job = Clockwork(edge, tmp_path)
    assert await job.run("rehearse", HEADGATE_NAMESPACE="nothing") == 2
    assert "is missing" in (await job.latest())["problems"][0]
    assert (await edge.client.get("/api/ops/dr/rehearsal/latest")).status_code == 404
    assert await job.run("rehearse", HEADGATE_REHEARSAL_NATS_URL="nats://127.0.0.1:1") == 2
    told = await job.latest()
    assert (told["good"], told["kept_count"]) == (True, 1)  # made and read all the same
    last = (await edge.client.get("/api/ops/dr/rehearsal/latest")).json()
    assert (last["backup_file"], last["restore_valid"]) == (told["backup_id"], False)
    assert last["notes"][0].startswith("There was no rehearsal: ")


async def test_nobody_speaks_of_backups_for_another_installation(edge: Http, tmp_path: Path) -> None:
    """Production's address and an owner's token stand in the shell of a machine with an installation of its own."""
    job, production = Clockwork(edge, tmp_path / "here"), tmp_path / "production"
    shell = {"HEADGATE_TOKEN": OWNER, "HEADGATE_CLUSTER_SECRET": "the cluster secret of a laptop"}
    assert await job.run("create", **shell) == 0
    assert await job.run("verify", **shell) == 0  # good, as the command says
    assert "does not know this installation" in job.said
    assert await job.run("create", HEADGATE_NAMESPACE="nothing", **shell) == 2
    assert await job.run("rehearse", **shell) == 2  # nobody restores for an hour and then can't say so
    assert await job.latest() == {}
    # Neither does a folder of another installation's backups speak of this one.
    assert await job.run("verify") == 0
    assert "was made with another cluster secret" in job.said
    assert await job.latest() == {}
    # Ours are told, by the keeper, whoever's token lies about.
    assert await job.run("create", HEADGATE_BACKUP_DIR=str(production)) == 0
    ours = {"HEADGATE_BACKUP_DIR": str(production), "HEADGATE_TOKEN": "hg_of_somebody_else"}
    assert await job.run("verify", HEADGATE_NAMESPACE="nothing", **ours) == 0
    assert "was made in another namespace" in job.said
    assert await job.latest() == {}
    assert await job.run("verify", **ours) == 0
    assert (await job.latest())["good"] is True


async def test_a_job_that_fails_before_it_begins_is_told(edge: Http, tmp_path: Path) -> None:
    job, keys = Clockwork(edge, tmp_path / "backups"), str(tmp_path / "no keys")
    for words in (("create",), ("verify",), ("rehearse",)):
        for changed, why in (
            ({"HEADGATE_BACKUP_KEY_FILE": keys}, "no keys"),
            ({"HEADGATE_BACKUP_DIR": "s3://"}, "s3:"),
        ):
            edge.stack.clock.advance(minutes=1)
            assert await job.run(*words, **changed) == 2
            told = await job.latest()
            assert (told["good"], told["backup_id"], why in told["problems"][0]) == (False, None, True), told
            assert told["place"] == ("s3" if why == "s3:" else "folder")


async def test_who_rehearses_by_hand_tells_it_as_oneself(edge: Http, tmp_path: Path) -> None:
    job = Clockwork(edge, tmp_path / "backups")
    job.environment["HEADGATE_BACKUP_KEY_FILE"] = str(tmp_path / "no keys")
    assert await job.run("rehearse", HEADGATE_TOKEN="hg_of_somebody_else") == 2
    assert "could be told to nobody" in job.said
    assert await job.latest() == {}
    assert await job.run("rehearse", HEADGATE_TOKEN=OWNER) == 2
    heard = await edge.stack.heard(backup_finished)
    owner = (await edge.client.get("/api/me")).json()["username"]
    assert (heard.actor, heard.data["good"]) == (owner, False)


async def test_to_tell_never_changes_what_a_command_says(edge: Http, tmp_path: Path) -> None:
    job, home = Clockwork(edge, tmp_path / "backups"), tmp_path / "home"
    assert await job.run("create", HEADGATE_URL="") == 0
    del job.environment["HEADGATE_CLUSTER_SECRET"]
    job.environment["HEADGATE_DATA_DIR"] = str(home)
    assert await job.run("verify") == 0
    assert "There is no cluster secret in" in job.said
    assert "is good" in job.said
    assert await job.run("create") == 2
    assert not (home / "cluster-secret").exists()  # one that was made up would be nobody's
    home.mkdir(exist_ok=True)
    (home / "cluster-secret").write_text("for everybody to read, which is refused")
    (home / "cluster-secret").chmod(0o644)
    assert await job.run("verify") == 0
    assert "is good" in job.said
    assert "can be read by other users" in job.said
    assert await job.run("verify", HEADGATE_BACKUP_DIR=str(tmp_path / "none")) == 2
    assert "There is no whole backup" in job.said
    assert await job.latest() == {}
